"""OWASP's verification standard (ASVS) in all of its formats → one Record a requirement, chapter and section.

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
from typing import Any

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers import markdown
from securetag.extractors.readers.base import Drop, Item, decode_json, read_bytes, read_text, reason_of
from securetag.extractors.readers.markdown import MarkdownReader, Page
from securetag.extractors.readers.owasp.asvs_formats import (
    Requirement,
    Standard,
    from_csv,
    from_json,
    from_table,
    from_xml,
    mappings,
)
from securetag.extractors.text import language, prose
from securetag.extractors.text.sections import Piece, Section
from securetag.extractors.text.yaml_doc import decode_documents
from securetag.records import Facts, Status, TextLang

_VERSION = re.compile(r"(?<![\d.])(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)(?![\d.]*\d)")
#: `V1.2 Injection Prevention`, `V2: Requerimientos …`.
_HEADING = re.compile(r"V(?P<number>\d+(?:\.\d+)?)[:.]?\s+(?P<name>.+)")
#: A text that is nothing but upstream's note on where it went: `[DELETED, DUPLICATE OF 4.1.3]`.
_TAG = re.compile(r"\s*\[(?P<tag>[^\[\]]+)\]\s*(?!\()(?P<rest>.*)", re.S)
_NUMBERS = re.compile(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])")
_VERSIONED = re.compile(r"v[\w.]+?-\d+(?:\.\d+)+")
_RELEASED = re.compile(r"v\d+(?:\.\d+)+-\d+(?:\.\d+)+")
_PLAIN_NUMBER = re.compile(r"(?<![\w.-])\d{1,5}(?![\w.-])")
#: `([C6](…))`: the Proactive Control that a requirement once came from.
_CONTROLS = re.compile(r"\s*\((?:\[C\d+\]\([^()\s]*\)(?:,\s*)?)+\)|\s*\(C\d+(?:,\s*C\d+)*\)")
_TABLE = re.compile(r"(?:^[ \t]*\|.*\n?){3,}", re.M)
_TEXTS = {".md": "md", ".markdown": "md", ".csv": "csv"}

Key = tuple[str, str, TextLang]  # version, number, language


class AsvsReader(MarkdownReader):
    """Reads files of any version and language; one source holds one version."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        yield from super().prepare(files)
        #: Requirement → the file that knows most of it, and what that file says.
        self._best: dict[Key, tuple[FetchedFile, Requirement]] = {}
        self._held: dict[FetchedFile, list[Key]] = defaultdict(list)
        #: `v5.0.0-1.2.3` → all that mappings say of it, and who of them names it.
        self._said: dict[str, str] = defaultdict(str)
        self._from: dict[str, list[str]] = defaultdict(list)
        #: (`5.0`, `1.2.3`) → how mappings name that requirement.
        self._called: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._mapping: set[FetchedFile] = set()
        for file in files:
            try:
                standard = self._standard(file)
            except SourceError as error:
                yield Failure(str(file.path), "", reason_of(error))
                continue
            for found in standard.requirements:
                lang = language.detect_path_language(_path(file), self.source.lang)
                key = (self._version(standard, file), found.number, lang)
                self._held[file].append(key)
                best = self._best.get(key)
                if best is None or found.richness > best[1].richness:
                    self._best[key] = file, found
        for name, text in self._said.items():
            for other in _VERSIONED.findall(text):
                self._from[other].append(name)
        for name in (*self._said, *self._from):
            version, _, number = name.removeprefix("v").rpartition("-")
            if _RELEASED.fullmatch(name):
                self._called[_short(version), number].add(name)

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
        if _kind(file) == "md":
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
        kind = _kind(file)
        if kind == "md":
            page = self.parse(file)
            chapter = prose.clean_line(page.root.title)
            return Standard("", list(_tables(page.root, chapter, chapter)))
        if kind == "csv":
            return from_csv(read_text(file))
        if kind == "xml":
            return from_xml(read_bytes(file))
        said = mappings(self._mapped(file, kind))
        if said:
            self._mapping.add(file)
            for name, text in said.items():
                self._said[name] += f" {text}"
            return Standard("", [])
        if kind == "json":
            return from_json(read_bytes(file))
        raise SourceError("YAML that maps no versions")

    @staticmethod
    def _mapped(file: FetchedFile, kind: str) -> dict[str, Any]:
        if kind == "json":
            return decode_json(read_bytes(file), dict[str, Any])
        return next(decode_documents(read_text(file), dict[str, Any]), {})

    def _version(self, standard: Standard, file: FetchedFile) -> str:
        """`5.0`: of the file, its name, or the source's edition."""
        for text in (standard.version, _path(file).name, self.source.edition):
            if found := _VERSION.search(text):
                return _short(found[1])
        return self.source.edition

    def _requirement(self, file: FetchedFile, key: Key, found: Requirement) -> Item:
        version, number, lang = key
        name = _name(version, number)
        tag = _TAG.fullmatch(found.text)
        withdrawn = tag is not None and not tag["rest"].strip()
        text = prose.clean(
            _CONTROLS.sub("", tag["tag"] if tag and withdrawn else tag["rest"] if tag else found.text)
        )
        merged = [_name(version, other) for other in _NUMBERS.findall(tag["tag"])] if tag else []
        came_from, cwe = self._joined(version, number)
        section = _HEADING.match(found.section)
        return self.record(
            file,
            key=name,
            title=": ".join(dict.fromkeys(filter(None, (_bare(found.chapter), _bare(found.section)))))
            or name,
            text=text,
            locator=found.locator,
            url=self.source.url,
            lang=lang,
            status=Status.WITHDRAWN if withdrawn else Status.ACTIVE,
            facts=Facts(
                kind="requirement",
                parents=[_name(version, f"V{number.rpartition('.')[0]}")]
                if number.count(".") == 2 or section
                else [],
                related=list(
                    dict.fromkeys([*merged, *came_from, *(f"SP 800-63B {part}" for part in found.nist)])
                ),
                cwe=found.cwe or cwe,
                levels=found.levels,
                section=[part for part in (_bare(found.chapter), _bare(found.section)) if part],
            ),
        )

    def _joined(self, version: str, number: str) -> tuple[list[str], list[str]]:
        """Keys of other versions' requirements that this one came from, and CWE of its drafts."""
        names = self._called.get((version, number), set())
        drafts = [draft for name in names for draft in self._from[name] if not _RELEASED.fullmatch(draft)]
        said = " ".join(self._said.get(name, "") for name in sorted({*names, *drafts}))
        keys = [
            _name(*other.removeprefix("v").rsplit("-", 1))
            for other in _VERSIONED.findall(said)
            if _RELEASED.fullmatch(other) and not other.startswith(f"v{version}.")
        ]
        return sorted(set(keys)), [f"CWE-{int(cwe)}" for cwe in dict.fromkeys(_PLAIN_NUMBER.findall(said))]

    def _prose(self, page: Page, section: Section, version: str, chapter: str) -> Item:
        heading = _HEADING.match(prose.clean_line(section.title))
        assert heading is not None
        path = tuple(dict.fromkeys((chapter, heading["name"])))
        lines = "\n".join(_TABLE.sub(_without_requirements, section.whole()).split("\n"))
        item = self.section(page, Piece((page.key, *path), lines, section.start))
        if isinstance(item, Drop):
            return item
        number = heading["number"]
        return self.record(
            page.file,
            key=_name(version, f"V{number}"),
            title=": ".join(path),
            text=markdown.clean(lines),
            locator=section.title,
            url=self.url(page),
            lang=page.lang,
            facts=Facts(
                kind="section",
                section=list(path),
                parents=[_name(version, f"V{number.split('.')[0]}")] if "." in number else [],
            ),
        )


def _path(file: FetchedFile) -> PurePosixPath:
    return markdown.path_of(file)


def _kind(file: FetchedFile) -> str:
    """`md`, `csv`, `xml`, `json` or `yaml`: by the suffix where contents don't tell, else by contents."""
    if kind := _TEXTS.get(_path(file).suffix.lower()):
        return kind
    start = read_bytes(file)[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"<": "xml", b"{": "json", b"[": "json"}.get(start, "yaml")


def _short(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _name(version: str, number: str) -> str:
    """`ASVS-5.0-1.2.3`; an identifier of its own stays what it is."""
    return f"ASVS-{_short(version)}-{number}" if number.removeprefix("V")[:1].isdigit() else number


def _bare(title: str) -> str:
    """A chapter's or section's title without its number."""
    found = _HEADING.match(title)
    return prose.clean_line(found["name"] if found else title)


def _tables(section: Section, chapter: str, title: str) -> Iterator[Requirement]:
    for table in _TABLE.findall(section.own_text + "\n"):
        for found in _table(table):
            yield msgspec.structs.replace(found, chapter=chapter, section=title if title != chapter else "")
    for child in section.children:
        yield from _tables(child, chapter, child.title)


def _table(text: str) -> list[Requirement]:
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in text.strip().split("\n")
    ]
    return from_table(rows[0], rows[2:]) if len(rows) > 2 else []


def _without_requirements(match: re.Match[str]) -> str:
    return "" if _table(match[0]) else match[0]
