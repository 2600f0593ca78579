"""CWE views as CSV (`699.csv`, `1425.csv`, …): one row a weakness, lists of entries in one cell.

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
from securetag.extractors.readers.base import Drop, Item, read_text, reason_of
from securetag.extractors.readers.mitre.cwe import CweReader, Mitigation, Weakness

#: Phases of a life cycle; a cell joins several with blanks. Schema: PhaseEnumeration.
_PHASES = (
    "Policy", "Requirements", "Architecture and Design", "Implementation", "Build and Compilation", "Testing",
    "Documentation", "Bundling", "Distribution", "Installation", "System Configuration", "Operation",
    "Patching and Maintenance", "Porting", "Integration", "Manufacturing",
)  # fmt: skip
_PHASE = re.compile("|".join(_PHASES))
_RELATION = ("NATURE", "CWE ID", "VIEW ID", "CHAIN ID", "ORDINAL")
_PLATFORMS = tuple(
    f"{what} {part}"
    for part in ("NAME", "CLASS", "PREVALENCE")
    for what in ("LANGUAGE", "TECHNOLOGY", "OPERATING SYSTEM", "ARCHITECTURE")
)

Fields = list[tuple[str, str]]


class CweCsvReader(CweReader):
    """Reads views; a weakness that several hold is one Record, from the first."""

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
            weakness = _weakness(row)
        except SourceError as error:
            yield Failure(str(file.path), locator, reason_of(error))
            return
        if weakness.id in self._seen:
            yield Drop("the same weakness in another view", locator)
            return
        self._seen.add(weakness.id)
        yield self.item(weakness, file, locator)


def _weakness(row: dict[str, str]) -> Weakness:
    number = row["CWE-ID"].strip().removeprefix("CWE-")
    if not re.fullmatch(r"[0-9]{1,9}", number):
        raise SourceError(f"{number[:40]!r} is no CWE number")
    if "Description" not in row:
        raise SourceError(f"CWE-{number}: the row ends before its description")
    platforms = [
        value
        for entry in _entries(row, "Applicable Platforms", *_PLATFORMS, starts=8)
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
        background=_values(row, "Background Details"),
        relations=[
            (_first(entry, "NATURE"), _first(entry, "CWE ID"), _first(entry, "VIEW ID"))
            for entry in _entries(row, "Related Weaknesses", *_RELATION)
        ],
        likelihood=row.get("Likelihood of Exploit", ""),
        attack_patterns=_values(row, "Related Attack Patterns"),
        platforms=[name for name in platforms if not name.startswith("Not ")],
        terms=[_first(entry, "TERM") for entry in _entries(row, "Alternate Terms", "TERM", "DESCRIPTION")],
        mitigations=[
            Mitigation(
                phases=_PHASE.findall(_first(entry, "PHASE")),
                strategy=_first(entry, "STRATEGY"),
                text=_first(entry, "DESCRIPTION"),
            )
            for entry in _entries(
                row, "Potential Mitigations", "PHASE", "STRATEGY", "DESCRIPTION", "EFFECTIVENESS",
                "EFFECTIVENESS NOTES",
            )
        ],
        consequences=[
            (_all(entry, "SCOPE"), _all(entry, "IMPACT"), _first(entry, "NOTE"))
            for entry in _entries(row, "Common Consequences", "SCOPE", "IMPACT", "LIKELIHOOD", "NOTE")
        ],
        detections=[
            (_first(entry, "METHOD"), _first(entry, "DESCRIPTION"))
            for entry in _entries(
                row, "Detection Methods", "METHOD", "DESCRIPTION", "EFFECTIVENESS", "EFFECTIVENESS NOTES"
            )
        ],
    )  # fmt: skip


def nested(cell: str, *keys: str, starts: int = 1) -> list[Fields]:
    """Entries of a cell, each its (key, value) pairs in order; a cell without keys has none.

    `keys` are all that the column knows; one of the first `starts` after `::` begins an entry.
    """
    names = "|".join(sorted(map(re.escape, keys), key=len, reverse=True))
    marks = list(re.finditer(rf"(?:(?P<sep>::?)|(?<=:))(?P<key>{names}):", cell))
    found: list[Fields] = []
    for mark, after in zip(marks, [*marks[1:], None], strict=False):
        if not found or (mark["sep"] == "::" and mark["key"] in keys[:starts]):
            found.append([])
        end = after.start() if after else len(cell.removesuffix("::"))
        found[-1].append((mark["key"], cell[mark.end() : end].strip()))
    return found


def _entries(row: dict[str, str], column: str, *keys: str, starts: int = 1) -> list[Fields]:
    return nested(row.get(column, ""), *keys, starts=starts)


def _values(row: dict[str, str], column: str) -> list[str]:
    """A cell of entries without keys."""
    return [value.strip() for value in row.get(column, "").split("::") if value.strip()]


def _all(entry: Fields, key: str) -> list[str]:
    return [value for name, value in entry if name == key]


def _first(entry: Fields, key: str) -> str:
    return next(iter(_all(entry, key)), "")
