"""Verdicts of people → triage rows.

A bulk decision is one vote, so it gives one row at most. A finding on which its reviewers disagree is left
out: the question may be unanswerable from the code. So is every verdict of a tenant that contradicts the
others far more than chance allows (`agreement.find_contradicting`). The rows of one project are in one
split, since its findings have author, helpers and habits in common. The same code isn't in two splits
either, in whatever project it was reviewed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.datasets.feedback.agreement import find_contradicting, split_bulk_votes, tenant_id_of
from securetag.datasets.feedback.harvest import SOURCE
from securetag.datasets.splitting.groups import GroupKeys
from securetag.datasets.triage_rows import Labelled, PromptStyle, make_triage_row, translate
from securetag.records import Example, HarvestedVerdict, Origin

_WHY = {
    "en": {
        "true_positive": "A reviewer confirmed that line {line} is exploitable.",
        "false_positive": "A reviewer found line {line} safe.",
    },
    "es": {
        "true_positive": "Una persona confirmó que la línea {line} es explotable.",
        "false_positive": "Una persona consideró segura la línea {line}.",
    },
}


def make_reviewed_rows(verdicts: Sequence[HarvestedVerdict], style: PromptStyle) -> StepResult:
    """Return one row for each finding on which all its reviewers agree."""
    by_record: dict[str, list[HarvestedVerdict]] = {}
    rows: list[Example] = []
    votes, repeated = split_bulk_votes(verdicts)
    drops = [_drop(verdict.record.id, DropReason.VERDICT_BULK) for verdict in repeated]
    contradicting = find_contradicting(votes)
    for verdict in votes:
        if tenant_id_of(verdict) in contradicting:
            drops.append(_drop(verdict.record.id, DropReason.VERDICT_CONTRADICTION))
        else:
            by_record.setdefault(verdict.record.id, []).append(verdict)
    for record_id, of_record in sorted(by_record.items()):
        if len({verdict.label for verdict in of_record}) > 1:
            drops.append(_drop(record_id, DropReason.VERDICT_DISAGREEMENT, len(of_record)))
        else:
            rows.append(_make_row(of_record, style))
    return StepResult(rows, drops)


def _drop(record_id: str, reason: DropReason, n: int = 1) -> Drop:
    return Drop(reason=reason, source=SOURCE, task="triage", id=record_id, n=n)


def _make_row(verdicts: list[HarvestedVerdict], style: PromptStyle) -> Example:
    first = verdicts[0]
    style = style.draw_language(first.record.id)
    finding = translate(first.finding, style.lang)
    origins = {
        (verdict.origin.finding_id or "", verdict.origin.consent_id or ""): verdict.origin
        for verdict in verdicts
    }
    labelled = Labelled(
        label=first.label,
        label_source="analyst",
        reasoning=_WHY[style.prompt_lang][first.label],
        recommendation=finding.recommendation if first.label == "true_positive" else "",
        origin="analyst",
        origins=[
            Origin(
                record_id=first.record.id,
                finding_id=origin.finding_id,
                tenant_id=origin.tenant_id,
                consent_id=origin.consent_id,
            )
            for _, origin in sorted(origins.items())
        ],
        source=SOURCE,
        licence=first.record.licence,
        group=project_group(first),
    )
    row = make_triage_row(finding, labelled, style)
    decisions = {verdict.model_decision for verdict in verdicts if verdict.model_decision is not None}
    # Models that disagreed with one another leave nothing that the reviewers answered to.
    return msgspec.structs.replace(row, model_decision=decisions.pop() if len(decisions) == 1 else None)


def project_group(verdict: HarvestedVerdict) -> str:
    """Return the group of a verdict's rows: the project, else the code."""
    return f"project/{verdict.project.removeprefix('v1:')[:32]}" if verdict.project else code_key(verdict)


def code_key(verdict: HarvestedVerdict) -> str:
    """Return a name for the code, in whatever file it is."""
    code = " ".join(verdict.finding.snippet.split())
    return "analyst/" + hashlib.sha256(code.encode()).hexdigest()[:32]


def group_keys(verdicts: Sequence[HarvestedVerdict]) -> dict[str, GroupKeys]:
    """Return finding id → keys of its rows."""
    return {
        verdict.origin.finding_id: GroupKeys(project_group(verdict), (code_key(verdict),))
        for verdict in verdicts
        if verdict.origin.finding_id is not None
    }
