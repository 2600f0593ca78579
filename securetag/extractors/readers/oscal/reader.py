"""OSCAL catalogs and profiles → one Record a control, enhancement, practice, task or category.

A source may hold several editions of one publication and several files of an edition (JSON beside
XML, a full catalog beside baselines). Of each key the newest edition's Record is active, older ones
are superseded; where the newest edition is only partly at hand, the others stay in use. Profiles
become no Records, since they say nothing but which controls they hold: they become the controls'
`levels`, of each level the newest profile's. How a control is assessed is left out.

Options of the catalog row: `page` (URL template with `{key}` and `{padded}`, as CPRT writes keys),
`editions: document` (a Record's edition is its document's version), `withdrawn_without` (a part's
name: controls without such a part were withdrawn, in editions that say so nowhere).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from securetag.errors import SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, reason_of
from securetag.extractors.readers.oscal.model import Control, Group, Part, Profile, all_parts, decode
from securetag.extractors.readers.oscal.prose import joined, statement, value_of
from securetag.extractors.readers.oscal.tree import Document, Entry, Levels, key_of, kind_of, read_catalog
from securetag.records import Facts, Status

_ASSESSMENT = re.compile(r"assess|objective|objects$", re.I)
_DISCUSSION = {"guidance", "discussion", "supplemental-guidance"}
_REPLACED = {"incorporated-into": "incorporated into", "moved-to": "moved to", "addressed-by": "addressed by"}
#: `ac-2.1` where the document that holds it isn't at hand: `AC-2(1)`.
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
        #: Id of a control, or of a part of one → the control's key.
        self._keys: dict[str, str] = {}
        #: Key → edition → the file whose Record it is.
        self._holders: dict[str, dict[tuple[int, ...], Document]] = {}
        self._levels = Levels((), ())

    def read(self, files: Sequence[FetchedFile]) -> Iterator[Item]:
        """Newest editions first: where two editions say the same, the active Record is the first."""
        self._broken = list(self._load(files))
        ranks = {path: document.rank for path, document in self._documents.items()}
        lowest = ((), "", False, 0)
        yield from super().read(sorted(files, key=lambda f: ranks.get(str(f.path), lowest), reverse=True))

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:  # noqa: ARG002
        yield from self._broken

    def _load(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        for file in files:
            try:
                found = decode(file)
                if isinstance(found, Profile):
                    self._profiles[str(file.path)] = found
                else:
                    self._documents[str(file.path)] = read_catalog(file, found)
            except (SourceError, RecursionError) as error:
                yield Failure(str(file.path), "", reason_of(error))
        for document in self._documents.values():
            for entry in document.entries:
                for id_ in (entry.control.id, *(part.id for part in all_parts(entry.control.parts))):
                    self._keys.setdefault(id_, entry.key)
                self._hold(entry.key, document)
            for group, _ in document.groups:
                self._keys.setdefault(group.id, key_of(group))
                self._hold(key_of(group), document)
        self._levels = Levels(self._profiles.values(), self._documents.values())

    def _hold(self, key: str, document: Document) -> None:
        """Of one edition the best file holds a key."""
        editions = self._holders.setdefault(key, {})
        held = editions.get(document.edition)
        if held is None or held.rank < document.rank:
            editions[document.edition] = document

    def _standing(self, key: str, document: Document) -> Status | None:
        """Whether a newer edition is at hand that holds the key; None = another file of this edition does."""
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
                yield Failure(str(file.path), entry.locator, reason_of(error))

    def _group(self, group: Group, document: Document, locator: str) -> Item:
        key, standing = key_of(group), self._standing(key_of(group), document)
        text = "\n\n".join(statement(part, document.parameters, key) for part in group.parts)
        if not text.strip():
            return Drop(f"a {kind_of(group)} that only groups controls", locator)
        if standing is None:
            return Drop("a text that another file of the same edition holds", locator)
        return self.record(
            self._edition(document),
            key=key,
            title=group.title,
            text=text,
            locator=locator,
            url=self._page(key),
            facts=Facts(kind=kind_of(group), section=[group.title]),
            status=standing,
        )

    def _control(self, entry: Entry, document: Document) -> Iterator[Item]:
        control, standing = entry.control, self._standing(entry.key, document)
        if standing is None:
            yield Drop("a text that another file of the same edition holds", entry.locator)
            return
        yield from (
            Drop("how a control is assessed, not what it asks for", f"{entry.locator}#{part.id}")
            for part in control.parts
            if _ASSESSMENT.search(part.name)
        )
        withdrawn = self._withdrawn(control)
        yield self.record(
            self._edition(document),
            key=entry.key,
            title=_title(entry),
            text=self._text(entry, document, withdrawn=withdrawn),
            locator=entry.locator,
            url=self._page(entry.key),
            facts=self._facts(entry, document, withdrawn=withdrawn),
            status=Status.WITHDRAWN if withdrawn else standing,
        )

    def _withdrawn(self, control: Control) -> bool:
        if value_of(control.props, "status").lower() == "withdrawn":
            return True
        if any(link.relation in _REPLACED for link in control.links):
            return True
        sign = self.source.options.get("withdrawn_without")
        return sign is not None and not control.controls and not any(p.name == sign for p in control.parts)

    def _text(self, entry: Entry, document: Document, *, withdrawn: bool) -> str:
        """The statement; the discussion; other parts; what it maps to. Examples are facts."""
        control, parameters = entry.control, document.parameters
        found: dict[str, str] = {"": "", "Discussion": ""}
        for part in control.parts:
            if part.name == "example" or _ASSESSMENT.search(part.name):
                continue
            heading = "" if part.name in {"statement", "overview"} else _heading(part)
            text = statement(part, parameters, entry.key)
            found[heading] = "\n\n".join(piece for piece in (found.get(heading, ""), text) if piece)
        if withdrawn:
            found[""] = "\n\n".join(piece for piece in (found[""], self._replacement(control)) if piece)
        found["References"] = "\n".join(
            f"- {document.resources[link.target].title}: {parameters.resolve(link.text)}"
            for link in control.links
            if link.text and link.target in document.resources
        )
        return joined(found)

    def _replacement(self, control: Control) -> str:
        """`Withdrawn: incorporated into MP-4 and SC-28.`"""
        clauses = []
        for relation, words in _REPLACED.items():
            keys = dict.fromkeys(
                self._key_of(link.target) for link in control.links if link.relation == relation
            )
            if keys:
                clauses.append(f"{words} {_and(list(keys))}")
        return f"Withdrawn: {'; '.join(clauses)}." if clauses else "Withdrawn."

    def _facts(self, entry: Entry, document: Document, *, withdrawn: bool) -> Facts:
        control, related, references = entry.control, list[str](), list[str]()
        parents = [self._key_of(entry.above[-1].id)] if entry.above else []
        if not parents and entry.groups and entry.groups[-1].parts:
            parents = [key_of(entry.groups[-1])]
        prose = [p for p in all_parts(control.parts) if not _ASSESSMENT.search(p.name)]
        for link in [*control.links, *(link for part in prose for link in part.links)]:
            resource = document.resources.get(link.target)
            if resource is not None:
                references += [found.href for found in resource.rlinks if found.href.startswith("http")][:1]
                if _PUBLICATION_53.search(
                    f"{resource.title} {resource.citation.text}".replace("SP800", "SP 800-")
                ):
                    related += _KEY_53.findall(link.text)
            elif link.relation in {"related", "required", *_REPLACED}:
                related.append(self._key_of(link.target))
        levels = [] if withdrawn else self._levels.of(entry)
        return Facts(
            kind=kind_of(control),
            parents=parents,
            related=[key for key in dict.fromkeys(related) if key not in {*parents, entry.key}],
            examples=[
                text
                for part in control.parts
                if part.name == "example" and (text := statement(part, document.parameters, entry.key))
            ],
            section=[group.title for group in entry.groups] + [above.title for above in entry.above],
            levels=levels,
            references=list(dict.fromkeys(references)),
        )

    def _key_of(self, target: str) -> str:
        """The key of what a link points at: a control, a part of one, or one that isn't at hand."""
        if target in self._keys:
            return self._keys[target]
        if match := _ID_53.fullmatch(target.partition("_")[0]):
            family, number, enhancement = match.groups()
            return f"{family.upper()}-{int(number)}" + (f"({int(enhancement)})" if enhancement else "")
        return target

    def _page(self, key: str) -> str:
        template = self.source.options.get("page")
        return str(template).format(key=key, padded=_padded(key)) if template else self.source.url

    def _edition(self, document: Document) -> FetchedFile:
        if self.source.options.get("editions") != "document" or not document.catalog.metadata.version:
            return document.file
        return msgspec.structs.replace(document.file, edition=document.catalog.metadata.version)


def _title(entry: Entry) -> str:
    """A name that says something alone: an enhancement's with its control's, never a bare key."""
    title = entry.control.title.strip() or entry.key
    if entry.above and entry.above[-1].title not in title:
        return f"{entry.above[-1].title}: {title}"
    if title == entry.key and entry.groups:
        return f"{entry.groups[-1].title}: {title}"
    return title


def _heading(part: Part) -> str:
    if part.name in _DISCUSSION:
        return "Discussion"
    return part.title or part.name.replace("-", " ").replace("_", " ").capitalize()


def _padded(key: str) -> str:
    """`AC-02(01)`, as CPRT's pages are addressed; any other key as it is."""
    match = re.fullmatch(r"([A-Z]{2})-(\d+)(?:\((\d+)\))?", key)
    if match is None:
        return key
    return f"{match[1]}-{int(match[2]):02}" + (f"({int(match[3]):02})" if match[3] else "")


def _and(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
