"""Harvested verdicts → triage rows whose label a person gave.

Reviewers who disagree about a finding don't train: the question may be unanswerable from the code. Nor
does a tenant that contradicts the others far more than chance allows (`agreement.contradicting`).
Rows of one project share a side, since its findings have author, helpers and habits in common. The same
code doesn't stand on two sides either, whoever reviewed it and in whatever project.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from securetag import triage
from securetag.datasets.feedback.agreement import CONTRADICTION, contradicting, tenant_of
from securetag.datasets.feedback.harvest import SOURCE
from securetag.datasets.filters import Drop
from securetag.datasets.splitting.assign import Ties
from securetag.records import Decision, Example, HarvestedVerdict, Lang, Message, Origin, Task

DISAGREEMENT = "harvest: reviewers disagree"
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


def rows(
    harvested: Sequence[HarvestedVerdict], *, profile: triage.Profile, lang: Lang
) -> tuple[list[Example], list[Drop]]:
    """One row a finding on which all its reviewers agree, and what was left out."""
    by_record: dict[str, list[HarvestedVerdict]] = {}
    examples: list[Example] = []
    drops: list[Drop] = []
    doubted = contradicting(harvested)
    for verdict in harvested:
        if tenant_of(verdict) in doubted:
            drops.append(Drop(reason=CONTRADICTION, source=SOURCE, task="triage", id=verdict.record.id))
        else:
            by_record.setdefault(verdict.record.id, []).append(verdict)
    for identity, verdicts in sorted(by_record.items()):
        if len({verdict.label for verdict in verdicts}) > 1:
            drops.append(
                Drop(reason=DISAGREEMENT, source=SOURCE, task="triage", id=identity, n=len(verdicts))
            )
        else:
            examples.append(_row(verdicts, profile, lang))
    return examples, drops


def _row(verdicts: list[HarvestedVerdict], profile: triage.Profile, lang: Lang) -> Example:
    first = verdicts[0]
    finding = first.finding
    prompt = triage.render(finding, profile=profile, lang=lang)
    start = min(max(finding.start_line - prompt.first_line + 1, 1), prompt.lines)
    end = min(max(finding.end_line - prompt.first_line + 1, start), prompt.lines)
    tongue = "es" if lang == "es" else "en"
    answer = triage.answer(
        profile=profile,
        evidence=[(start, end)],
        verdict=Decision(first.label),
        reasoning=_WHY[tongue][first.label].format(line=start),
        recommendation=finding.recommendation if first.label == "true_positive" else "",
    )
    origins = {(o.finding_id or "", o.consent_id or ""): o for o in (v.origin for v in verdicts)}
    said = {verdict.model_decision for verdict in verdicts if verdict.model_decision is not None}
    example = Example.of(
        task=Task.TRIAGE,
        messages=[*prompt.messages, Message("assistant", answer)],
        lang=lang,
        licence=first.record.licence,
        group=group(first),
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
        label=first.label,
        label_source="analyst",
    )
    # Models that disagreed with one another leave nothing that the reviewers answered to.
    return msgspec.structs.replace(example, model_decision=said.pop() if len(said) == 1 else None)


def group(verdict: HarvestedVerdict) -> str:
    """The project's name, else that of the code: what shares a side."""
    return f"project/{verdict.project.removeprefix('v1:')[:32]}" if verdict.project else code_key(verdict)


def code_key(verdict: HarvestedVerdict) -> str:
    """A name for the code, in whatever file it stands."""
    code = " ".join(verdict.finding.snippet.split())
    return "analyst/" + hashlib.sha256(code.encode()).hexdigest()[:32]


def ties(harvested: Sequence[HarvestedVerdict]) -> dict[str, Ties]:
    """What binds the rows, by the findings that they come from."""
    return {
        verdict.origin.finding_id: Ties(group(verdict), (code_key(verdict),))
        for verdict in harvested
        if verdict.origin.finding_id is not None
    }
