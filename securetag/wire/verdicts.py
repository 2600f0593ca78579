"""Whose verdict on a finding counts: a person's, then the model's, and when each may change an exit code."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from securetag.records import SEVERITIES, Severity
from securetag.wire.api import FindingAnswer, VerdictAnswer
from securetag.wire.feedback import FeedbackAnswer, ReviewMode


class Decided(NamedTuple):
    """The verdict to show, and who gave it."""

    verdict: str
    by: Literal["person", "model", "nobody"]


def decide(finding: FindingAnswer) -> Decided:
    """Return a person's newest verdict on the finding, else the model's. A script's counts for neither.

    A person's verdict that is stale is shown as `stale`, unless a model has judged the newer code.
    """
    feedback, is_stale = _feedback_of_person(finding), finding.verdict_stale_task_id is not None
    if feedback is not None and not is_stale:
        return Decided(feedback.verdict, "person")
    if finding.verdict is not None:
        return Decided(finding.verdict.decision, "model")
    if feedback is not None:
        return Decided("stale", "person")
    return Decided("being triaged" if finding.being_triaged else "not triaged", "nobody")


def has_passed_production_gate(verdict: VerdictAnswer) -> bool:
    """Has the model that gave this verdict passed a production gate, as the worker says?

    Until it has, its verdict is advice. Comments and names in the scanned code are part of its prompt, so
    that whoever writes the code can talk it into `false_positive`.
    """
    return verdict.gate == "production"


def allows_model_to_dismiss(
    *, opted_in: bool, severity: Severity, cwes: Iterable[str], never: Collection[str], never_from: Severity
) -> bool:
    """May a model's `false_positive` dismiss a finding of this severity and these weaknesses?

    Only in a project that has opted in; never for a weakness in `never`, nor from severity `never_from` on.
    """
    is_severe = SEVERITIES.index(severity) >= SEVERITIES.index(never_from)
    return opted_in and not is_severe and not any(cwe in never for cwe in cwes)


def is_dismissed(finding: FindingAnswer) -> bool:
    """Is the finding a false positive by somebody whose word may change an exit code?

    A person's verdict decides alone, in both directions: their `true_positive` counts against any model's
    `false_positive`. While that is stale, nothing is dismissed.
    """
    if finding.verdict_stale_task_id is not None:
        return False
    if (feedback := _feedback_of_person(finding)) is not None:
        return feedback.verdict == "false_positive"
    verdict = finding.verdict
    return (
        finding.model_may_dismiss
        and verdict is not None
        and verdict.decision == "false_positive"
        and has_passed_production_gate(verdict)
    )


def counts(finding: FindingAnswer) -> bool:
    """May the finding end a scan with exit code 1? Neither a dismissed nor a suppressed one may."""
    return finding.suppression is None and not is_dismissed(finding)


def review_mode(finding: FindingAnswer) -> ReviewMode | None:
    """Return how the person gave the verdict that counts; None where nobody's does."""
    feedback = _feedback_of_person(finding)
    return feedback.mode if feedback is not None and decide(finding).by == "person" else None


def is_dismissed_by_person(finding: FindingAnswer) -> bool:
    """Has a person called the finding a false positive, of the code as it is?"""
    feedback = _feedback_of_person(finding)
    return (
        finding.verdict_stale_task_id is None
        and feedback is not None
        and feedback.verdict == "false_positive"
    )


def _feedback_of_person(finding: FindingAnswer) -> FeedbackAnswer | None:
    feedback = finding.feedback
    return feedback if feedback is not None and feedback.source == "person" else None
