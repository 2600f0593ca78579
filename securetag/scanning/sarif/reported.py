"""What a document says of one finding: the finding, who decided what on it, and where it is stored."""

from __future__ import annotations

from typing import Literal

import msgspec

from securetag.records import BranchState, Decision, Finding, Verdict
from securetag.wire.api import FindingAnswer, VerdictAnswer
from securetag.wire.feedback import ReviewMode
from securetag.wire.verdicts import decide, is_dismissed_by_person, review_mode

#: In place of a verdict.
NOT_TRIAGED = "not triaged"


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with the verdict that counts on it."""

    finding: Finding
    #: A decision, or `not triaged`.
    verdict: str = NOT_TRIAGED
    by: Literal["person", "model", "nobody"] = "nobody"
    #: The person who decided.
    reviewer: str = ""
    #: How that person gave the verdict; None where no person's counts.
    mode: ReviewMode | None = None
    #: What the model said, whoever decided.
    model: Verdict | None = None
    #: Why the finding doesn't count; None: it counts. Never by a model alone.
    justification: str | None = None
    #: In the scan's branch; None where no branch is followed.
    state: BranchState | None = None
    #: Of the stored finding; empty where nothing is stored.
    finding_id: str = ""
    occurrence_id: str = ""


def report_answer(answer: FindingAnswer) -> Reported:
    """Return what is to be said of a finding that the api has answered with."""
    decided, feedback = decide(answer), answer.feedback
    reviewer = feedback.reviewer if feedback is not None and decided.by == "person" else ""
    justification = None
    if is_dismissed_by_person(answer):
        comment = feedback.comment if feedback is not None else ""
        justification = f"false positive, says {reviewer}" + (f": {comment}" if comment else "")
    elif (suppression := answer.suppression) is not None:
        justification = f"suppressed ({suppression.scope}), says {suppression.owner}: {suppression.reason}"
    return Reported(
        finding=answer.to_finding(),
        verdict=decided.verdict,
        by=decided.by,
        reviewer=reviewer,
        mode=review_mode(answer),
        model=_verdict(answer.verdict) if answer.verdict is not None else None,
        justification=justification,
        state=answer.state,
        finding_id=str(answer.id),
        occurrence_id=str(answer.occurrence.id),
    )


def report_finding(finding: Finding, verdict: Verdict | None) -> Reported:
    """Return what is to be said of a finding that is stored nowhere."""
    if verdict is None:
        return Reported(finding=finding)
    return Reported(finding=finding, verdict=verdict.decision.value, by="model", model=verdict)


def _verdict(answer: VerdictAnswer) -> Verdict:
    return Verdict(
        decision=Decision(answer.decision),
        reason=answer.reason,
        evidence=answer.evidence,
        reasoning=answer.reasoning,
        recommendation=answer.recommendation,
        model_id=answer.model_id,
        alias=answer.alias,
        gate=answer.gate,
        p_false_positive=answer.p_false_positive,
        calibration_id=answer.calibration_id,
        threshold=answer.threshold,
    )
