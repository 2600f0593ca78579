"""Corrections of published packages → rows whose label the correction gave, strictly.

A release corrects more than its advisory, so that "this function changed" labels nothing. A finding in the
vulnerable version becomes a row only where all of this holds:

- its weakness is of the family that the advisory names;
- the correction changed the flow into the flagged statement: a line of its backward slice
  (`securetag.scanning.slicing`) is changed or gone, or the slice of the same statement in the fixed version
  has a line that is new; and that line names something which the flagged statement names, or is it.

Such a finding is a true positive. Its twin in the fixed version is a false positive where the same rule still
reports the same statement, and what is new in its slice is a guard: a condition, or a call that what flows
passes through. Twins are asked in pairs, so that "code of a package" tells no label, and their split follows
from the package. A true positive without a twin is evaluated (axis `real_pairs`) where its package is in the
test split, and left out elsewhere.

Both readings of one question must differ in the code that is shown. What is left out has a `DropReason`.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.datasets.knowledge.fix_scan import SUFFIXES, scan_versions
from securetag.datasets.splitting.groups import split_of
from securetag.datasets.triage_rows import Labelled, PromptStyle, make_triage_row, translate
from securetag.records import PACKAGE_FIX, Example, Finding, Label, Origin, Record, Status
from securetag.scanning.evidence import family_of
from securetag.scanning.snippet import SourceFile
from securetag.settings.sections import SemgrepSettings
from securetag.triage import read_code, render

AXIS = "real_pairs"
_WHY = {
    "en": {
        "true_positive": "The package's own correction of {advisory} changed what reaches line {{line}}.",
        "false_positive": "The correction of {advisory} added a guard before line {{line}}.",
    },
    "es": {
        "true_positive": "La corrección de {advisory} en el paquete cambió lo que llega a la línea {{line}}.",
        "false_positive": "La corrección de {advisory} añadió una comprobación antes de la línea {{line}}.",
    },
}
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
#: A string of one line without places for values.
_PLAIN_STRING = re.compile(r"""(?<![fF])(["'])(?:\\.|(?!\1)[^\\\n])*\1""")
#: Names that say nothing of what flows.
_COMMON_NAMES = frozenset(
    {"self", "cls", "this", "const", "let", "var", "new", "function", "await", "str", "String"}
)
_COMMENT = re.compile(r"^\s*(#|//|\*|/\*)|^\s*$")
#: A condition, or what happens where it doesn't hold.
_CONDITION = re.compile(r"\b(if|elif|while|assert|raise|throw|case|switch)\b|\s\?\s")
#: A call of a function whose name says that it makes something harmless.
_SAFE_CALL = re.compile(
    r"\w*(escap|sanit|quot|safe|valid|check|clean|encod|strip|verif|literal)\w*\(", re.IGNORECASE
)


def is_package_fix(record: Record) -> bool:
    """Does the Record hold a file of a package before and after a correction?"""
    return record.status is Status.ACTIVE and record.facts.kind == PACKAGE_FIX


def make_package_fix_rows(
    records: Sequence[Record], style: PromptStyle, *, work: Path, semgrep: SemgrepSettings
) -> StepResult:
    """Return the rows of all corrections among `records`.

    All files are scanned in one run with all of our rules. Raises ToolError when the scanner fails, or
    leaves something out.
    """
    fixes = sorted((record for record in records if is_package_fix(record)), key=lambda record: record.id)
    drops = [_drop(fix, DropReason.FIX_LANGUAGE) for fix in fixes if fix.facts.language not in SUFFIXES]
    readable = [fix for fix in fixes if fix.facts.language in SUFFIXES]
    if not readable:
        return StepResult([], drops)
    rows: list[Example] = []
    for fix, (before, after) in zip(readable, scan_versions(readable, style, work, semgrep), strict=True):
        made, dropped = _FilePair(fix, before, after, style).make_rows()
        rows += made
        drops += dropped
    return StepResult(sorted(rows, key=lambda row: row.id), drops)


class _Version(NamedTuple):
    """One version of a file."""

    source: SourceFile
    #: Stripped.
    lines: list[str]
    findings: Sequence[Finding]

    def text_of(self, first: int, last: int) -> str:
        return "\n".join(self.lines[first - 1 : last])


class _FilePair:
    """A file before and after a correction, with the findings of both."""

    def __init__(
        self, record: Record, before: Sequence[Finding], after: Sequence[Finding], style: PromptStyle
    ) -> None:
        self._record, self._style = record, style.draw_language(record.id)
        language = record.facts.language or ""
        self._before = _open(record.facts.vulnerable or "", language, before)
        self._after = _open(record.facts.fixed or "", language, after)
        self._families = {family_of(cwe) for cwe in record.facts.cwe}
        self.group = f"package/{record.facts.packages[0]}"

    @cached_property
    def _changes(self) -> tuple[set[int], set[int]]:
        """Return the numbers of the lines that are gone, and of those that are new; neither is a comment."""
        gone: set[int] = set()
        new: set[int] = set()
        matcher = difflib.SequenceMatcher(a=self._before.lines, b=self._after.lines, autojunk=False)
        for tag, first, last, new_first, new_last in matcher.get_opcodes():
            if tag != "equal":
                gone |= set(range(first + 1, last + 1))
                new |= set(range(new_first + 1, new_last + 1))
        return (
            {number for number in gone if not _COMMENT.match(self._before.lines[number - 1])},
            {number for number in new if not _COMMENT.match(self._after.lines[number - 1])},
        )

    def make_rows(self) -> StepResult:
        rows: list[Example] = []
        drops: list[Drop] = []
        labeled: set[tuple[str, str]] = set()
        for finding in self._before.findings:
            reason, made = self._judge(finding)
            # A rule that reports a function twice asks the same question twice.
            if reason is None and (finding.rule_id, finding.scope) in labeled:
                reason, made = DropReason.FIX_REPEATED, []
            if reason is not None:
                drops.append(_drop(self._record, reason))
            else:
                labeled.add((finding.rule_id, finding.scope))
            rows += made
        if not self._before.findings:
            drops.append(_drop(self._record, DropReason.FIX_NO_FINDING))
        return StepResult(rows, drops)

    def _judge(self, finding: Finding) -> tuple[DropReason | None, list[Example]]:
        """Return the rows of a finding of the vulnerable version, or why it gives none."""
        if family_of(finding.cwe) not in self._families:
            return DropReason.FIX_OTHER_WEAKNESS, []
        gone, new = self._changes
        names = _names_in(self._before.text_of(finding.start_line, finding.end_line))
        gone_flow = _select_near(
            self._before, gone & {each.number for each in finding.code_slice}, finding.start_line, names
        )
        line = self._find_statement(finding)
        new_slice = {each.number for each in self._after.source.slice(line, line)} if line else set()
        new_flow = _select_near(self._after, new & new_slice, line or 0, names)
        if not new_flow and not gone_flow:
            return DropReason.FIX_ELSEWHERE, []
        twin = self._find_twin(finding)
        if twin is None:
            return self._make_single(finding)
        guards = [number for number in sorted(new_flow) if _is_guard(self._after.lines[number - 1])]
        if not guards:
            return DropReason.FIX_NOT_REMOVED, []
        return self._make_pair(finding, twin, guards)

    def _find_statement(self, finding: Finding) -> int | None:
        """Return the line of the flagged statement in the same function of the fixed version."""
        text = self._before.text_of(finding.start_line, finding.end_line)
        height = finding.end_line - finding.start_line
        for scope in self._after.source.scopes:
            if scope.name == finding.scope:
                for number in range(scope.first, scope.last + 1 - height):
                    if self._after.text_of(number, number + height) == text:
                        return number
        return None

    def _find_twin(self, finding: Finding) -> Finding | None:
        """Return the finding of the fixed version that the same rule reports at the same statement."""
        text = self._before.text_of(finding.start_line, finding.end_line)
        rule_ids = {match.rule_id for match in finding.matches} | {finding.rule_id}
        for other in self._after.findings:
            has_rule = bool(rule_ids & ({match.rule_id for match in other.matches} | {other.rule_id}))
            other_text = self._after.text_of(other.start_line, other.end_line)
            if has_rule and other.scope == finding.scope and other_text == text:
                return other
        return None

    def _make_single(self, finding: Finding) -> tuple[DropReason | None, list[Example]]:
        if split_of(self.group) != "test":
            return DropReason.FIX_UNPAIRED, []
        row = self._make_row(finding, "true_positive", None)
        return None, [msgspec.structs.replace(row, split="test", axis=AXIS)]

    def _make_pair(
        self, finding: Finding, twin: Finding, guards: Sequence[int]
    ) -> tuple[DropReason | None, list[Example]]:
        pair_id = f"fix/{self._record.id[:16]}/{finding.start_line}"
        rows = [
            self._make_row(finding, "true_positive", pair_id),
            self._make_row(twin, "false_positive", pair_id),
        ]
        shown = render(twin, profile=self._style.profile).numbers
        if set(guards).isdisjoint(shown) or _code_of(rows[0]) == _code_of(rows[1]):
            return DropReason.FIX_NOT_SHOWN, []
        split = split_of(self.group)
        axis = AXIS if split == "test" else None
        return None, [msgspec.structs.replace(row, split=split, axis=axis) for row in rows]

    def _make_row(self, finding: Finding, label: Label, pair_id: str | None) -> Example:
        record = self._record
        finding = translate(finding, self._style.lang)
        why = _WHY[self._style.prompt_lang][label].format(advisory=", ".join(record.facts.aliases))
        labelled = Labelled(
            label=label,
            label_source="fix",
            reasoning=why,
            recommendation=finding.recommendation if label == "true_positive" else "",
            origin="template",
            origins=[Origin(record_id=record.id)],
            source=record.source,
            licence=record.licence,
            group=self.group,
        )
        row = make_triage_row(finding, labelled, self._style, pair_id=pair_id)
        return msgspec.structs.replace(
            row,
            publisher=record.publisher,
            url=record.url,
            attribution=f"{record.title}, {record.url} ({record.licence}), adapted",
        )


def _open(text: str, language: str, findings: Sequence[Finding]) -> _Version:
    source = SourceFile(text.encode(), language)
    return _Version(source, [line.strip() for line in text.splitlines()], findings)


def _select_near(version: _Version, numbers: set[int], flagged: int, names: set[str]) -> set[int]:
    """Return the lines that name something which the flagged statement names, and the flagged line itself."""
    return {number for number in numbers if number == flagged or names & _names_in(version.lines[number - 1])}


def _names_in(text: str) -> set[str]:
    """Return what a piece of code names, outside of plain strings."""
    text = _PLAIN_STRING.sub("", text)
    return {name for name in _NAME.findall(text) if name not in _COMMON_NAMES and not keyword.iskeyword(name)}


def _is_guard(line: str) -> bool:
    return bool(_CONDITION.search(line) or _SAFE_CALL.search(line))


def _code_of(row: Example) -> str:
    return read_code(row.messages, row.prompt_version)


def _drop(record: Record, reason: DropReason) -> Drop:
    return Drop(reason=reason, source=record.source, task="triage", id=record.id)
