"""Vulnerable and fixed code of real projects → test rows whose label a fix gave.

A finding is a true positive where it is gone from the fixed side. One that stands on both sides is
unlabelled: the fix was about something else, or our rule can't see it. So every label here is the
same, and a lookup by rule would be right each time; that is why these rows are asked about and never
trained on, as an axis of their own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from securetag import rules, triage
from securetag.datasets.filters import Drop
from securetag.records import Decision, Example, Finding, Lang, Message, Origin, Record, Status, Task
from securetag.scanning.semgrep import scan
from securetag.settings import SemgrepSettings

AXIS = "real_pairs"
#: Languages that our rules read, and the suffix by which Semgrep knows them.
SUFFIXES = {"python": ".py", "javascript": ".js"}
STAYS = "fix: the finding stands on both sides"
UNFLAGGED = "fix: no rule of ours flags the vulnerable side"
UNREAD = "fix: a language that our rules don't read"


def is_pair(record: Record) -> bool:
    """True = the Record holds code before and after a fix."""
    return record.status is Status.ACTIVE and bool(record.facts.vulnerable and record.facts.fixed)


def rows(
    records: Iterable[Record],
    *,
    profile: triage.Profile,
    lang: Lang,
    work: Path,
    semgrep: SemgrepSettings,
) -> tuple[list[Example], list[Drop]]:
    """Test rows of all pairs among `records`, and what was left out.

    Both sides of every pair are scanned in one run with all of our rules. Raises ToolError when the
    scanner fails.
    """
    pairs = {record.id: record for record in records if is_pair(record)}
    drops = [_drop(r, UNREAD) for r in pairs.values() if r.facts.language not in SUFFIXES]
    readable = [record for _, record in sorted(pairs.items()) if record.facts.language in SUFFIXES]
    if not readable:
        return [], drops
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fixes-", dir=work) as folder:
        found = _scan(readable, Path(folder), semgrep, lang)
    examples: list[Example] = []
    for record in readable:
        before, after = found.get(_path(record, "a"), []), found.get(_path(record, "b"), [])
        stays = {finding.rule_id for finding in after}
        gone = [finding for finding in before if finding.rule_id not in stays]
        drops += [_drop(record, STAYS) for finding in before if finding.rule_id in stays]
        drops += [] if before else [_drop(record, UNFLAGGED)]
        # One row a rule: a rule that fires twice on one function asks the same question twice.
        first = {finding.rule_id: finding for finding in reversed(gone)}
        examples += [_row(record, finding, profile, lang) for finding in first.values()]
    return sorted(examples, key=lambda example: example.id), drops


def _path(record: Record, side: str) -> str:
    # A name that says nothing of the side: rules and prompts may read paths.
    return f"{side}/f{record.id[:16]}{SUFFIXES[record.facts.language or '']}"


def _scan(
    records: Sequence[Record], work: Path, semgrep: SemgrepSettings, lang: Lang
) -> dict[str, list[Finding]]:
    root = work / "code"
    for side in ("a", "b"):
        (root / side).mkdir(parents=True)
    for record in records:
        (root / _path(record, "a")).write_text(record.facts.vulnerable or "", encoding="utf-8")
        (root / _path(record, "b")).write_text(record.facts.fixed or "", encoding="utf-8")
    run = scan(
        root,
        pack=rules.compiled_pack(work),
        settings=semgrep,
        out=work / "semgrep",
        catalogue=rules.catalogue(),
        lang=lang,
    ).check_complete()
    found: dict[str, list[Finding]] = {}
    for finding in run.findings:
        found.setdefault(finding.path, []).append(finding)
    return found


def _row(record: Record, finding: Finding, profile: triage.Profile, lang: Lang) -> Example:
    prompt = triage.render(finding, profile=profile, lang=lang)
    start = min(max(finding.start_line - prompt.first_line + 1, 1), prompt.lines)
    end = min(max(finding.end_line - prompt.first_line + 1, start), prompt.lines)
    answer = triage.answer(
        profile=profile,
        evidence=[(start, end)],
        verdict=Decision.TRUE_POSITIVE,
        reasoning=_WHY["es" if lang == "es" else "en"].format(line=start),
        recommendation=finding.recommendation,
    )
    example = Example.of(
        task=Task.TRIAGE,
        messages=[*prompt.messages, Message("assistant", answer)],
        lang=lang,
        licence=record.licence,
        group=f"fix/{record.source}/{record.key}",
        origin="template",
        origins=[Origin(record_id=record.id)],
        source=record.source,
        label="true_positive",
        label_source="fix",
    )
    return msgspec.structs.replace(example, split="test", axis=AXIS)


_WHY = {
    "en": "The project's own fix removed what is flagged at line {line}.",
    "es": "La corrección del propio proyecto eliminó lo señalado en la línea {line}.",
}


def _drop(record: Record, reason: str) -> Drop:
    return Drop(reason=reason, source=record.source, task="triage", id=record.id)
