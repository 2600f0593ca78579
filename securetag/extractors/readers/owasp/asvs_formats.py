"""The formats in which OWASP gives out a verification standard → requirements.

JSON (nested with one level or with three, flat, CycloneDX), CSV, XML, and the tables of the Markdown
chapters; all of them are recognised by their structure. https://github.com/OWASP/ASVS
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from securetag.errors import SourceError
from securetag.extractors.readers.base import decode_json
from securetag.extractors.text import xml_doc

#: Marks of a level's column by which a requirement belongs to it; `o` (recommended) isn't one.
_MARKS = {"✓", "✔", "✅", "x", "yes", "true", "y"}
_NUMBER = re.compile(r"[Vv]?(\d+(?:\.\d+)*)$")
_LEVELS = ("L1", "L2", "L3")


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement, as one file has it."""

    #: `1.2.3`, or an identifier of its own (`MSTG-STORAGE-1`).
    number: str
    text: str
    locator: str
    #: Titles of the chapter and the section that hold it.
    chapter: str = ""
    section: str = ""
    levels: list[str] = []
    #: `CWE-521`.
    cwe: list[str] = []
    #: Sections of NIST SP 800-63B.
    nist: list[str] = []

    @property
    def richness(self) -> int:
        """How much is known of it: the fields that are filled."""
        return sum(map(bool, (self.chapter, self.section, self.levels, self.cwe, self.nist)))


class Standard(msgspec.Struct, frozen=True):
    """What one file holds. `version` is "" where the file doesn't say."""

    version: str
    requirements: list[Requirement]


class _Level(msgspec.Struct):
    Required: bool | str = False
    Requirement: str = ""


class _Item(msgspec.Struct):
    Shortcode: str
    Name: str = ""
    Description: str = ""
    Items: list[_Item] = []
    L: str | int = ""
    L1: _Level = msgspec.field(default_factory=_Level)
    L2: _Level = msgspec.field(default_factory=_Level)
    L3: _Level = msgspec.field(default_factory=_Level)
    CWE: list[int | str] = []
    NIST: list[int | float | str] = []


class _Nested(msgspec.Struct):
    Requirements: list[_Item]
    Version: str = ""


class _Row(msgspec.Struct):
    req_id: str
    req_description: str
    chapter_name: str = ""
    section_name: str = ""
    L: str | int = ""
    level1: str = ""
    level2: str = ""
    level3: str = ""
    cwe: str | int = ""
    nist: str | float = ""


class _Flat(msgspec.Struct):
    requirements: list[_Row]


class _CdxRequirement(msgspec.Struct):
    identifier: str
    title: str = ""
    text: str = ""
    parent: str = ""


class _CdxLevel(msgspec.Struct):
    identifier: str
    requirements: list[str] = []


class _CdxStandard(msgspec.Struct):
    requirements: list[_CdxRequirement]
    version: str = ""
    levels: list[_CdxLevel] = []


class _Declarations(msgspec.Struct):
    standards: list[_CdxStandard]


class _Cdx(msgspec.Struct):
    declarations: _Declarations


class _Shape(msgspec.Struct):
    Requirements: msgspec.Raw = msgspec.Raw()
    requirements: msgspec.Raw = msgspec.Raw()
    declarations: msgspec.Raw = msgspec.Raw()


def from_json(data: bytes) -> Standard:
    """Raises SourceError."""
    shape = decode_json(data, _Shape)
    if bytes(shape.Requirements):
        nested = decode_json(data, _Nested)
        return Standard(nested.Version, list(_nested(nested.Requirements, "/Requirements")))
    if bytes(shape.requirements):
        rows = decode_json(data, _Flat).requirements
        return Standard("", [_flat(row, f"/requirements/{n}") for n, row in enumerate(rows)])
    if bytes(shape.declarations):
        found = decode_json(data, _Cdx).declarations.standards
        if len(found) == 1:
            return Standard(found[0].version, list(_cdx(found[0])))
    raise SourceError(
        "no verification standard: neither Requirements, requirements nor one of declarations.standards"
    )


def from_csv(text: str) -> Standard:
    """Raises SourceError."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        found = [
            _flat(
                msgspec.convert({k: v or "" for k, v in row.items() if isinstance(k, str)}, _Row), f"row {n}"
            )
            for n, row in enumerate(rows, 2)
        ]
    except (csv.Error, msgspec.ValidationError) as error:
        raise SourceError(f"not the CSV of a verification standard: {error}") from error
    return Standard("", found)


def from_xml(data: bytes) -> Standard:
    """Raises SourceError."""
    try:
        nested = msgspec.convert(_builtins(xml_doc.parse_xml(data)), _Nested, strict=False)
    except msgspec.ValidationError as error:
        raise SourceError(f"not the XML of a verification standard: {error}") from error
    return Standard(nested.Version, list(_nested(nested.Requirements, "/root/Requirements/item", xml=True)))


def _builtins(element: xml_doc.Element) -> Any:
    """An element as the JSON of the same standard has it: `item`s are a list, others a field."""
    if not len(element):
        return [] if element.tag in {"Requirements", "Items", "CWE", "NIST"} else element.text or ""
    if all(child.tag == "item" for child in element):
        return [_builtins(child) for child in element]
    return {str(child.tag): _builtins(child) for child in element}


def _nested(
    items: Sequence[_Item], where: str, *, xml: bool = False, above: Sequence[str] = ()
) -> Iterator[Requirement]:
    for index, item in enumerate(items):
        here = f"{where}[{index + 1}]" if xml else f"{where}/{index}"
        if item.Description and not item.Items:
            yield Requirement(
                number=number(item.Shortcode), text=item.Description, locator=here,
                chapter=above[0] if above else "", section=above[-1] if len(above) > 1 else "",
                levels=_levels(item.L, [bool(_required(level)) for level in (item.L1, item.L2, item.L3)]),
                cwe=_cwe(item.CWE), nist=[str(entry) for entry in item.NIST if str(entry).strip()],
            )  # fmt: skip
        inside = f"{here}/Items/item" if xml else f"{here}/Items"
        yield from _nested(item.Items, inside, xml=xml, above=[*above, item.Name])


def _required(level: _Level) -> bool:
    return str(level.Required).lower() == "true" or marked(level.Requirement)


def _flat(row: _Row, where: str) -> Requirement:
    marks = [marked(mark) for mark in (row.level1, row.level2, row.level3)]
    return Requirement(
        number=number(row.req_id), text=row.req_description, locator=where, chapter=row.chapter_name,
        section=row.section_name, levels=_levels(row.L, marks),
        cwe=_cwe(str(row.cwe).split(",")), nist=_listed(str(row.nist)),
    )  # fmt: skip


def _cdx(standard: _CdxStandard) -> Iterator[Requirement]:
    titles = {entry.identifier: entry for entry in standard.requirements}
    # A level holds what is new at it; the levels above hold that too.
    first = {key: n for n, level in reversed([*enumerate(standard.levels, 1)]) for key in level.requirements}
    for index, entry in enumerate(standard.requirements):
        if entry.text:
            section = titles.get(entry.parent)
            chapter = titles.get(section.parent) if section else None
            yield Requirement(
                number=number(entry.identifier), text=entry.text,
                locator=f"/declarations/standards/0/requirements/{index}",
                chapter=chapter.title if chapter else "", section=section.title if section else "",
                levels=_levels(first.get(entry.identifier, ""), []),
            )  # fmt: skip


def from_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Requirement]:
    """The requirements of a Markdown table; [] where it is none of them.

    Its first column is the number (`**1.2.3**`); the longest cell of a row is the text; `L1` to `L3`
    hold marks or a single column a figure, CWE and NIST are named so in every language.
    """
    names = [cell.strip().lower() for cell in head]
    found = []
    for row in rows:
        cells = dict(zip(names, row, strict=False))
        first = row[0].strip("* \t") if row else ""
        if not _NUMBER.match(first) or len(row) < 3:
            return []
        own = next((cell for cell in row[1:3] if re.fullmatch(r"[A-Z]+(?:-[A-Z]+)+-\d+", cell.strip())), "")
        last = row[-1].strip()
        found.append(
            Requirement(
                number=own.strip() or number(first), text=max(row[1:], key=len), locator=first,
                levels=_levels(last if "l1" not in cells and last in {"1", "2", "3"} else "",
                               [marked(cells.get(level.lower(), "")) for level in _LEVELS]),
                cwe=_cwe(cells.get("cwe", "").split(",")),
                nist=_listed(next((value for name, value in cells.items() if "nist" in name), "")),
            )
        )  # fmt: skip
    return found


def number(code: str) -> str:
    """`V1.2.3` → `1.2.3`."""
    found = _NUMBER.match(code.strip())
    return found[1] if found else code.strip()


def marked(cell: str) -> bool:
    """Whether a level's cell says that the requirement belongs to it. True = it does."""
    return cell.strip().lower() in _MARKS


def _levels(least: str | int, marks: Sequence[bool]) -> list[str]:
    """From the least level at which a requirement holds (`2` → L2, L3), or from a mark for each."""
    figure = re.search(r"[123]", str(least))
    if figure:
        return list(_LEVELS[int(figure[0]) - 1 :])
    return [level for level, mark in zip(_LEVELS, marks, strict=False) if mark]


def _cwe(values: Sequence[int | str]) -> list[str]:
    digits = (re.search(r"\d{1,5}", str(value)) for value in values)
    return list(dict.fromkeys(f"CWE-{int(found[0])}" for found in digits if found and int(found[0])))


def _listed(cell: str) -> list[str]:
    return [part.strip() for part in re.split(r"[/,;]", cell) if part.strip()]


def mappings(document: Mapping[str, Any]) -> dict[str, str]:
    """`v5.0.0-1.2.3` → what is said of it, of a file of mappings between versions; {} where it is none."""
    if not document or not all(re.fullmatch(r"v[\w.]+-\d+(?:\.\d+)+", key) for key in document):
        return {}
    return {
        key: " ".join(map(str, value.values())) if isinstance(value, dict) else str(value or "")
        for key, value in document.items()
    }
