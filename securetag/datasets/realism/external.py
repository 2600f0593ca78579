"""Evaluation suites of other people: a folder of code, what is vulnerable in it, and what a scanner reports.

A suite is a folder with `labels.csv` (columns `case`, `file`, `line`, `cwe`, `is_vulnerable`; others are
ignored, `line` may be empty) whose files are below it, and optionally `findings.sarif` or `findings.json` (a
list of findings as our commands print them). A finding takes the label of the row of its file and CWE family:
of the nearest line, where rows name lines, and at most NEAR_LINES away. Without findings each row is asked
about at its line.

Public suites tell their labels: by the names of files, in headers, in comments (`/* FLAW */`). So comments
and docstrings are blanked, and a file is known by the number of its case.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from securetag.datasets.realism.labeled import LANGUAGES, MAX_LABELS, LabeledSnippet
from securetag.errors import InputError
from securetag.scanning.evidence import family_of
from securetag.scanning.identity.syntax import COMMENTS, is_docstring, parse, walk
from securetag.scanning.languages import language_of
from securetag.scanning.sarif.read import read_sarif
from securetag.scanning.snippet import SourceFile

LABELS = "labels.csv"
NEAR_LINES = 3
#: Bytes of a file of findings.
MAX_FINDINGS_BYTES = 256 << 20
_COLUMNS = ("case", "file", "line", "cwe", "is_vulnerable")


class ExternalSuite(msgspec.Struct, frozen=True, kw_only=True):
    """The questions of one suite."""

    name: str
    findings: list[LabeledSnippet]
    #: Vulnerable rows that no finding is at: a scanner missed them, and no triager can show them.
    missed: int
    #: Findings that no row labels.
    unlabeled: int


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    case: str
    file: str
    line: str = ""
    cwe: str
    is_vulnerable: Literal["true", "false", "yes", "no", "1", "0"]

    @property
    def is_true(self) -> bool:
        return self.is_vulnerable in ("true", "yes", "1")

    def is_near(self, line: int) -> bool:
        """Return whether a finding at `line` may be this row's."""
        return not self.line or abs(int(self.line) - line) <= NEAR_LINES


class _Place(msgspec.Struct, frozen=True):
    """Where a scanner reports what."""

    path: str
    start_line: int
    cwe: str


def list_suites(folder: Path) -> list[Path]:
    """Return the suites of a folder: itself, or its folders with labels.

    Raises InputError where there is none.
    """
    if (folder / LABELS).is_file():
        return [folder]
    suites = sorted(path.parent for path in folder.glob(f"*/{LABELS}"))
    if not suites:
        raise InputError(
            f"{folder} holds no suite", hint=f"A suite is a folder with {LABELS}: {', '.join(_COLUMNS)}."
        )
    return suites


def read_suite(folder: Path) -> ExternalSuite:
    """Return the questions of a suite, in the order of its labels.

    Raises InputError: labels or findings of another form, a file that is outside of the suite, isn't there or
    is in a language without rules, a row without a line where there are no findings.
    """
    rows = _read_rows(folder / LABELS)
    places = _read_places(folder)
    numbers = {case: number for number, case in enumerate(sorted({row.case for row in rows}), 1)}
    files: dict[str, SourceFile] = {}
    findings: list[LabeledSnippet] = []
    if places is None:
        for row in rows:
            if not row.line:
                raise InputError(
                    f"{folder.name}: {row.file} has no line",
                    hint="Without findings.sarif or findings.json each row of labels.csv needs one.",
                )
            findings.append(_make_question(folder, files, row, int(row.line), numbers))
        return ExternalSuite(name=folder.name, findings=findings, missed=0, unlabeled=0)
    labels, unlabeled = _match(rows, places)
    reported = {id(row) for row, _ in labels}
    findings = [_make_question(folder, files, row, line, numbers) for row, line in labels]
    missed = sum(row.is_true and id(row) not in reported for row in rows)
    return ExternalSuite(name=folder.name, findings=findings, missed=missed, unlabeled=unlabeled)


def strip_comments(content: bytes, language: str) -> bytes:
    """Return code with its comments and docstrings blanked; lines and columns stay.

    Code without a grammar, or nested too deeply to be parsed, is returned as it is.
    """
    tree = parse(content, language)
    if tree is None:
        return content
    blanked = bytearray(content)
    for node in walk(tree.root_node):
        is_comment = node.type in COMMENTS and node.type != "line_continuation"
        if is_comment or (language == "python" and is_docstring(node)):
            part = content[node.start_byte : node.end_byte]
            blanked[node.start_byte : node.end_byte] = bytes(
                byte if byte in b"\r\n" else 0x20 for byte in part
            )
    return bytes(blanked)


def _read_rows(path: Path) -> list[_Row]:
    rows: list[_Row] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = set(_COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise InputError(
                    f"{path.parent.name}/{LABELS} has no column {', '.join(sorted(missing))}",
                    hint=f"Its columns are {', '.join(_COLUMNS)}.",
                )
            for record in reader:
                if len(rows) >= MAX_LABELS:
                    raise InputError(f"{path.parent.name}/{LABELS} has more than {MAX_LABELS:,} rows")
                rows.append(_make_row(record))
    except (OSError, UnicodeError, csv.Error, msgspec.ValidationError, ValueError) as error:
        raise InputError(f"{path.parent.name}/{LABELS} can't be read: {error}") from error
    return rows


def _make_row(record: Mapping[str, str]) -> _Row:
    row = msgspec.convert({**record, "is_vulnerable": record["is_vulnerable"].strip().lower()}, _Row)
    if row.line and int(row.line) < 1:
        raise ValueError(f"{row.file} has no line {row.line}")
    return row


def _read_places(folder: Path) -> list[_Place] | None:
    """Return what a scanner reports; None where the suite has no findings."""
    sarif, plain = folder / "findings.sarif", folder / "findings.json"
    path = sarif if sarif.is_file() else plain
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_FINDINGS_BYTES:
        raise InputError(f"{folder.name}/{path.name} is over {MAX_FINDINGS_BYTES:,} bytes")
    content = path.read_bytes()
    if path == sarif:
        matches = [result.match for result in read_sarif(content, project=folder).results]
        return [_Place(match.path, match.start_line, match.cwe) for match in matches]
    try:
        return msgspec.json.decode(content, type=list[_Place])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{folder.name}/{path.name} is no list of findings: {error}") from error


def _match(rows: Sequence[_Row], places: Sequence[_Place]) -> tuple[list[tuple[_Row, int]], int]:
    """Return the labeled places as (row, line), each once, and the number of places without a label."""
    by_file: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for row in rows:
        by_file[row.file, family_of(row.cwe)].append(row)
    labeled: dict[tuple[str, int, str], tuple[_Row, int]] = {}
    unlabeled = 0
    for place in places:
        near = [row for row in by_file[place.path, family_of(place.cwe)] if row.is_near(place.start_line)]
        if not near:
            unlabeled += 1
            continue
        nearest = min(near, key=lambda row: abs(int(row.line or place.start_line) - place.start_line))
        labeled.setdefault((place.path, place.start_line, nearest.cwe), (nearest, place.start_line))
    return [labeled[key] for key in sorted(labeled)], unlabeled


def _make_question(
    folder: Path, files: dict[str, SourceFile], row: _Row, line: int, numbers: Mapping[str, int]
) -> LabeledSnippet:
    source = files.get(row.file) or files.setdefault(row.file, _open(folder, row.file))
    if line > len(source.lines):
        raise InputError(f"{folder.name}: {row.file} has {len(source.lines)} lines, not {line}")
    snippet = source.snippet(line, line)
    return LabeledSnippet(
        file=f"case-{numbers[row.case]:05d}/code{Path(row.file).suffix}",
        line=line,
        label="true_positive" if row.is_true else "false_positive",
        language=source.language,
        code=snippet.text,
        first_line=snippet.line,
        cwe=row.cwe,
        code_slice=source.slice(line, line),
    )


def _open(folder: Path, name: str) -> SourceFile:
    root, path = folder.resolve(), (folder / name).resolve()
    language = language_of(path.name)
    if not path.is_relative_to(root):
        raise InputError(f"{folder.name}: {name} is outside of the suite")
    if language not in LANGUAGES:
        raise InputError(f"{folder.name}: {name} is in no language that our rules read")
    try:
        return SourceFile(strip_comments(path.read_bytes(), language), language)
    except OSError as error:
        raise InputError(f"{folder.name}: {name}: {error.strerror}") from error


def iterate_suites(folder: Path) -> Iterator[ExternalSuite]:
    """Yield each suite of a folder, by name. Raises InputError."""
    for path in list_suites(folder):
        yield read_suite(path)
