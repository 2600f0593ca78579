"""Which feedback on a finding stands, and whether it still holds for the code as it is."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from securetag.db.models import Feedback, FeedbackWithdrawal, Finding, FindingOccurrence, TriageVerdict
from securetag.db.suppressions import has_changed


def is_withdrawn() -> ColumnElement[bool]:
    """Has the outer query's feedback been taken back?"""
    return select(FeedbackWithdrawal.id).where(FeedbackWithdrawal.feedback_id == Feedback.id).exists()


def standing_feedback() -> type[Feedback]:
    """The newest feedback on the outer query's finding that nobody has taken back.

    A person's comes before a script's, however new.
    """
    newest = (
        select(Feedback)
        .where(Feedback.finding_id == Finding.id, ~is_withdrawn())
        .order_by((Feedback.source == "person").desc(), Feedback.id.desc())
        .limit(1)
        .lateral("standing_feedback")
    )
    return aliased(Feedback, newest)


async def restore_staleness(session: AsyncSession, finding_ids: Sequence[UUID]) -> None:
    """Say of findings whose newest verdict was taken back whether what stands now holds for their code.

    That is the feedback before it, else the model's newest verdict. It is stale since the scan from which on
    every scan shows other code than the one that was judged.
    """
    feedback = standing_feedback()
    seen = select(FindingOccurrence.id).where(
        FindingOccurrence.finding_id == Finding.id, FindingOccurrence.created_at <= feedback.created_at
    )
    by_model = select(TriageVerdict.occurrence_id).where(TriageVerdict.finding_id == Finding.id)
    judged_id = func.coalesce(
        feedback.occurrence_id,
        seen.order_by(FindingOccurrence.id.desc()).limit(1).scalar_subquery(),
        by_model.order_by(TriageVerdict.id.desc()).limit(1).scalar_subquery(),
    )
    named = (
        select(Finding.id, judged_id.label("judged_id"))
        .outerjoin(feedback, true())
        .where(Finding.id.in_(finding_ids))
        .subquery()
    )
    judged, later = aliased(FindingOccurrence), aliased(FindingOccurrence)
    rows = await session.execute(
        select(judged, later)
        .select_from(named)
        .join(judged, judged.id == named.c.judged_id)
        .join(later, (later.finding_id == named.c.id) & (later.id > judged.id))
        .order_by(later.id.desc())
    )
    stale_since: dict[UUID, UUID] = {}
    holds: set[UUID] = set()
    for before, now in rows:
        if now.finding_id in holds:
            continue
        if has_changed(before, now):
            stale_since[now.finding_id] = now.task_id
        else:
            holds.add(now.finding_id)
    await session.execute(
        update(Finding).where(Finding.id.in_(finding_ids)).values(verdict_stale_task_id=None)
    )
    for finding_id, task_id in stale_since.items():
        await session.execute(
            update(Finding).where(Finding.id == finding_id).values(verdict_stale_task_id=task_id)
        )
