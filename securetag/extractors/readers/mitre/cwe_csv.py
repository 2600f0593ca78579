"""Read CWE views in CSV (`699.csv`, `1425.csv`, …): one row a weakness, lists of entries in one cell.

Format: https://cwe.mitre.org/data/downloads.html. A cell is `::KEY:value:KEY:value::KEY:value::` with
nothing escaped, so it is cut at the keys of its column alone: a value may hold colons (`std::string`).
Rows end with a comma, which gives one cell more than the header has. Code examples aren't in it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, describe_error, read_text
from securetag.extractors.readers.mitre.cwe import CweReader, Mitigation, Weakness

#: Phases of the life cycle; a cell joins several with spaces. Schema: PhaseEnumeration.
_PHASES = (
    "Policy",
    "Requirements",
    "Architecture and Design",
    "Implementation",
    "Build and Compilation",
    "Testing",
    "Documentation",
    "Bundling",
    "Distribution",
    "Installation",
    "System Configuration",
    "Operation",
    "Patching and Maintenance",
    "Porting",
    "Integration",
    "Manufacturing",
)
_PHASE_NAME = re.compile("|".join(_PHASES))
_RELATION_KEYS = ("NATURE", "CWE ID", "VIEW ID", "CHAIN ID", "ORDINAL")
_PLATFORM_KEYS = tuple(
    f"{what} {part}"
    for part in ("NAME", "CLASS", "PREVALENCE")
    for what in ("LANGUAGE", "TECHNOLOGY", "OPERATING SYSTEM", "ARCHITECTURE")
)

Fields = list[tuple[str, str]]


class CweCsvReader(CweReader):
    """Reads views; a weakness in several views is one Record, from the first."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        self._seen: set[str] = set()
        yield from super().prepare(files)

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        rows = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
        try:
            header = [name.strip() for name in next(rows, [])]
            if not {"CWE-ID", "Name", "Description"} <= set(header):
                raise SourceError("a CSV file without the columns CWE-ID, Name and Description")
            for row in rows:
                if any(row):
                    yield from self._row(dict(zip(header, row, strict=False)), file, f"line {rows.line_num}")
        except csv.Error as error:
            raise SourceError(f"not the CSV that was expected: line {rows.line_num}: {error}") from error

    def _row(self, row: dict[str, str], file: FetchedFile, locator: str) -> Iterator[Item]:
        try:
            weakness = _make_weakness(row)
        except SourceError as error:
            yield Failure(str(file.path), locator, describe_error(error))
            return
        if weakness.id in self._seen:
            yield Drop("the same weakness in another view", locator)
            return
        self._seen.add(weakness.id)
        yield self.item(weakness, file, locator)


def _make_weakness(row: dict[str, str]) -> Weakness:
    number = row["CWE-ID"].strip().removeprefix("CWE-")
    if not re.fullmatch(r"[0-9]{1,9}", number):
        raise SourceError(f"{number[:40]!r} is no CWE number")
    if "Description" not in row:
        raise SourceError(f"CWE-{number}: the row ends before its description")
    platforms = [
        value
        for entry in _split_column(row, "Applicable Platforms", *_PLATFORM_KEYS, first_keys=8)
        for key, value in entry
        if not key.endswith("PREVALENCE")
    ]
    return Weakness(
        kind="weakness",
        id=number,
        name=row["Name"],
        status=row.get("Status", ""),
        description=row["Description"],
        extended=row.get("Extended Description", ""),
        background=_list_values(row, "Background Details"),
        relations=[
            (_get_field(entry, "NATURE"), _get_field(entry, "CWE ID"), _get_field(entry, "VIEW ID"))
            for entry in _split_column(row, "Related Weaknesses", *_RELATION_KEYS)
        ],
        likelihood=row.get("Likelihood of Exploit", ""),
        attack_patterns=_list_values(row, "Related Attack Patterns"),
        platforms=[name for name in platforms if not name.startswith("Not ")],
        terms=[
            _get_field(entry, "TERM")
            for entry in _split_column(row, "Alternate Terms", "TERM", "DESCRIPTION")
        ],
        mitigations=[
            Mitigation(
                phases=_PHASE_NAME.findall(_get_field(entry, "PHASE")),
                strategy=_get_field(entry, "STRATEGY"),
                text=_get_field(entry, "DESCRIPTION"),
            )
            for entry in _split_column(
                row,
                "Potential Mitigations",
                "PHASE",
                "STRATEGY",
                "DESCRIPTION",
                "EFFECTIVENESS",
                "EFFECTIVENESS NOTES",
            )
        ],
        consequences=[
            (_list_field(entry, "SCOPE"), _list_field(entry, "IMPACT"), _get_field(entry, "NOTE"))
            for entry in _split_column(row, "Common Consequences", "SCOPE", "IMPACT", "LIKELIHOOD", "NOTE")
        ],
        detections=[
            (_get_field(entry, "METHOD"), _get_field(entry, "DESCRIPTION"))
            for entry in _split_column(
                row, "Detection Methods", "METHOD", "DESCRIPTION", "EFFECTIVENESS", "EFFECTIVENESS NOTES"
            )
        ],
    )


def split_cell(cell: str, *keys: str, first_keys: int = 1) -> list[Fields]:
    """Return the entries of a cell, each as (key, value) pairs in order; a cell without keys has none.

    `keys` are all that the column knows; one of the first `first_keys` after `::` begins an entry.
    """
    names = "|".join(sorted(map(re.escape, keys), key=len, reverse=True))
    key_matches = list(re.finditer(rf"(?:(?P<sep>::?)|(?<=:))(?P<key>{names}):", cell))
    entries: list[Fields] = []
    for mark, next_match in zip(key_matches, [*key_matches[1:], None], strict=False):
        if not entries or (mark["sep"] == "::" and mark["key"] in keys[:first_keys]):
            entries.append([])
        end = next_match.start() if next_match else len(cell.removesuffix("::"))
        entries[-1].append((mark["key"], cell[mark.end() : end].strip()))
    return entries


def _split_column(row: dict[str, str], column: str, *keys: str, first_keys: int = 1) -> list[Fields]:
    return split_cell(row.get(column, ""), *keys, first_keys=first_keys)


def _list_values(row: dict[str, str], column: str) -> list[str]:
    """Return the entries of a cell without keys."""
    return [value.strip() for value in row.get(column, "").split("::") if value.strip()]


def _list_field(entry: Fields, key: str) -> list[str]:
    return [value for name, value in entry if name == key]


def _get_field(entry: Fields, key: str) -> str:
    return next(iter(_list_field(entry, key)), "")
