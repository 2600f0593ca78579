"""What the api says of a finding, and what a person may say of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.api.feedback.schemas import to_feedback_answer
from securetag.api.findings.repository import FindingRow
from securetag.api.suppressions.schemas import to_suppression_answer
from securetag.db.models import (
    Feedback,
    FeedbackWithdrawal,
    Finding,
    FindingNote,
    FindingState,
    Project,
    Task,
)
from securetag.errors import InputError, NotFoundError
from securetag.records import SEVERITIES, BranchState, Confidence, JsonObject, Severity
from securetag.settings.sections import TriageSettings
from securetag.wire.api import (
    Branch,
    FindingAnswer,
    FindingDetail,
    OccurrenceAnswer,
    VerdictAnswer,
)
from securetag.wire.feedback import Decision, NoteAnswer
from securetag.wire.lineage import TrainingUseAnswer
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
ReviewedFilter = Annotated[
    bool | None, Query(description="Only what a person has judged as it is now, or only the rest.")
]
DisagreeFilter = Annotated[
    bool | None, Query(description="Only where the model says the opposite of a person, or only the rest.")
]
#: An RFC 3339 date or time, or the id of a scan.
SinceFilter = Annotated[
    str | None,
    Query(
        max_length=40,
        description="First reported on this day (UTC) or at this time, or later: `2026-11-01`, "
        "`2026-11-01T12:00:00Z`; or, given the id of a scan, by a scan after that.",
    ),
]
AssigneeFilter = Annotated[
    str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Who works on it.")
]
AssignedFilter = Annotated[
    bool | None, Query(description="Only what somebody works on, or only what nobody works on.")
]
NotedFilter = Annotated[bool | None, Query(description="Only with notes, or only without.")]
TextFilter = Annotated[
    str | None,
    Query(
        max_length=300,
        pattern=r"^[^\x00]*$",
        description="With this in its title, path or rule, in either case: three letters or digits in a row "
        "at least.",
    ),
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
        "feedback": to_feedback_answer(feedback) if feedback is not None else None,
        "branch": branch,
        "state": state.state if state is not None else None,
        "state_since": state.since if state is not None else None,
        # A verdict holds or not for the code that the branch has.
        "verdict_stale_task_id": (state or finding).verdict_stale_task_id,
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


def to_finding_answer(
    row: FindingRow, triage: TriageSettings, awaiting: Collection[UUID] = ()
) -> FindingAnswer:
    """From a row; the settings name what no model dismisses. `awaiting`: occurrences being triaged."""
    answer = FindingAnswer(**_answers(row, triage))
    answer.being_triaged = answer.occurrence.id in awaiting and answer.verdict is None
    return answer


def to_finding_detail(
    row: FindingRow,
    history: Sequence[Row[Feedback, FeedbackWithdrawal]],
    notes: Sequence[FindingNote],
    training: Sequence[TrainingUseAnswer],
    triage: TriageSettings,
) -> FindingDetail:
    """From a row, all the feedback on it, newest first, its notes, oldest first, and what it has trained."""
    return FindingDetail(
        **_answers(row, triage),
        feedback_history=[to_feedback_answer(*given) for given in history],
        notes=[NoteAnswer.model_validate(note) for note in notes],
        training=list(training),
    )


async def read_since(session: AsyncSession, text: str | None) -> datetime | UUID | None:
    """Return the time, or the scan, that a list begins after.

    Raises InputError for anything else, NotFoundError for a scan that isn't there.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        task_id = UUID(text)
    except ValueError as error:
        raise InputError(
            "`since` is neither a date nor the id of a scan", hint="Write 2026-11-01, or a scan's id."
        ) from error
    if await session.get(Task, task_id) is None:
        raise NotFoundError("there is no such scan", hint="GET /codeaudit/index lists yours.")
    return task_id
