"""What the api says of a finding, and what a person may say of it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query

from securetag.api.findings.repository import FindingRow
from securetag.api.suppressions.schemas import to_suppression_answer
from securetag.db.models import Feedback, Finding, FindingState, Project
from securetag.records import SEVERITIES, BranchState, Confidence, JsonObject, Severity
from securetag.settings.sections import TriageSettings
from securetag.wire.api import (
    Branch,
    Decision,
    FeedbackAnswer,
    FindingAnswer,
    FindingDetail,
    OccurrenceAnswer,
    VerdictAnswer,
)
from securetag.wire.verdicts import allows_model_to_dismiss

SeverityFilter = Annotated[Severity | None, Query(description="Of this severity alone.")]
VerdictFilter = Annotated[Decision | None, Query(description="With this verdict of the model alone.")]
RuleFilter = Annotated[
    str | None, Query(max_length=300, pattern=r"^[^\x00]*$", description="Of this rule alone.")
]
#: `any`: whether or not a scan of the branch has reported it.
StateFilter = Annotated[
    list[BranchState | Literal["any"]],
    Query(
        description="In this state in the branch; repeat for several. By default new, open and reopened: "
        "what is in the code now. `any`: all of them."
    ),
]
BranchFilter = Annotated[
    Branch | None,
    Query(description="The branch that the state is about; each project's default branch if left out."),
]
ConfidenceFilter = Annotated[Confidence | None, Query(description="Of this confidence or a higher one.")]
CweFilter = Annotated[str | None, Query(pattern=r"^CWE-\d{1,9}$", description="Of this weakness alone.")]
PathFilter = Annotated[
    str | None,
    Query(max_length=1_000, pattern=r"^[^\x00]*$", description="With a path that begins with this."),
]
SuppressedFilter = Annotated[bool | None, Query(description="Only suppressed ones, or only the others.")]


def _answers(row: FindingRow, triage: TriageSettings) -> JsonObject:
    finding: Finding
    project: Project
    state: FindingState | None
    finding, occurrence, verdict, feedback, project, branch, state, suppression = row
    fields = {name: getattr(finding, name) for name in FindingAnswer.model_fields if hasattr(finding, name)}
    return fields | {
        "occurrence": OccurrenceAnswer.model_validate(occurrence),
        "verdict": VerdictAnswer.model_validate(verdict) if verdict is not None else None,
        "feedback": FeedbackAnswer.model_validate(feedback) if feedback is not None else None,
        "branch": branch,
        "state": state.state if state is not None else None,
        "state_since": state.since if state is not None else None,
        "suppression": to_suppression_answer(suppression) if suppression is not None else None,
        "model_may_dismiss": allows_model_to_dismiss(
            opted_in=project.model_may_dismiss,
            severity=_severity_of(finding),
            cwes={finding.cwe, *(match["cwe"] for match in finding.matches)},
            never=triage.never_dismiss,
            never_from=triage.never_dismiss_severity,
        ),
    }


def _severity_of(finding: Finding) -> Severity:
    """The severity, which the database checks."""
    return next(severity for severity in SEVERITIES if severity == finding.severity)


def to_finding_answer(row: FindingRow, triage: TriageSettings) -> FindingAnswer:
    """From a row; the settings name what no model dismisses."""
    return FindingAnswer(**_answers(row, triage))


def to_finding_detail(row: FindingRow, history: list[Feedback], triage: TriageSettings) -> FindingDetail:
    """From a row and all the feedback on it, newest first."""
    return FindingDetail(
        **_answers(row, triage),
        feedback_history=[FeedbackAnswer.model_validate(feedback) for feedback in history],
    )
