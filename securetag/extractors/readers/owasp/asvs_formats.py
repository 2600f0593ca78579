"""Read the formats of OWASP's verification standard as requirements.

JSON (nested with one level or with three, flat, CycloneDX), CSV, XML, and the tables of the Markdown
chapters; all of them are recognized by their structure. https://github.com/OWASP/ASVS
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

import msgspec

from securetag.errors import SourceError
from securetag.extractors.readers.base import decode_json
from securetag.extractors.text import xml_doc
from securetag.records import JsonObject

#: Marks in a level's column for a requirement of that level; `o` (recommended) isn't one.
_LEVEL_MARKS = {"✓", "✔", "✅", "x", "yes", "true", "y"}
_NUMBER = re.compile(r"[Vv]?(\d+(?:\.\d+)*)$")
_LEVELS = ("L1", "L2", "L3")


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement, as one file has it."""

    #: `1.2.3`, or an identifier (`MSTG-STORAGE-1`).
    number: str
    text: str
    locator: str
    #: Titles of its chapter and section.
    chapter: str = ""
    section: str = ""
    levels: list[str] = []
    #: `CWE-521`.
    cwe: list[str] = []
    #: Sections of NIST SP 800-63B.
    nist: list[str] = []

    @property
    def richness(self) -> int:
        """Number of optional fields that are filled."""
        return sum(map(bool, (self.chapter, self.section, self.levels, self.cwe, self.nist)))


class Standard(msgspec.Struct, frozen=True):
    """The requirements of one file; `version` is "" where the file has none."""

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


def read_json(data: bytes) -> Standard:
    """Return the requirements of a JSON file, nested, flat or CycloneDX. Raises SourceError."""
    shape = decode_json(data, _Shape)
    if bytes(shape.Requirements):
        nested = decode_json(data, _Nested)
        return Standard(nested.Version, list(_list_nested(nested.Requirements, "/Requirements")))
    if bytes(shape.requirements):
        rows = decode_json(data, _Flat).requirements
        return Standard("", [_make_requirement(row, f"/requirements/{n}") for n, row in enumerate(rows)])
    if bytes(shape.declarations):
        standards = decode_json(data, _Cdx).declarations.standards
        if len(standards) == 1:
            return Standard(standards[0].version, list(_list_cyclonedx(standards[0])))
    raise SourceError(
        "no verification standard: neither Requirements, requirements nor one of declarations.standards"
    )


def read_csv(text: str) -> Standard:
    """Return the requirements of a CSV file. Raises SourceError."""
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        requirements = [
            _make_requirement(
                msgspec.convert({k: v or "" for k, v in row.items() if isinstance(k, str)}, _Row), f"row {n}"
            )
            for n, row in enumerate(rows, 2)
        ]
    except (csv.Error, msgspec.ValidationError) as error:
        raise SourceError(f"not the CSV of a verification standard: {error}") from error
    return Standard("", requirements)


def read_xml(data: bytes) -> Standard:
    """Return the requirements of an XML file. Raises SourceError."""
    try:
        nested = msgspec.convert(_convert_element(xml_doc.parse_xml(data)), _Nested, strict=False)
    except msgspec.ValidationError as error:
        raise SourceError(f"not the XML of a verification standard: {error}") from error
    return Standard(
        nested.Version, list(_list_nested(nested.Requirements, "/root/Requirements/item", xml=True))
    )


def _convert_element(element: xml_doc.Element) -> object:
    """Return an element as the JSON of the same standard has it: `item`s are a list, others a field."""
    if not len(element):
        return [] if element.tag in {"Requirements", "Items", "CWE", "NIST"} else element.text or ""
    if all(child.tag == "item" for child in element):
        return [_convert_element(child) for child in element]
    return {str(child.tag): _convert_element(child) for child in element}


def _list_nested(
    items: Sequence[_Item], parent_locator: str, *, xml: bool = False, parent_names: Sequence[str] = ()
) -> Iterator[Requirement]:
    for index, item in enumerate(items):
        locator = f"{parent_locator}[{index + 1}]" if xml else f"{parent_locator}/{index}"
        if item.Description and not item.Items:
            yield Requirement(
                number=normalize_number(item.Shortcode),
                text=item.Description,
                locator=locator,
                chapter=parent_names[0] if parent_names else "",
                section=parent_names[-1] if len(parent_names) > 1 else "",
                levels=_list_levels(
                    item.L, [bool(_is_required(level)) for level in (item.L1, item.L2, item.L3)]
                ),
                cwe=_list_cwe_ids(item.CWE),
                nist=[str(entry) for entry in item.NIST if str(entry).strip()],
            )
        children_locator = f"{locator}/Items/item" if xml else f"{locator}/Items"
        yield from _list_nested(
            item.Items, children_locator, xml=xml, parent_names=[*parent_names, item.Name]
        )


def _is_required(level: _Level) -> bool:
    return str(level.Required).lower() == "true" or is_marked(level.Requirement)


def _make_requirement(row: _Row, locator: str) -> Requirement:
    marks = [is_marked(mark) for mark in (row.level1, row.level2, row.level3)]
    return Requirement(
        number=normalize_number(row.req_id),
        text=row.req_description,
        locator=locator,
        chapter=row.chapter_name,
        section=row.section_name,
        levels=_list_levels(row.L, marks),
        cwe=_list_cwe_ids(str(row.cwe).split(",")),
        nist=_split_list(str(row.nist)),
    )


def _list_cyclonedx(standard: _CdxStandard) -> Iterator[Requirement]:
    titles = {entry.identifier: entry for entry in standard.requirements}
    # A level holds what is new at it; the levels above hold that too.
    first_level = {
        key: n for n, level in reversed([*enumerate(standard.levels, 1)]) for key in level.requirements
    }
    for index, entry in enumerate(standard.requirements):
        if entry.text:
            section = titles.get(entry.parent)
            chapter = titles.get(section.parent) if section else None
            yield Requirement(
                number=normalize_number(entry.identifier),
                text=entry.text,
                locator=f"/declarations/standards/0/requirements/{index}",
                chapter=chapter.title if chapter else "",
                section=section.title if section else "",
                levels=_list_levels(first_level.get(entry.identifier, ""), []),
            )


def read_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Requirement]:
    """Return the requirements of a Markdown table; [] for any other table.

    Its first column is the number (`**1.2.3**`); the longest cell of a row is the text; `L1` to `L3`
    hold marks or a single column a figure, CWE and NIST are named so in every language.
    """
    names = [cell.strip().lower() for cell in header]
    requirements = []
    for row in rows:
        cells = dict(zip(names, row, strict=False))
        first = row[0].strip("* \t") if row else ""
        if not _NUMBER.match(first) or len(row) < 3:
            return []
        identifier = next(
            (cell for cell in row[1:3] if re.fullmatch(r"[A-Z]+(?:-[A-Z]+)+-\d+", cell.strip())), ""
        )
        last = row[-1].strip()
        requirements.append(
            Requirement(
                number=identifier.strip() or normalize_number(first),
                text=max(row[1:], key=len),
                locator=first,
                levels=_list_levels(
                    last if "l1" not in cells and last in {"1", "2", "3"} else "",
                    [is_marked(cells.get(level.lower(), "")) for level in _LEVELS],
                ),
                cwe=_list_cwe_ids(cells.get("cwe", "").split(",")),
                nist=_split_list(next((value for name, value in cells.items() if "nist" in name), "")),
            )
        )
    return requirements


def normalize_number(code: str) -> str:
    """Return `1.2.3` for `V1.2.3`."""
    match = _NUMBER.match(code.strip())
    return match[1] if match else code.strip()


def is_marked(cell: str) -> bool:
    """Whether the cell of a level says that the requirement belongs to it."""
    return cell.strip().lower() in _LEVEL_MARKS


def _list_levels(lowest_level: str | int, marks: Sequence[bool]) -> list[str]:
    """Return the levels from the lowest one of a requirement (`2` → L2, L3), or from a mark for each."""
    figure = re.search(r"[123]", str(lowest_level))
    if figure:
        return list(_LEVELS[int(figure[0]) - 1 :])
    return [level for level, mark in zip(_LEVELS, marks, strict=False) if mark]


def _list_cwe_ids(values: Sequence[int | str]) -> list[str]:
    digits = (re.search(r"\d{1,5}", str(value)) for value in values)
    return list(dict.fromkeys(f"CWE-{int(match[0])}" for match in digits if match and int(match[0])))


def _split_list(cell: str) -> list[str]:
    return [part.strip() for part in re.split(r"[/,;]", cell) if part.strip()]


def read_mappings(document: JsonObject) -> dict[str, str]:
    """Return `v5.0.0-1.2.3` → its description in a file of mappings between versions; {} for other files."""
    if not document or not all(re.fullmatch(r"v[\w.]+-\d+(?:\.\d+)+", key) for key in document):
        return {}
    return {
        key: " ".join(map(str, value.values())) if isinstance(value, dict) else str(value or "")
        for key, value in document.items()
    }
