"""Vulnerable and fixed code of real projects → test rows whose label a fix gave.

A finding is a true positive where the fixed code doesn't have it any more. One that both have is unlabeled:
the fix was about something else, or our rule can't see it. So every label here is the same, and a lookup by
rule would always be right; that is why these rows are an axis of the test split and never trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.datasets.knowledge.credits import credit, credit_line
from securetag.datasets.knowledge.fix_scan import SUFFIXES, scan_versions
from securetag.datasets.triage_rows import Labelled, PromptStyle, make_triage_row, translate
from securetag.records import PACKAGE_FIX, Example, Finding, Origin, Record, Status
from securetag.scanning.evidence.paths import classify_path
from securetag.settings.sections import SemgrepSettings

AXIS = "real_pairs"
_WHY = {
    "en": "The project's own fix removed what is flagged at line {line}.",
    "es": "La corrección del propio proyecto eliminó lo señalado en la línea {line}.",
}


def is_fix(record: Record) -> bool:
    """Does the Record hold code before and after a fix, and nothing else that changed?"""
    has_both = bool(record.facts.vulnerable and record.facts.fixed)
    return record.status is Status.ACTIVE and has_both and record.facts.kind != PACKAGE_FIX


def make_fix_rows(
    records: Iterable[Record], style: PromptStyle, *, work: Path, semgrep: SemgrepSettings
) -> StepResult:
    """Return test rows of all fixes among `records`.

    The code before and after every fix is scanned in one run with all of our rules. Raises ToolError when
    the scanner fails.
    """
    every_fix = {record.id: record for record in records if is_fix(record)}
    # Who runs a test controls what it reads: of six such rows that were read two had no attacker.
    fixes = {name: fix for name, fix in every_fix.items() if classify_path(_file_of(fix)) != "test"}
    drops = [_drop(fix, DropReason.FIX_OF_TEST) for name, fix in every_fix.items() if name not in fixes]
    drops += [
        _drop(fix, DropReason.FIX_LANGUAGE) for fix in fixes.values() if fix.facts.language not in SUFFIXES
    ]
    readable = [fix for _, fix in sorted(fixes.items()) if fix.facts.language in SUFFIXES]
    if not readable:
        return StepResult([], drops)
    rows: list[Example] = []
    for fix, (before, after) in zip(readable, scan_versions(readable, style, work, semgrep), strict=True):
        remaining = {match.rule_id for finding in after for match in finding.matches}
        removed = [finding for finding in before if finding.rule_id not in remaining]
        drops += [
            _drop(fix, DropReason.FIX_NOT_REMOVED) for finding in before if finding.rule_id in remaining
        ]
        drops += [] if before else [_drop(fix, DropReason.FIX_NO_FINDING)]
        # One row a rule: a rule that fires twice on one function asks the same question twice.
        first = {finding.rule_id: finding for finding in reversed(removed)}
        rows += [_make_row(fix, finding, style) for finding in first.values()]
    return StepResult(sorted(rows, key=lambda row: row.id), drops)


def _make_row(record: Record, finding: Finding, style: PromptStyle) -> Example:
    style = style.draw_language(record.id)
    finding = translate(finding, style.lang)
    labelled = Labelled(
        label="true_positive",
        label_source="fix",
        reasoning=_WHY[style.prompt_lang],
        recommendation=finding.recommendation,
        origin="template",
        origins=[Origin(record_id=record.id)],
        source=record.source,
        licence=record.licence,
        group=f"fix/{record.source}/{record.key}",
    )
    row = credit(make_triage_row(finding, labelled, style), credit_line(record))
    return msgspec.structs.replace(row, split="test", axis=AXIS)


def _file_of(record: Record) -> str:
    """Return the file in a key as `github.com/OWNER/NAME/commit/ID#FILE:FUNCTION`; "" where none is named."""
    return record.key.partition("#")[2].rpartition(":")[0]


def _drop(record: Record, reason: DropReason) -> Drop:
    return Drop(reason=reason, source=record.source, task="triage", id=record.id)
