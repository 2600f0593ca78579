"""Verdicts of people: given on what was shown, on one finding or many, and taken back by a later row."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ScalarSelect, Select, SQLColumnExpression, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from uuid_utils.compat import uuid7

from securetag.api.findings.repository import branch_of, check_shown
from securetag.db.branch_verdicts import judge_branches
from securetag.db.feedback import is_withdrawn, restore_staleness, standing_feedback
from securetag.db.models import (
    Feedback,
    FeedbackWithdrawal,
    Finding,
    FindingOccurrence,
    Project,
    Task,
    TriageVerdict,
)
from securetag.db.repositories import audit
from securetag.db.repositories.keys import Principal
from securetag.db.states import State
from securetag.errors import ConflictError, GoneError, NotFoundError, PermissionDeniedError
from securetag.wire.feedback import BulkFeedbackBody, FeedbackBody

NO_CODE = "no code of this finding is stored any more, so nobody can judge it"
_NO_CODE_HINT = "Retention has removed it, or it was imported without code. Scan the project again."


async def add_feedback(
    session: AsyncSession, caller: Principal, finding_id: UUID, body: FeedbackBody
) -> Feedback:
    """Store a person's verdict on the occurrence that was shown, which must be the newest of its branch.

    Raises NotFoundError, ConflictError where a scan has stored a newer occurrence meanwhile, and GoneError
    where the code has been removed.
    """
    occurrence = await check_shown(session, finding_id, body.occurrence_id)
    if not occurrence.snippet:
        raise GoneError(NO_CODE, hint=_NO_CODE_HINT)
    verdict_id = await session.scalar(select(_model_verdict(occurrence.id)))
    row = Feedback(
        id=uuid7(),
        tenant_id=caller.tenant_id,
        finding_id=finding_id,
        **body.model_dump(),
        verdict_id=verdict_id,
        reviewer=caller.name,
        api_key_id=caller.key_id,
    )
    is_stale = Finding.verdict_stale_task_id.is_not(None)
    await session.execute(
        update(Finding).where(Finding.id == finding_id, is_stale).values(verdict_stale_task_id=None)
    )
    await audit.add(
        session,
        row,
        actor=caller.name,
        action="feedback.add",
        detail={"verdict": row.verdict, "source": row.source},
        subject=finding_id,
    )
    await session.flush()
    await judge_branches(session, [finding_id])
    return row


async def add_bulk_feedback(session: AsyncSession, caller: Principal, body: BulkFeedbackBody) -> UUID:
    """Store one verdict on many findings, all or none; return the id of the decision.

    Raises NotFoundError, ConflictError and GoneError as `add_feedback` does, if one of them is so.
    """
    shown = {item.occurrence_id: item.finding_id for item in body.findings}
    rows = (await session.execute(_shown_rows(list(shown)))).all()
    if {row.id: row.finding_id for row in rows} != shown:
        raise NotFoundError(
            "one of these findings or occurrences isn't there", hint="GET /findings lists yours."
        )
    if outdated := sum(row.is_outdated for row in rows):
        raise ConflictError(
            f"a newer scan has seen {outdated} of these findings, perhaps with other code",
            hint="Look at them again and repeat with the ids of their newest `occurrence`.",
        )
    if gone := sum(not row.has_code for row in rows):
        raise GoneError(f"of {gone} of these findings no code is stored any more", hint=_NO_CODE_HINT)
    bulk_id = uuid7()
    common = {
        "tenant_id": caller.tenant_id,
        "bulk_id": bulk_id,
        **body.model_dump(exclude={"findings"}),
        "reviewer": caller.name,
        "api_key_id": caller.key_id,
    }
    await session.execute(
        insert(Feedback),
        [
            {
                **common,
                "id": uuid7(),
                "finding_id": row.finding_id,
                "occurrence_id": row.id,
                "verdict_id": row.verdict_id,
            }
            for row in rows
        ],
    )
    await session.execute(
        update(Finding)
        .where(Finding.id.in_(list(shown.values())), Finding.verdict_stale_task_id.is_not(None))
        .values(verdict_stale_task_id=None)
    )
    await judge_branches(session, list(shown.values()))
    await audit.record(
        session,
        caller.tenant_id,
        actor=caller.name,
        action="feedback.bulk",
        subject=str(bulk_id),
        detail={"verdict": body.verdict, "findings": len(rows)},
    )
    return bulk_id


async def withdraw_feedback(
    session: AsyncSession,
    caller: Principal,
    feedback_id: UUID,
    *,
    finding_id: UUID | None = None,
    saw_model: bool = False,
) -> Feedback:
    """Take a verdict back: what was decided before it stands again. Nothing changes if it was so already.

    `saw_model`: has the person seen the model's verdict since they gave theirs? Raises NotFoundError, and
    PermissionDeniedError for another's verdict unless the caller administers the tenant.
    """
    query = select(Feedback).where(Feedback.id == feedback_id)
    if finding_id is not None:
        query = query.where(Feedback.finding_id == finding_id)
    row = await session.scalar(query)
    if row is None:
        raise NotFoundError(
            "there is no such feedback", hint="GET /findings/{finding_id} lists that of a finding."
        )
    await _withdraw(session, caller, [row], saw_model=saw_model)
    return row


async def withdraw_bulk(session: AsyncSession, caller: Principal, bulk_id: UUID) -> int:
    """Take a whole bulk decision back; return of how many findings it stood.

    Raises NotFoundError and PermissionDeniedError as `withdraw_feedback` does.
    """
    rows = (await session.scalars(select(Feedback).where(Feedback.bulk_id == bulk_id))).all()
    if not rows:
        raise NotFoundError("there is no such bulk decision", hint="Its answer named its `bulk_id`.")
    return await _withdraw(session, caller, rows, saw_model=False)


async def list_answered(session: AsyncSession, reviewer: str, finding_ids: Sequence[UUID]) -> frozenset[UUID]:
    """Return the findings of which this person may know what the model said.

    Those that they have judged, and those whose verdict they took back after they had seen it.
    """
    rows = await session.scalars(
        select(Feedback.finding_id)
        .outerjoin(FeedbackWithdrawal, FeedbackWithdrawal.feedback_id == Feedback.id)
        .where(
            Feedback.finding_id.in_(finding_ids),
            Feedback.reviewer == reviewer,
            Feedback.source == "person",
            or_(FeedbackWithdrawal.id.is_(None), FeedbackWithdrawal.saw_model),
        )
    )
    return frozenset(rows)


async def _withdraw(
    session: AsyncSession, caller: Principal, rows: Sequence[Feedback], *, saw_model: bool
) -> int:
    if not caller.may("admin") and any(row.reviewer != caller.name for row in rows):
        raise PermissionDeniedError(
            "this verdict is another reviewer's",
            hint="Give yours: the newest counts. An administrator can withdraw any.",
        )
    named = [row.id for row in rows]
    left = await session.scalars(select(Feedback.id).where(Feedback.id.in_(named), ~is_withdrawn()))
    withdrawn = set(left)
    rows = [row for row in rows if row.id in withdrawn]
    if not rows:
        return 0
    findings = [row.finding_id for row in rows]
    newest = standing_feedback()
    affected = await session.scalars(
        select(Finding.id)
        .join(newest, newest.finding_id == Finding.id)
        .where(Finding.id.in_(findings), newest.id.in_(named))
    )
    affected_ids = affected.all()
    await session.execute(
        insert(FeedbackWithdrawal),
        [
            {
                "id": uuid7(),
                "tenant_id": caller.tenant_id,
                "feedback_id": row.id,
                "saw_model": saw_model,
                "reviewer": caller.name,
                "api_key_id": caller.key_id,
            }
            for row in rows
        ],
    )
    await restore_staleness(session, affected_ids)
    await judge_branches(session, affected_ids)
    bulk_id = rows[0].bulk_id if len(rows) > 1 else None
    await audit.record(
        session,
        caller.tenant_id,
        actor=caller.name,
        action="feedback.withdraw",
        subject=str(bulk_id or rows[0].finding_id),
        detail={"verdict": rows[0].verdict, "findings": len(rows)},
    )
    return len(rows)


def _model_verdict(occurrence_id: UUID | SQLColumnExpression[UUID]) -> ScalarSelect[UUID]:
    """The model's newest verdict on an occurrence."""
    rows = select(TriageVerdict.id).where(TriageVerdict.occurrence_id == occurrence_id)
    return rows.order_by(TriageVerdict.id.desc()).limit(1).scalar_subquery()


def _shown_rows(occurrence_ids: Sequence[UUID]) -> Select[UUID, UUID, bool, bool, UUID]:
    """Occurrence × whether it has code, whether its branch has a newer one, and the model's verdict on it."""
    later, later_task = aliased(FindingOccurrence), aliased(Task)
    newer = (
        select(later.id)
        .join(later_task, later_task.id == later.task_id)
        .where(
            later.finding_id == FindingOccurrence.finding_id,
            later.id > FindingOccurrence.id,
            branch_of(later_task) == branch_of(Task),
            # A scan that hasn't ended may see it again, and nobody is shown that as the newest.
            later_task.state == State.COMPLETED,
        )
        .exists()
    )
    return (
        select(
            FindingOccurrence.id,
            FindingOccurrence.finding_id,
            (FindingOccurrence.snippet != "").label("has_code"),
            newer.label("is_outdated"),
            _model_verdict(FindingOccurrence.id).label("verdict_id"),
        )
        .join(Task, Task.id == FindingOccurrence.task_id)
        .join(Project, Project.id == Task.project_id)
        .where(FindingOccurrence.id.in_(occurrence_ids))
    )
