"""Read OWASP's verification standard (ASVS) in all formats: one Record a requirement, chapter and section.

A requirement is often there many times, in JSON, CSV, XML and Markdown. Its Record is made of the file
that knows most of it (levels, CWE, NIST, titles); the other copies are dropped, and counted. Markdown
chapters give the prose of chapters and sections. Mappings between versions are joined: what a
requirement came from, and the CWE that a draft of the version was mapped to.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers import markdown
from securetag.extractors.readers.base import Drop, Item, decode_json, describe_error, read_bytes, read_text
from securetag.extractors.readers.markdown import MarkdownReader, Page
from securetag.extractors.readers.owasp.asvs_formats import (
    Requirement,
    Standard,
    read_csv,
    read_json,
    read_mappings,
    read_table,
    read_xml,
)
from securetag.extractors.text import language, prose
from securetag.extractors.text.sections import Piece, Section
from securetag.extractors.text.yaml_doc import decode_documents
from securetag.records import Facts, JsonObject, Status, TextLang

_VERSION = re.compile(r"(?<![\d.])(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)(?![\d.]*\d)")
#: `V1.2 Injection Prevention`, `V2: Requerimientos …`.
_HEADING = re.compile(r"V(?P<number>\d+(?:\.\d+)?)[:.]?\s+(?P<name>.+)")
#: Upstream's note on a removed requirement: `[DELETED, DUPLICATE OF 4.1.3]`.
_TAG = re.compile(r"\s*\[(?P<tag>[^\[\]]+)\]\s*(?!\()(?P<rest>.*)", re.S)
_NUMBERS = re.compile(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])")
_VERSIONED = re.compile(r"v[\w.]+?-\d+(?:\.\d+)+")
_RELEASED = re.compile(r"v\d+(?:\.\d+)+-\d+(?:\.\d+)+")
_PLAIN_NUMBER = re.compile(r"(?<![\w.-])\d{1,5}(?![\w.-])")
#: `([C6](…))`: the Proactive Control that a requirement is based on.
_CONTROLS = re.compile(r"\s*\((?:\[C\d+\]\([^()\s]*\)(?:,\s*)?)+\)|\s*\(C\d+(?:,\s*C\d+)*\)")
_TABLE = re.compile(r"(?:^[ \t]*\|.*\n?){3,}", re.M)
_KIND_BY_SUFFIX = {".md": "md", ".markdown": "md", ".csv": "csv"}

Key = tuple[str, str, TextLang]  # version, number, language


class AsvsReader(MarkdownReader):
    """Reads files of any version and language; one source holds one version."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        yield from super().prepare(files)
        #: Requirement → the file with most of its fields, and the requirement there.
        self._best: dict[Key, tuple[FetchedFile, Requirement]] = {}
        self._held: dict[FetchedFile, list[Key]] = defaultdict(list)
        #: `v5.0.0-1.2.3` → the texts of mappings on it, and the requirements that refer to it.
        self._said: dict[str, str] = defaultdict(str)
        self._from: dict[str, list[str]] = defaultdict(list)
        #: (`5.0`, `1.2.3`) → names of that requirement in mappings.
        self._called: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._mapping: set[FetchedFile] = set()
        for file in files:
            try:
                standard = self._standard(file)
            except SourceError as error:
                yield Failure(str(file.path), "", describe_error(error))
                continue
            for requirement in standard.requirements:
                lang = language.detect_path_language(_get_path(file), self.source.lang)
                key = (self._version(standard, file), requirement.number, lang)
                self._held[file].append(key)
                best = self._best.get(key)
                if best is None or requirement.richness > best[1].richness:
                    self._best[key] = file, requirement
        for name, text in self._said.items():
            for other in _VERSIONED.findall(text):
                self._from[other].append(name)
        for name in (*self._said, *self._from):
            version, _, number = name.removeprefix("v").rpartition("-")
            if _RELEASED.fullmatch(name):
                self._called[_shorten_version(version), number].add(name)

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        if file in self._mapping:
            yield Drop("a mapping between versions, joined to the requirements")
            return
        for key in self._held[file]:
            best, requirement = self._best[key]
            if best is file:
                yield self._requirement(file, key, requirement)
            else:
                yield Drop("the same requirement in a format that says more", f"{key[0]}-{key[1]}")
        if _detect_kind(file) == "md":
            yield from self.items(self.parse(file))

    def items(self, page: Page) -> Iterator[Item]:
        chapter = _HEADING.match(prose.clean_line(page.root.title))
        if chapter is None:
            yield from super().items(page)
            return
        version = self._version(Standard("", []), page.file)
        sections = [child for child in page.root.children if _HEADING.match(child.title)]
        page.root.children = [child for child in page.root.children if child not in sections]
        for section in (page.root, *sections):
            yield self._prose(page, section, version, chapter["name"])

    def _standard(self, file: FetchedFile) -> Standard:
        kind = _detect_kind(file)
        if kind == "md":
            page = self.parse(file)
            chapter = prose.clean_line(page.root.title)
            return Standard("", list(_list_requirements(page.root, chapter, chapter)))
        if kind == "csv":
            return read_csv(read_text(file))
        if kind == "xml":
            return read_xml(read_bytes(file))
        mapping_texts = read_mappings(self._mapped(file, kind))
        if mapping_texts:
            self._mapping.add(file)
            for name, text in mapping_texts.items():
                self._said[name] += f" {text}"
            return Standard("", [])
        if kind == "json":
            return read_json(read_bytes(file))
        raise SourceError("YAML that maps no versions")

    @staticmethod
    def _mapped(file: FetchedFile, kind: str) -> JsonObject:
        if kind == "json":
            return decode_json(read_bytes(file), JsonObject)
        return next(decode_documents(read_text(file), JsonObject), {})

    def _version(self, standard: Standard, file: FetchedFile) -> str:
        """Return `5.0`, from the file's content, its name, or the source's edition."""
        for text in (standard.version, _get_path(file).name, self.source.edition):
            if match := _VERSION.search(text):
                return _shorten_version(match[1])
        return self.source.edition

    def _requirement(self, file: FetchedFile, key: Key, requirement: Requirement) -> Item:
        version, number, lang = key
        name = _make_key(version, number)
        tag = _TAG.fullmatch(requirement.text)
        withdrawn = tag is not None and not tag["rest"].strip()
        text = prose.clean(
            _CONTROLS.sub("", tag["tag"] if tag and withdrawn else tag["rest"] if tag else requirement.text)
        )
        merged = [_make_key(version, other) for other in _NUMBERS.findall(tag["tag"])] if tag else []
        came_from, cwe = self._joined(version, number)
        section = _HEADING.match(requirement.section)
        return self.record(
            file,
            key=name,
            title=": ".join(
                dict.fromkeys(
                    filter(None, (_strip_number(requirement.chapter), _strip_number(requirement.section)))
                )
            )
            or name,
            text=text,
            locator=requirement.locator,
            url=self.source.url,
            lang=lang,
            status=Status.WITHDRAWN if withdrawn else Status.ACTIVE,
            facts=Facts(
                kind="requirement",
                parents=[_make_key(version, f"V{number.rpartition('.')[0]}")]
                if number.count(".") == 2 or section
                else [],
                related=list(
                    dict.fromkeys([*merged, *came_from, *(f"SP 800-63B {part}" for part in requirement.nist)])
                ),
                cwe=requirement.cwe or cwe,
                levels=requirement.levels,
                section=[
                    part
                    for part in (_strip_number(requirement.chapter), _strip_number(requirement.section))
                    if part
                ],
            ),
        )

    def _joined(self, version: str, number: str) -> tuple[list[str], list[str]]:
        """Return the keys of other versions' requirements that this one came from, and the CWE ids of its
        drafts.
        """
        names = self._called.get((version, number), set())
        drafts = [draft for name in names for draft in self._from[name] if not _RELEASED.fullmatch(draft)]
        mapping_text = " ".join(self._said.get(name, "") for name in sorted({*names, *drafts}))
        keys = [
            _make_key(*other.removeprefix("v").rsplit("-", 1))
            for other in _VERSIONED.findall(mapping_text)
            if _RELEASED.fullmatch(other) and not other.startswith(f"v{version}.")
        ]
        return sorted(set(keys)), [
            f"CWE-{int(cwe)}" for cwe in dict.fromkeys(_PLAIN_NUMBER.findall(mapping_text))
        ]

    def _prose(self, page: Page, section: Section, version: str, chapter: str) -> Item:
        heading = _HEADING.match(prose.clean_line(section.title))
        assert heading is not None
        path = tuple(dict.fromkeys((chapter, heading["name"])))
        lines = "\n".join(_TABLE.sub(_remove_requirements, section.whole()).split("\n"))
        item = self.section(page, Piece((page.key, *path), lines, section.start))
        if isinstance(item, Drop):
            return item
        number = heading["number"]
        return self.record(
            page.file,
            key=_make_key(version, f"V{number}"),
            title=": ".join(path),
            text=markdown.clean_section(lines),
            locator=section.title,
            url=self.url(page),
            lang=page.lang,
            facts=Facts(
                kind="section",
                section=list(path),
                parents=[_make_key(version, f"V{number.split('.')[0]}")] if "." in number else [],
            ),
        )


def _get_path(file: FetchedFile) -> PurePosixPath:
    return markdown.get_upstream_path(file)


def _detect_kind(file: FetchedFile) -> str:
    """Return `md`, `csv`, `xml`, `json` or `yaml`, by the suffix where contents don't decide."""
    if kind := _KIND_BY_SUFFIX.get(_get_path(file).suffix.lower()):
        return kind
    start = read_bytes(file)[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"<": "xml", b"{": "json", b"[": "json"}.get(start, "yaml")


def _shorten_version(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _make_key(version: str, number: str) -> str:
    """Return `ASVS-5.0-1.2.3`; an identifier that isn't a number stays unchanged."""
    return f"ASVS-{_shorten_version(version)}-{number}" if number.removeprefix("V")[:1].isdigit() else number


def _strip_number(title: str) -> str:
    """Return the title of a chapter or section without its number."""
    match = _HEADING.match(title)
    return prose.clean_line(match["name"] if match else title)


def _list_requirements(section: Section, chapter: str, title: str) -> Iterator[Requirement]:
    for table in _TABLE.findall(section.own_text + "\n"):
        for requirement in _parse_table(table):
            yield msgspec.structs.replace(
                requirement, chapter=chapter, section=title if title != chapter else ""
            )
    for child in section.children:
        yield from _list_requirements(child, chapter, child.title)


def _parse_table(text: str) -> list[Requirement]:
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in text.strip().split("\n")
    ]
    return read_table(rows[0], rows[2:]) if len(rows) > 2 else []


def _remove_requirements(match: re.Match[str]) -> str:
    return "" if _parse_table(match[0]) else match[0]
