"""Read OSCAL catalogs and profiles: one Record a control, enhancement, practice, task or category.

A source may have several editions of one publication and several files of an edition (JSON and XML, a full
catalog and baselines). For each key the Record of the newest edition is active and older ones are
superseded; where only a part of the newest edition is available, other keys keep their older Records.
Profiles become no Records, since they only list controls: they become the `levels` of the controls, from
the newest profile of each level. Assessment procedures are left out.

Options of the catalog row: `page` (URL template with `{key}` and `{padded}`, as CPRT writes keys),
`editions: document` (a Record's edition is its document's version), `withdrawn_without` (a part's name:
controls without such a part were withdrawn, in editions that don't mark them).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from securetag.errors import SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, describe_error
from securetag.extractors.readers.oscal.model import (
    Control,
    Group,
    Part,
    Profile,
    decode_document,
    iter_parts,
)
from securetag.extractors.readers.oscal.prose import get_value, join_sections, render_part
from securetag.extractors.readers.oscal.tree import Document, Entry, Levels, get_kind, index_catalog, make_key
from securetag.records import Facts, Status

_ASSESSMENT_PART = re.compile(r"assess|objective|objects$", re.I)
_DISCUSSION_PARTS = {"guidance", "discussion", "supplemental-guidance"}
_REPLACEMENT_WORDS = {
    "incorporated-into": "incorporated into",
    "moved-to": "moved to",
    "addressed-by": "addressed by",
}
#: The id `ac-2.1` of a control that no file holds; its key is `AC-2(1)`.
_ID_53 = re.compile(r"([a-z]{2})-(\d+)(?:\.(\d+))?")
_KEY_53 = re.compile(r"\b[A-Z]{2}-\d+(?:\(\d+\))?")
_PUBLICATION_53 = re.compile(r"800-?53\b")


class OscalReader(Reader):
    """Reads OSCAL of any publisher, in JSON, XML or YAML."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._documents: dict[str, Document] = {}
        self._broken: list[Failure] = []
        self._profiles: dict[str, Profile] = {}
        #: Id of a control or of its part → the control's key.
        self._keys: dict[str, str] = {}
        #: Key → edition → the document that supplies the Record.
        self._holders: dict[str, dict[tuple[int, ...], Document]] = {}
        self._levels = Levels((), ())

    def read(self, files: Sequence[FetchedFile]) -> Iterator[Item]:
        """Yield the items of all files, newest editions first.

        Where two editions have the same text, the active Record is then the first one.
        """
        self._broken = list(self._load(files))
        ranks = {path: document.rank for path, document in self._documents.items()}
        lowest = ((), "", False, 0)
        yield from super().read(sorted(files, key=lambda f: ranks.get(str(f.path), lowest), reverse=True))

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:  # noqa: ARG002
        yield from self._broken

    def _load(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        for file in files:
            try:
                content = decode_document(file)
                if isinstance(content, Profile):
                    self._profiles[str(file.path)] = content
                else:
                    self._documents[str(file.path)] = index_catalog(file, content)
            except (SourceError, RecursionError) as error:
                yield Failure(str(file.path), "", describe_error(error))
        for document in self._documents.values():
            for entry in document.entries:
                for id_ in (entry.control.id, *(part.id for part in iter_parts(entry.control.parts))):
                    self._keys.setdefault(id_, entry.key)
                self._register_holder(entry.key, document)
            for group, _ in document.groups:
                self._keys.setdefault(group.id, make_key(group))
                self._register_holder(make_key(group), document)
        self._levels = Levels(self._profiles.values(), self._documents.values())

    def _register_holder(self, key: str, document: Document) -> None:
        """Record that `document` has the key, unless a better file of the same edition does."""
        editions = self._holders.setdefault(key, {})
        best = editions.get(document.edition)
        if best is None or best.rank < document.rank:
            editions[document.edition] = document

    def _decide_status(self, key: str, document: Document) -> Status | None:
        """Return the status of a document's text for a key.

        It is `superseded` when a newer edition has the key, and None when another file of the same edition
        supplies the text.
        """
        editions = self._holders[key]
        if editions[document.edition] is not document:
            return None
        return Status.SUPERSEDED if max(editions) > document.edition else Status.ACTIVE

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        if str(file.path) in self._profiles:
            yield Drop("a baseline: the controls that it holds carry it as a level")
            return
        document = self._documents[str(file.path)]
        yield from document.failures
        for group, locator in document.groups:
            yield self._group(group, document, locator)
        for entry in document.entries:
            try:
                yield from self._control(entry, document)
            except (SourceError, RecursionError) as error:
                yield Failure(str(file.path), entry.locator, describe_error(error))

    def _group(self, group: Group, document: Document, locator: str) -> Item:
        key, status = make_key(group), self._decide_status(make_key(group), document)
        text = "\n\n".join(render_part(part, document.parameters, key) for part in group.parts)
        if not text.strip():
            return Drop(f"a {get_kind(group)} that only groups controls", locator)
        if status is None:
            return Drop("a text that another file of the same edition holds", locator)
        return self.record(
            self._edition(document),
            key=key,
            title=group.title,
            text=text,
            locator=locator,
            url=self._page(key),
            facts=Facts(kind=get_kind(group), section=[group.title]),
            status=status,
        )

    def _control(self, entry: Entry, document: Document) -> Iterator[Item]:
        control, status = entry.control, self._decide_status(entry.key, document)
        if status is None:
            yield Drop("a text that another file of the same edition holds", entry.locator)
            return
        withdrawn = self._withdrawn(control)
        yield self.record(
            self._edition(document),
            key=entry.key,
            title=_make_title(entry),
            text=self._text(entry, document, withdrawn=withdrawn),
            locator=entry.locator,
            url=self._page(entry.key),
            facts=self._facts(entry, document, withdrawn=withdrawn),
            status=Status.WITHDRAWN if withdrawn else status,
        )

    def _withdrawn(self, control: Control) -> bool:
        if get_value(control.props, "status").lower() == "withdrawn":
            return True
        if any(link.relation in _REPLACEMENT_WORDS for link in control.links):
            return True
        sign = self.source.options.get("withdrawn_without")
        return sign is not None and not control.controls and not any(p.name == sign for p in control.parts)

    def _text(self, entry: Entry, document: Document, *, withdrawn: bool) -> str:
        """Return the statement, the discussion, other parts, and references. Examples are facts."""
        control, parameters = entry.control, document.parameters
        sections: dict[str, str] = {"": "", "Discussion": ""}
        for part in control.parts:
            if part.name == "example" or _ASSESSMENT_PART.search(part.name):
                continue
            heading = "" if part.name in {"statement", "overview"} else _make_heading(part)
            text = render_part(part, parameters, entry.key)
            sections[heading] = "\n\n".join(piece for piece in (sections.get(heading, ""), text) if piece)
        if withdrawn:
            sections[""] = "\n\n".join(piece for piece in (sections[""], self._replacement(control)) if piece)
        sections["References"] = "\n".join(
            f"- {document.resources[link.target].title}: {parameters.resolve(link.text)}"
            for link in control.links
            if link.text and link.target in document.resources
        )
        return join_sections(sections)

    def _replacement(self, control: Control) -> str:
        """Return `Withdrawn: incorporated into MP-4 and SC-28.`"""
        clauses = []
        for relation, words in _REPLACEMENT_WORDS.items():
            keys = dict.fromkeys(
                self._key_of(link.target) for link in control.links if link.relation == relation
            )
            if keys:
                clauses.append(f"{words} {_join_words(list(keys))}")
        return f"Withdrawn: {'; '.join(clauses)}." if clauses else "Withdrawn."

    def _facts(self, entry: Entry, document: Document, *, withdrawn: bool) -> Facts:
        control, related, references = entry.control, list[str](), list[str]()
        parents = [self._key_of(entry.above[-1].id)] if entry.above else []
        if not parents and entry.groups and entry.groups[-1].parts:
            parents = [make_key(entry.groups[-1])]
        prose = [p for p in iter_parts(control.parts) if not _ASSESSMENT_PART.search(p.name)]
        for link in [*control.links, *(link for part in prose for link in part.links)]:
            resource = document.resources.get(link.target)
            if resource is not None:
                references += [
                    link_target.href for link_target in resource.rlinks if link_target.href.startswith("http")
                ][:1]
                if _PUBLICATION_53.search(
                    f"{resource.title} {resource.citation.text}".replace("SP800", "SP 800-")
                ):
                    related += _KEY_53.findall(link.text)
            elif link.relation in {"related", "required", *_REPLACEMENT_WORDS}:
                related.append(self._key_of(link.target))
        levels = [] if withdrawn else self._levels.of(entry)
        return Facts(
            kind=get_kind(control),
            parents=parents,
            related=[key for key in dict.fromkeys(related) if key not in {*parents, entry.key}],
            examples=[
                text
                for part in control.parts
                if part.name == "example" and (text := render_part(part, document.parameters, entry.key))
            ],
            assessments=[] if withdrawn else list(_render_assessments(entry, document)),
            section=[group.title for group in entry.groups] + [above.title for above in entry.above],
            levels=levels,
            references=list(dict.fromkeys(references)),
        )

    def _key_of(self, target: str) -> str:
        """Return the key of a link's target: a control, a part of one, or a control of another document."""
        if target in self._keys:
            return self._keys[target]
        if match := _ID_53.fullmatch(target.partition("_")[0]):
            family, number, enhancement = match.groups()
            return f"{family.upper()}-{int(number)}" + (f"({int(enhancement)})" if enhancement else "")
        return target

    def _page(self, key: str) -> str:
        template = self.source.options.get("page")
        return str(template).format(key=key, padded=_pad_key(key)) if template else self.source.url

    def _edition(self, document: Document) -> FetchedFile:
        if self.source.options.get("editions") != "document" or not document.catalog.metadata.version:
            return document.file
        return msgspec.structs.replace(document.file, edition=document.catalog.metadata.version)


def _render_assessments(entry: Entry, document: Document) -> Iterator[str]:
    """Yield what is determined of a control, then each method with its objects (SP 800-53A)."""
    for part in entry.control.parts:
        if not _ASSESSMENT_PART.search(part.name):
            continue
        method = get_value(part.props, "method").capitalize()
        text = render_part(part, document.parameters, entry.key)
        if method:
            # The objects are paragraphs of a few words.
            objects = [" ".join(line.strip(" -").split()) for line in text.split("\n") if line.strip(" -")]
            text = f"{method}: {'; '.join(objects)}" if objects else ""
        else:
            # The parts that only number the items leave gaps in the indentation.
            text = re.sub(r"(?m)^ +- ", "- ", text)
        if text:
            yield text


def _make_title(entry: Entry) -> str:
    """Return a title that is clear without its context: an enhancement's with its control's, never a bare
    key.
    """
    title = entry.control.title.strip() or entry.key
    if entry.above and entry.above[-1].title not in title:
        return f"{entry.above[-1].title}: {title}"
    if title == entry.key and entry.groups:
        return f"{entry.groups[-1].title}: {title}"
    return title


def _make_heading(part: Part) -> str:
    if part.name in _DISCUSSION_PARTS:
        return "Discussion"
    return part.title or part.name.replace("-", " ").replace("_", " ").capitalize()


def _pad_key(key: str) -> str:
    """Return `AC-02(01)`, as CPRT's addresses have it; any other key unchanged."""
    match = re.fullmatch(r"([A-Z]{2})-(\d+)(?:\((\d+)\))?", key)
    if match is None:
        return key
    return f"{match[1]}-{int(match[2]):02}" + (f"({int(match[3]):02})" if match[3] else "")


def _join_words(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
