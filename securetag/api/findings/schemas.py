"""What the api says of a finding, and what a person may say of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query
from pydantic import Field

from securetag.api.paging import Answer, Body, Text, Time
from securetag.db.models import Feedback, Finding, FindingOccurrence, TriageVerdict
from securetag.records import Severity

Decision = Literal["true_positive", "false_positive", "needs_review"]
Disposition = Literal["fix", "accept_risk", "test_code", "mitigated_elsewhere", "duplicate"]

SeverityFilter = Annotated[Severity | None, Query(description="Of this severity alone.")]
VerdictFilter = Annotated[Decision | None, Query(description="With this verdict of the model alone.")]
RuleFilter = Annotated[
    str | None, Query(max_length=300, pattern=r"^[^\x00]*$", description="Of this rule alone.")
]


class OccurrenceAnswer(Answer):
    """Where a finding stood in one scan."""

    id: UUID
    task_id: UUID
    path: str
    start_line: int
    end_line: int
    snippet: str
    #: Line of the snippet's first line in the file.
    snippet_line: int
    scope: str


class VerdictAnswer(Answer):
    """What the model said, or why it didn't."""

    id: UUID
    decision: Decision
    reason: str
    #: Line spans in the file.
    evidence: list[tuple[int, int]]
    reasoning: str
    recommendation: str
    model_id: str
    alias: str
    prompt_sha256: str
    prompt_version: str
    schema_version: int
    lang: str
    duration_ms: int
    created_at: Time


class FeedbackAnswer(Answer):
    """What a person said."""

    id: UUID
    finding_id: UUID
    occurrence_id: UUID | None
    #: The model's verdict that stood beside it.
    verdict_id: UUID | None
    verdict: Decision
    disposition: Disposition | None
    comment: str
    saw_model: bool
    source: Literal["person", "script"]
    reviewer: str
    created_at: Time


class FindingAnswer(Answer):
    """A finding with one occurrence, the model's verdict on that and the feedback that stands.

    That is the newest of a person; the newest of a script only where no person has given any.
    """

    id: UUID
    project_id: UUID
    fingerprint: str
    tool: str
    rule_id: str
    cwe: str
    owasp: str
    title: str
    message: str
    recommendation: str
    severity: Severity
    confidence: Literal["low", "medium", "high"]
    language: str
    first_seen_at: Time
    last_seen_at: Time
    occurrence: OccurrenceAnswer
    verdict: VerdictAnswer | None
    feedback: FeedbackAnswer | None


class FindingDetail(FindingAnswer):
    """A finding with all its feedback, newest first."""

    feedback_history: list[FeedbackAnswer]


class FeedbackBody(Body):
    """A person's verdict on a finding, as one scan showed it."""

    #: Id of the `occurrence` that the person looked at; 409 where a newer scan has seen the finding since.
    occurrence_id: UUID
    verdict: Decision
    #: What is done about it; never trains the verdict.
    disposition: Disposition | None = None
    comment: Annotated[Text, Field(max_length=4_000)] = ""
    #: Had the person seen the model's verdict before giving this one?
    saw_model: bool
    #: `script` where a program gave it, for example from a ground truth.
    source: Literal["person", "script"] = "person"


def _answers(row: Any) -> dict[str, Any]:
    found: Finding
    occurrence: FindingOccurrence
    verdict: TriageVerdict | None
    feedback: Feedback | None
    found, occurrence, verdict, feedback = row
    own = {name: getattr(found, name) for name in FindingAnswer.model_fields if hasattr(found, name)}
    return own | {
        "occurrence": OccurrenceAnswer.model_validate(occurrence),
        "verdict": VerdictAnswer.model_validate(verdict) if verdict is not None else None,
        "feedback": FeedbackAnswer.model_validate(feedback) if feedback is not None else None,
    }


def finding(row: Any) -> FindingAnswer:
    """From (Finding, FindingOccurrence, TriageVerdict | None, Feedback | None)."""
    return FindingAnswer(**_answers(row))


def finding_detail(row: Any, history: list[Feedback]) -> FindingDetail:
    return FindingDetail(
        **_answers(row), feedback_history=[FeedbackAnswer.model_validate(one) for one in history]
    )
