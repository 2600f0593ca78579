"""Findings against a ground truth: precision and recall per class, and what was missed.

The truth is a CSV with the columns of `TruthRow`, one row a vulnerability (`vulnerable` true) or
a guarded place that a scan is expected to report all the same (`vulnerable` false). Lines aren't
part of it, since they move; a row is known by its file, its function and its CWE.

This module judges the scan alone. Whether a model tells the two kinds apart is evaluation's matter.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from securetag.errors import InputError
from securetag.records import Finding


class TruthRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a ground truth."""

    id: str
    #: Relative to the project's root, `/` as separator.
    path: str
    #: The enclosing function, as in `Finding.scope`; empty at module level.
    scope: str
    cwe: str
    #: Last part of the rule's id, `sql-injection`; empty where no rule claims the class.
    rule_class: str
    vulnerable: Literal["true", "false"]
    why_en: str
    why_es: str

    @property
    def is_vulnerable(self) -> bool:
        return self.vulnerable == "true"


class ClassScore(msgspec.Struct, frozen=True, kw_only=True):
    """How a scan did on one CWE.

    `tp`: vulnerabilities that were found; `fn`: those that were not; `fp`: findings on guarded or
    other code. A ratio without a denominator is None, which is not the same as zero.
    """

    tp: int
    fp: int
    fn: int
    precision: float | None
    recall: float | None

    @classmethod
    def of(cls, tp: int, fp: int, fn: int) -> ClassScore:
        """Counts with their ratios."""
        return cls(
            tp=tp,
            fp=fp,
            fn=fn,
            precision=tp / (tp + fp) if tp + fp else None,
            recall=tp / (tp + fn) if tp + fn else None,
        )


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """A scan against a ground truth."""

    by_class: dict[str, ClassScore]
    #: Over every vulnerability.
    total: ClassScore
    #: Over the vulnerabilities whose class a rule claims: what the rules can be held to.
    claimed: ClassScore
    #: Vulnerabilities without a finding.
    misses: list[TruthRow]
    #: Guarded places without a finding: triage never sees them.
    unflagged: list[TruthRow]
    #: Index of a finding → the row that it belongs to. Findings of no row aren't here.
    matched: dict[int, TruthRow]
    #: Indices of findings that belong to no row.
    unexpected: list[int]


def read_truth(path: Path) -> list[TruthRow]:
    """The rows of a ground truth. Raises InputError: not UTF-8, wrong columns, a repeated id or key."""
    columns = list(TruthRow.__struct_fields__)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames != columns:
                raise InputError(f"{path.name}: the columns are {reader.fieldnames}, not {columns}")
            rows = [msgspec.convert(row, TruthRow) for row in reader]
    except (OSError, UnicodeError, csv.Error, msgspec.ValidationError) as error:
        raise InputError(
            f"{path.name} is no ground truth: {error}",
            hint=f"It is a CSV with the columns {', '.join(columns)}.",
        ) from error
    for what, values in (("id", [row.id for row in rows]), ("place", [str(_key(row)) for row in rows])):
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            raise InputError(f"{path.name}: the {what} {twice[0]} stands twice", hint="Merge the rows.")
    return rows


def _key(row: TruthRow | Finding) -> tuple[str, str, str]:
    return (row.path, row.scope, row.cwe)


def score(findings: Sequence[Finding], truth_csv: Path) -> Accuracy:
    """Match findings to rows by file, function and CWE, and count. Raises InputError on a bad CSV.

    A function may raise several findings of one class (two sinks): they all belong to its row,
    and the row counts once. A finding that belongs to no row counts as false, each place once.
    """
    rows = {_key(row): row for row in read_truth(truth_csv)}
    matched = {index: rows[_key(finding)] for index, finding in enumerate(findings) if _key(finding) in rows}
    unexpected = [index for index in range(len(findings)) if index not in matched]
    hit = {row.id for row in matched.values()}
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    claimed = [0, 0, 0]
    for row in rows.values():
        column = (0 if row.id in hit else 2) if row.is_vulnerable else (1 if row.id in hit else None)
        if column is not None:
            counts[row.cwe][column] += 1
            claimed[column] += bool(row.rule_class)
    for place in sorted({_key(findings[index]) for index in unexpected}):
        counts[place[2]][1] += 1
        claimed[1] += 1
    return Accuracy(
        by_class={cwe: ClassScore.of(*counts[cwe]) for cwe in sorted(counts, key=_number)},
        total=ClassScore.of(*(sum(count[column] for count in counts.values()) for column in range(3))),
        claimed=ClassScore.of(*claimed),
        misses=[row for row in rows.values() if row.is_vulnerable and row.id not in hit],
        unflagged=[row for row in rows.values() if not row.is_vulnerable and row.id not in hit],
        matched=matched,
        unexpected=unexpected,
    )


def _number(cwe: str) -> int:
    digits = cwe.removeprefix("CWE-")
    return int(digits) if digits.isdigit() else 0
