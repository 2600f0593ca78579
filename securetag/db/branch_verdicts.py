"""Whether the verdict in force on a finding holds for the code that a branch has.

A person's verdict is compared with the branch's own newest occurrence, wherever it was given. Without one,
a model's verdict in the branch holds until a scan of that branch shows other code without a new verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, and_, bindparam, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from securetag.db.feedback import standing_feedback
from securetag.db.models import (
    Feedback,
    Finding,
    FindingOccurrence,
    FindingState,
    Project,
    Task,
    TriageVerdict,
)
from securetag.db.states import State
from securetag.db.suppressions import has_changed

#: Scans of a branch that are looked at for the first one which shows other code.
MAX_OCCURRENCES = 200


async def find_stale(session: AsyncSession, task: Task, branch: str) -> set[UUID]:
    """Return the findings of a scan, which is stored, whose verdict in force doesn't hold for its code.

    Call it before the states of the branch name this scan.
    """
    by_person = await session.execute(_select_judged_by_people(), {"of_task": task.id})
    stale = {after.finding_id for shown, after in by_person if has_changed(shown, after)}
    by_model = await session.execute(_select_judged_by_models(), {"of_task": task.id, "of_branch": branch})
    return stale | {
        after.finding_id for shown, after, since in by_model if since is not None or has_changed(shown, after)
    }


# To build them takes longer than PostgreSQL takes to answer them for a few findings.
@cache
def _select_judged_by_people() -> Select[FindingOccurrence, FindingOccurrence]:
    """The occurrence that was judged and the scan's, where these may differ."""
    now, judged = aliased(FindingOccurrence), aliased(FindingOccurrence)
    feedback = standing_feedback()
    return (
        select(judged, now)
        .select_from(Finding)
        .join(now, and_(now.finding_id == Finding.id, now.task_id == bindparam("of_task")))
        .join(feedback, true())
        .join(judged, _is_judged(judged, feedback))
        .where(_may_differ(judged, now))
    )


@cache
def _select_judged_by_models() -> Select[FindingOccurrence, FindingOccurrence, UUID | None]:
    """The branch's occurrence before, the scan's without a verdict, and since when a verdict is stale."""
    now, before = aliased(FindingOccurrence), aliased(FindingOccurrence)
    feedback = standing_feedback()
    judged_now = select(TriageVerdict.id).where(TriageVerdict.occurrence_id == now.id).exists()
    is_of_branch = and_(FindingState.finding_id == Finding.id, FindingState.branch == bindparam("of_branch"))
    return (
        select(before, now, FindingState.verdict_stale_task_id)
        .select_from(Finding)
        .join(now, and_(now.finding_id == Finding.id, now.task_id == bindparam("of_task")))
        .join(FindingState, is_of_branch)
        .join(before, and_(before.finding_id == Finding.id, before.task_id == FindingState.seen_task_id))
        .outerjoin(feedback, true())
        .where(
            feedback.id.is_(None),
            ~judged_now,
            select(TriageVerdict.id).where(TriageVerdict.finding_id == Finding.id).exists(),
            or_(_may_differ(before, now), FindingState.verdict_stale_task_id.is_not(None)),
        )
    )


async def judge_branches(session: AsyncSession, finding_ids: Sequence[UUID]) -> None:
    """Say of each branch that has one of the findings whether the feedback that stands holds for its code.

    After feedback was given or taken back. Without any nothing is stale: what stands is a model's verdict.
    """
    rows = await session.execute(_select_changed(), {"finding_ids": list(finding_ids)})
    stale = [
        (state_id, branch, shown) for state_id, branch, shown, after in rows if has_changed(shown, after)
    ]
    of_findings = update(FindingState).where(
        FindingState.finding_id.in_(finding_ids), FindingState.verdict_stale_task_id.is_not(None)
    )
    await session.execute(of_findings.values(verdict_stale_task_id=None))
    for state_id, branch, shown in stale:
        since = await _find_first_changed(session, shown, branch)
        of_state = update(FindingState).where(FindingState.id == state_id)
        await session.execute(of_state.values(verdict_stale_task_id=since))


# To build it takes longer than PostgreSQL takes to answer.
@cache
def _select_changed() -> Select[UUID, str, FindingOccurrence, FindingOccurrence]:
    """State, its branch, the occurrence that was judged and the branch's newest, where these may differ."""
    feedback = standing_feedback()
    judged, now = aliased(FindingOccurrence), aliased(FindingOccurrence)
    named = bindparam("finding_ids", expanding=True, type_=Uuid)
    return (
        select(FindingState.id, FindingState.branch, judged, now)
        .select_from(Finding)
        .join(FindingState, FindingState.finding_id == Finding.id)
        .join(now, and_(now.finding_id == Finding.id, now.task_id == FindingState.seen_task_id))
        .join(feedback, true())
        .join(judged, _is_judged(judged, feedback))
        .where(Finding.id.in_(named), _may_differ(judged, now))
    )


async def _find_first_changed(session: AsyncSession, judged: FindingOccurrence, branch: str) -> UUID | None:
    """Return the scan of the branch from which on every one shows other code than the one that was judged."""
    rows = await session.scalars(
        select(FindingOccurrence)
        .join(Task, Task.id == FindingOccurrence.task_id)
        .join(Project, Project.id == Task.project_id)
        .where(
            FindingOccurrence.finding_id == judged.finding_id,
            Task.state == State.COMPLETED,
            func.coalesce(Task.params["branch"].astext, Project.default_branch) == branch,
        )
        .order_by(FindingOccurrence.id.desc())
        .limit(MAX_OCCURRENCES)
    )
    since = None
    for occurrence in rows:
        if not has_changed(judged, occurrence):
            break
        since = occurrence.task_id
    return since


def _is_judged(occurrence: type[FindingOccurrence], feedback: type[Feedback]) -> ColumnElement[bool]:
    """Was the feedback given on this occurrence? Older feedback names none: on the newest of its time."""
    other = aliased(FindingOccurrence)
    newest = (
        select(other.id)
        .where(other.finding_id == feedback.finding_id, other.created_at <= feedback.created_at)
        .order_by(other.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return occurrence.id == func.coalesce(feedback.occurrence_id, newest)


def _may_differ(judged: type[FindingOccurrence], now: type[FindingOccurrence]) -> ColumnElement[bool]:
    """May the code have changed? Not where the digests are equal, nor where there is no code to compare."""
    before, after = (occurrence.identity["digest"].astext for occurrence in (judged, now))
    return and_(after.is_not(None), or_(before.is_(None), before != after))
