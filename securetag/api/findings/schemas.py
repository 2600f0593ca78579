"""What the api says of a finding, and what a person may say of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from securetag.api.findings.repository import FindingRow
from securetag.db.models import Feedback, Finding, FindingOccurrence, TriageVerdict
from securetag.records import JsonObject, Severity
from securetag.wire.api import (
    Decision,
    FeedbackAnswer,
    FindingAnswer,
    FindingDetail,
    OccurrenceAnswer,
    VerdictAnswer,
)

SeverityFilter = Annotated[Severity | None, Query(description="Of this severity alone.")]
VerdictFilter = Annotated[Decision | None, Query(description="With this verdict of the model alone.")]
RuleFilter = Annotated[
    str | None, Query(max_length=300, pattern=r"^[^\x00]*$", description="Of this rule alone.")
]


def _answers(row: FindingRow) -> JsonObject:
    finding_row: Finding
    occurrence: FindingOccurrence
    verdict: TriageVerdict | None
    feedback: Feedback | None
    finding_row, occurrence, verdict, feedback = row
    fields = {
        name: getattr(finding_row, name) for name in FindingAnswer.model_fields if hasattr(finding_row, name)
    }
    return fields | {
        "occurrence": OccurrenceAnswer.model_validate(occurrence),
        "verdict": VerdictAnswer.model_validate(verdict) if verdict is not None else None,
        "feedback": FeedbackAnswer.model_validate(feedback) if feedback is not None else None,
    }


def to_finding_answer(row: FindingRow) -> FindingAnswer:
    """From (Finding, FindingOccurrence, TriageVerdict | None, Feedback | None)."""
    return FindingAnswer(**_answers(row))


def to_finding_detail(row: FindingRow, history: list[Feedback]) -> FindingDetail:
    return FindingDetail(
        **_answers(row), feedback_history=[FeedbackAnswer.model_validate(feedback) for feedback in history]
    )
