"""Read CWE from its REST API: JSON, one entry a file or an envelope of several.

Format: https://github.com/CWE-CAPEC/REST-API-wg. Upstream turned XHTML into Markdown on the way and
left traces: fences around labels of detection methods, which are mended here, and marks in code (`cwe_code`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from securetag.errors import SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, decode_json, describe_error, read_bytes
from securetag.extractors.readers.mitre.cwe import CweReader, Group, Mitigation, Weakness, render_example
from securetag.extractors.readers.mitre.cwe_code import index_code, make_code_key, repair_code


class _Pascal(msgspec.Struct, rename="pascal", frozen=True):
    pass


class _Relation(_Pascal, frozen=True):
    nature: str
    cwe: str = msgspec.field(name="CweID")
    view: str = msgspec.field(name="ViewID", default="")


class _Platform(_Pascal, frozen=True):
    type: str = ""
    name: str = ""
    class_: str = msgspec.field(name="Class", default="")


class _Term(_Pascal, frozen=True):
    term: str = ""


class _Consequence(_Pascal, frozen=True):
    scope: list[str] = []
    impact: list[str] = []
    note: str = ""


class _Detection(_Pascal, frozen=True):
    method: str = ""
    description: str = ""


class _Mitigation(_Pascal, frozen=True):
    phase: list[str] = []
    strategy: str = ""
    description: str = ""


class _Entry(_Pascal, frozen=True):
    intro_text: str = ""
    body_text: str = ""
    nature: str = ""
    language: str = ""
    example_code: str = ""


class _Example(_Pascal, frozen=True):
    entries: list[_Entry] = []


class _Observed(_Pascal, frozen=True):
    reference: str = ""
    description: str = ""


class _Taxonomy(_Pascal, frozen=True):
    taxonomy_name: str = ""
    entry_id: str = msgspec.field(name="EntryID", default="")
    entry_name: str = ""


class _Mapping(_Pascal, frozen=True):
    usage: str = ""


class _Event(_Pascal, frozen=True):
    submission_date: str = ""


class _Member(_Pascal, frozen=True):
    cwe: str = msgspec.field(name="CweID", default="")


class _Group(_Pascal, frozen=True):
    """A category or view; a weakness has neither field."""

    name: str = ""
    status: str = ""
    #: `relationships` of categories, `members` of views.
    relationships: list[_Member] = []
    members: list[_Member] = []


class Entry(_Pascal, frozen=True):
    """One weakness, category or view."""

    id: str = msgspec.field(name="ID")
    name: str
    status: str = ""
    abstraction: str | None = None
    #: Views have a type, categories a summary, weaknesses a description.
    type: str | None = None
    description: str = ""
    summary: str = ""
    objective: str = ""
    extended_description: str = ""
    background_details: list[str] = []
    related_weaknesses: list[_Relation] = []
    related_attack_patterns: list[str] = []
    applicable_platforms: list[_Platform] = []
    alternate_terms: list[_Term] = []
    potential_mitigations: list[_Mitigation] = []
    common_consequences: list[_Consequence] = []
    detection_methods: list[_Detection] = []
    demonstrative_examples: list[_Example] = []
    observed_examples: list[_Observed] = []
    taxonomy_mappings: list[_Taxonomy] = []
    mapping_notes: _Mapping = _Mapping()
    likelihood_of_exploit: str = ""
    content_history: list[_Event] = []


class CweJsonReader(CweReader):
    """Reads an entry, a list of entries, or `{"Weaknesses": […], "Categories": […], "Views": […]}`.

    An XML catalog among the files, of any edition, lends its form of the same example code.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        #: `make_code_key` of a code → the code as the XML has it.
        self.clean_code: dict[str, str] = {}

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        self.clean_code.clear()
        for file in files:
            if file.path.suffix == ".xml":
                self.clean_code |= index_code(file.path)
        yield from super().prepare([file for file in files if file.path.suffix != ".xml"])

    def groups(self, file: FetchedFile) -> Iterator[Group]:
        for _, raw in _list_entries(read_bytes(file)):
            try:
                group = decode_json(raw, _Group)
            except SourceError:
                continue  # `read_file` reports it
            members = [member.cwe for member in (*group.relationships, *group.members)]
            if members:
                yield Group(name=group.name, status=group.status, members=members)

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        if file.path.suffix == ".xml":
            yield Drop("another edition as XML, whose example code is joined to the entries")
            return
        for locator, raw in _list_entries(read_bytes(file)):
            try:
                yield self.item(_make_weakness(decode_json(raw, Entry), self.clean_code), file, locator)
            except SourceError as error:
                yield Failure(str(file.path), locator, describe_error(error))


def _list_entries(data: bytes) -> list[tuple[str, bytes]]:
    """Return (locator, entry) pairs; none for `cwev.json`, which holds totals. Raises SourceError."""
    document = decode_json(data, dict[str, msgspec.Raw] | list[msgspec.Raw])  # type: ignore[arg-type]
    if isinstance(document, list):
        entries = [(f"#/{index}", bytes(raw)) for index, raw in enumerate(document)]
    elif "ID" in document:
        entries = [("#", data)]
    else:
        entries = [
            (f"#/{name}/{index}", bytes(raw))
            for name in ("Weaknesses", "Categories", "Views")
            if name in document
            for index, raw in enumerate(decode_json(bytes(document[name]), list[msgspec.Raw]))
        ]
        if not entries and "TotalWeaknesses" in document:
            return []
    if not entries:
        raise SourceError("a JSON document without CWE entries")
    return entries


def _get_kind(entry: Entry) -> Literal["weakness", "category", "view"]:
    if entry.abstraction is not None or entry.description:
        return "weakness"
    return "view" if entry.type is not None or entry.objective else "category"


def _make_weakness(entry: Entry, clean_code: Mapping[str, str]) -> Weakness:
    platforms = [p.name or p.class_ for p in entry.applicable_platforms]
    return Weakness(
        kind=_get_kind(entry),
        id=entry.id,
        name=entry.name,
        status=entry.status,
        description=join_lines(entry.description or entry.summary or entry.objective),
        extended=remove_indentation(entry.extended_description),
        background=[remove_indentation(text) for text in entry.background_details],
        relations=[(r.nature, r.cwe, r.view) for r in entry.related_weaknesses],
        attack_patterns=entry.related_attack_patterns,
        platforms=[name for name in platforms if not name.startswith("Not ")],
        terms=[term.term for term in entry.alternate_terms],
        mitigations=[
            Mitigation(m.phase, m.strategy, remove_indentation(m.description))
            for m in entry.potential_mitigations
        ],
        consequences=[(c.scope, c.impact, remove_indentation(c.note)) for c in entry.common_consequences],
        detections=[(d.method, repair_detection(d.description)) for d in entry.detection_methods],
        examples=[
            render_example([_make_example_entry(e, clean_code) for e in x.entries])
            for x in entry.demonstrative_examples
        ],
        observed=[(o.reference, join_lines(o.description)) for o in entry.observed_examples],
        taxonomies=[(t.taxonomy_name, t.entry_id, t.entry_name) for t in entry.taxonomy_mappings],
        mapping_usage=entry.mapping_notes.usage,
        likelihood=entry.likelihood_of_exploit,
        published=next(
            (event.submission_date for event in entry.content_history if event.submission_date), ""
        ),
    )


def _make_example_entry(entry: _Entry, clean_code: Mapping[str, str]) -> tuple[str, str, str]:
    if not entry.example_code:
        return "", "", remove_indentation(entry.intro_text or entry.body_text)
    code = clean_code.get(make_code_key(entry.example_code)) or repair_code(entry.example_code)
    return entry.nature or "Code", entry.language, code


def join_lines(text: str) -> str:
    """Return one paragraph on one line; several paragraphs stay as they are."""
    return text if "\n\n" in text else " ".join(text.split())


def remove_indentation(text: str) -> str:
    """Remove indentation that would make prose into code; a list inside keeps its marks."""
    if "\n" not in text or "```" in text:
        return text
    return "\n".join(re.sub(r"^[ \t]{2,}(?=[-*] )|^\t+|^ {4,}", "", line) for line in text.split("\n"))


def repair_detection(text: str) -> str:
    """Convert labels that upstream put into fences, and the tabbed lines below them, to lists."""
    if "```" not in text and "\t" not in text:
        return text
    lines: list[str] = []
    for line in text.split("\n"):
        words = line.strip()
        if words == "```":
            continue
        if line.startswith("\t") and words and not words.endswith(":"):
            lines.append(f"- {words}")
        else:
            lines.append(words if not words.endswith(":") or not line.startswith("\t") else f"\n{words}\n")
    return "\n".join(lines)
