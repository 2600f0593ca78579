"""Findings with their newest occurrence, the model's verdict on it and the newest feedback.

Feedback of a person comes before that of a script, however new: what a program says never hides what
somebody decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CompoundSelect,
    DateTime,
    Integer,
    Row,
    Select,
    SQLColumnExpression,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from securetag.api.findings.listing import (
    FindingFilter,
    at_least,
    count_facets,
    list_ids,
    list_neighbors,
)
from securetag.db.branch_states import DEFAULT_BRANCH
from securetag.db.feedback import standing_feedback
from securetag.db.models import (
    Feedback,
    FeedbackWithdrawal,
    Finding,
    FindingNote,
    FindingOccurrence,
    FindingState,
    Project,
    Suppression,
    Task,
    TriageVerdict,
)
from securetag.db.review_queue import is_due
from securetag.db.states import State
from securetag.db.suppressions import hides, is_in_force
from securetag.errors import ConflictError, NotFoundError
from securetag.records import Decision

#: (Finding, FindingOccurrence, TriageVerdict | None, Feedback | None, Project, branch, FindingState | None,
#: Suppression | None)
FindingRow = Row[Finding, FindingOccurrence, TriageVerdict, Feedback, Project, str, FindingState, Suppression]
FindingQuery = Select[
    Finding, FindingOccurrence, TriageVerdict, Feedback, Project, str, FindingState, Suppression
]


OPPOSITES = (Decision.TRUE_POSITIVE, Decision.FALSE_POSITIVE)
#: Every finding.
ANY = FindingFilter()


@dataclass(frozen=True, slots=True)
class FindingCounts:
    """How many findings of a list have which value."""

    total: int
    #: Facet (severity, confidence, decision, state, reviewed, project, rule_id, cwe, assignee) → value →
    #: findings.
    by: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class _Selection:
    """A query and the parts of it that orders, cursors and counts name."""

    query: FindingQuery
    occurrence: type[FindingOccurrence]
    #: Facet → its value.
    facets: Mapping[str, SQLColumnExpression[str] | SQLColumnExpression[str | None]]


# To build the query takes many times longer than PostgreSQL takes to answer most of them: 16 ms to 2.
@lru_cache(maxsize=128)
def _select(wanted: FindingFilter, task_id: UUID | None = None) -> _Selection:
    """Finding × one occurrence × what is known of both: verdict, feedback, state in a branch, suppression.

    The occurrence is that of the scan `task_id`; without one the newest of the branch, or of all where no
    scan of the branch has reported the finding.
    """
    branch, state = _state(wanted, task_id)
    occurrence = _occurrence(state, task_id)
    verdict = aliased(
        TriageVerdict,
        select(TriageVerdict)
        .where(TriageVerdict.occurrence_id == occurrence.id)
        .order_by(TriageVerdict.id.desc())
        .limit(1)
        .lateral("verdict"),
    )
    feedback = standing_feedback()
    suppression = aliased(
        Suppression,
        select(Suppression)
        .where(is_in_force(), hides(occurrence))
        .order_by(Suppression.id)
        .limit(1)
        .lateral("suppression"),
    )
    query = (
        select(Finding, occurrence, verdict, feedback, Project, branch, state, suppression)
        .select_from(Finding)
        .join(Project, Project.id == Finding.project_id)
        .outerjoin(state, true())
        .join(occurrence, true())
        .outerjoin(verdict, true())
        .outerjoin(feedback, true())
        .outerjoin(suppression, true())
    )
    conditions: dict[str, ColumnElement[bool]] = {
        "severity": Finding.severity == wanted.severity,
        "decision": verdict.decision == wanted.decision,
        "rule_id": Finding.rule_id == wanted.rule_id,
        "project_id": Finding.project_id == wanted.project_id,
        "confidence": Finding.confidence.in_(at_least(wanted.confidence)),
        "cwe": or_(Finding.cwe == wanted.cwe, Finding.matches.contains([{"cwe": wanted.cwe}])),
        "path": occurrence.path.startswith(wanted.path or "", autoescape=True),
        "suppressed": suppression.id.is_not(None) == wanted.suppressed,
        "states": state.state.in_(wanted.states or ()),
        "reviewed": _is_reviewed(feedback, state) == wanted.reviewed,
        "disagree": _disagree(feedback, verdict, state) == wanted.disagree,
        "since": _is_since(wanted.since),
        "assignee": Finding.assignee == wanted.assignee,
        "assigned": Finding.assignee.is_not(None) == wanted.assigned,
        "noted": select(FindingNote.id).where(FindingNote.finding_id == Finding.id).exists() == wanted.noted,
        "due_for": is_due(wanted.due_for or "", occurrence, verdict, state),
        "text": or_(
            *(
                column.icontains(wanted.text or "", autoescape=True)
                for column in (Finding.title, Finding.rule_id, occurrence.path)
            )
        ),
    }
    rules = [rule for name, rule in conditions.items() if getattr(wanted, name) is not None]
    facets: dict[str, SQLColumnExpression[str] | SQLColumnExpression[str | None]] = {
        "severity": Finding.severity,
        "confidence": Finding.confidence,
        "decision": verdict.decision,
        "state": state.state,
        "reviewed": cast(_is_reviewed(feedback, state), Text),
        "project": Project.name,
        "rule_id": Finding.rule_id,
        "cwe": Finding.cwe,
        "assignee": Finding.assignee,
    }
    return _Selection(query.where(*rules), occurrence, facets)


def _is_since(since: datetime | UUID | None) -> ColumnElement[bool]:
    """Was the finding first reported since then? Ids rise with time, so those of scans are compared."""
    if isinstance(since, UUID):
        return Finding.first_task_id > since
    return Finding.first_seen_at >= literal(since, DateTime(timezone=True))


def _is_reviewed(feedback: type[Feedback], state: type[FindingState]) -> ColumnElement[bool]:
    """Has a person given a verdict that holds for the code of the branch?"""
    stale = case((state.id.is_(None), Finding.verdict_stale_task_id), else_=state.verdict_stale_task_id)
    return and_(func.coalesce(feedback.source == "person", false()), stale.is_(None))


def _disagree(
    feedback: type[Feedback], verdict: type[TriageVerdict], state: type[FindingState]
) -> ColumnElement[bool]:
    """Does a person say true where the model says false, or false where it says true?"""
    opposite = or_(
        *(
            and_(feedback.verdict == person, verdict.decision == model)
            for person, model in (OPPOSITES, OPPOSITES[::-1])
        )
    )
    return and_(_is_reviewed(feedback, state), func.coalesce(opposite, false()))


def _state(wanted: FindingFilter, task_id: UUID | None) -> tuple[ColumnElement[str], type[FindingState]]:
    """The branch, and the finding's state in it."""
    named: ColumnElement[str] = cast(literal(wanted.branch), Text)
    if task_id is not None:
        named = select(Task.params["branch"].astext).where(Task.id == task_id).scalar_subquery()
    branch: ColumnElement[str] = func.coalesce(named, Project.default_branch, literal(DEFAULT_BRANCH))
    rows = select(FindingState).where(FindingState.finding_id == Finding.id, FindingState.branch == branch)
    return branch, aliased(FindingState, rows.lateral("state"))


def _occurrence(state: type[FindingState], task_id: UUID | None) -> type[FindingOccurrence]:
    rows = select(FindingOccurrence).where(FindingOccurrence.finding_id == Finding.id)
    if task_id is not None:
        rows = rows.where(FindingOccurrence.task_id == task_id)
    else:
        rows = rows.where(or_(state.seen_task_id.is_(None), FindingOccurrence.task_id == state.seen_task_id))
        rows = rows.order_by(FindingOccurrence.id.desc()).limit(1)
    return aliased(FindingOccurrence, rows.lateral("occurrence"))


def _by_rank(
    query: FindingQuery, row_id: InstrumentedAttribute[UUID], last: Select[int, UUID] | None
) -> FindingQuery:
    """Order findings by rank, the highest first, then by `row_id`; begin after (-rank, id) of `last`."""
    if last is not None:
        query = query.where(tuple_(-Finding.rank, row_id) > last.correlate(None).scalar_subquery())
    return query.order_by(Finding.rank.desc(), row_id)


async def list_scan_findings(
    session: AsyncSession, task_id: UUID, wanted: FindingFilter = ANY, *, after: UUID | None, limit: int
) -> Sequence[FindingRow]:
    """Up to `limit + 1` findings of one scan, by rank; `after` is an occurrence's id."""
    selection = _select(wanted, task_id)
    last = None
    if after is not None:
        last = select(-Finding.rank, FindingOccurrence.id).where(
            FindingOccurrence.id == after, FindingOccurrence.finding_id == Finding.id
        )
    ordered = _by_rank(selection.query, selection.occurrence.id, last)
    return (await session.execute(ordered.limit(limit + 1))).all()


async def list_findings(
    session: AsyncSession, wanted: FindingFilter = ANY, *, after: UUID | None, limit: int
) -> Sequence[FindingRow]:
    """Up to `limit + 1` findings of all scans, by rank; `after` is a finding's id."""
    if wanted.is_listed:
        ids = await list_ids(session, wanted, after=after, limit=limit + 1)
        query = select_named(wanted.branch)
        return (await session.execute(query, {"wanted_ids": list(ids)})).all() if ids else []
    query = _select(wanted).query
    last = select(-Finding.rank, Finding.id).where(Finding.id == after) if after is not None else None
    return (await session.execute(_by_rank(query, Finding.id, last).limit(limit + 1))).all()


async def list_by_id(
    session: AsyncSession, wanted: FindingFilter, finding_ids: Iterable[UUID]
) -> Sequence[FindingRow]:
    """Those of a list that are named, by rank."""
    query = _select(wanted).query.where(Finding.id.in_(list(finding_ids)))
    return (await session.execute(_by_rank(query, Finding.id, None))).all()


async def count_findings(session: AsyncSession, wanted: FindingFilter = ANY) -> FindingCounts:
    """Count the findings of a list by each facet; a finding without a value, say a verdict, counts as ``."""
    if wanted.is_listed:
        facets, counted = await count_facets(session, wanted)
    else:
        selection = _select(wanted)
        facets = list(selection.facets)
        rows = selection.query.with_only_columns(
            *(column.label(name) for name, column in selection.facets.items())
        ).subquery()
        query = select(*rows.c, func.count()).group_by(*rows.c)
        counted = [(row[:-1], row[-1]) for row in map(tuple, await session.execute(query))]
    by: dict[str, dict[str, int]] = {name: {} for name in facets}
    total = 0
    for values, number in counted:
        total += number
        for name, value in zip(facets, values, strict=True):
            by[name][value or ""] = by[name].get(value or "", 0) + number
    return FindingCounts(total, by)


async def find_neighbors(
    session: AsyncSession, wanted: FindingFilter, finding_id: UUID
) -> tuple[UUID | None, UUID | None]:
    """Return the findings before and after this one in a list, whether or not the list still has this one."""
    rank = await _find_rank(session, finding_id)
    if wanted.is_listed:
        neighbors = await list_neighbors(session, wanted, finding_id, rank)
    else:
        place = {"place_rank": rank, "place_id": finding_id}
        rows = await session.execute(_select_both_neighbors(wanted), place)
        neighbors = {row[0]: row[1] for row in rows}
    return neighbors.get("before"), neighbors.get("after")


async def find_next(session: AsyncSession, wanted: FindingFilter, finding_id: UUID) -> UUID | None:
    """Return the finding after this one in a list, whether or not the list still has this one."""
    rank = await _find_rank(session, finding_id)
    if wanted.is_listed:
        return (await list_neighbors(session, wanted, finding_id, rank)).get("after")
    place = {"place_rank": rank, "place_id": finding_id}
    following: UUID | None = await session.scalar(_select_neighbors(wanted)[1], place)
    return following


async def _find_rank(session: AsyncSession, finding_id: UUID) -> int:
    return await session.scalar(select(Finding.rank).where(Finding.id == finding_id)) or 0


@lru_cache(maxsize=128)
def _select_neighbors(wanted: FindingFilter) -> tuple[Select[UUID], Select[UUID]]:
    query = _select(wanted).query.with_only_columns(Finding.id).limit(1)
    # Values and a condition on the rank alone: with them PostgreSQL begins in the middle of the index.
    rank, this = bindparam("place_rank", type_=Integer), bindparam("place_id", type_=Uuid)
    before = query.where(Finding.rank >= rank, or_(Finding.rank > rank, Finding.id < this))
    after = query.where(Finding.rank <= rank, or_(Finding.rank < rank, Finding.id > this))
    return (
        before.order_by(Finding.rank, Finding.id.desc()),
        after.order_by(Finding.rank.desc(), Finding.id),
    )


@lru_cache(maxsize=128)
def _select_both_neighbors(wanted: FindingFilter) -> CompoundSelect[str, UUID]:
    """(`before` or `after`, finding) in one query."""
    before, after = _select_neighbors(wanted)
    return union_all(
        before.with_only_columns(literal("before"), Finding.id),
        after.with_only_columns(literal("after"), Finding.id),
    )


async def get_finding(session: AsyncSession, finding_id: UUID, branch: str | None = None) -> FindingRow:
    """Raises NotFoundError."""
    row = (await session.execute(_select_one(branch), {"wanted_id": finding_id})).one_or_none()
    if row is None:
        raise NotFoundError("there is no such finding", hint="GET /findings lists yours.")
    return row


@lru_cache(maxsize=128)
def _select_one(branch: str | None) -> FindingQuery:
    return _select(FindingFilter(branch=branch)).query.where(Finding.id == bindparam("wanted_id"))


@lru_cache(maxsize=128)
def select_named(branch: str | None) -> FindingQuery:
    """The findings with the ids `wanted_ids`, by rank."""
    named = _select(FindingFilter(branch=branch)).query.where(
        Finding.id == func.any(bindparam("wanted_ids", type_=ARRAY(Uuid())))
    )
    return _by_rank(named, Finding.id, None)


async def list_feedback(
    session: AsyncSession, finding_id: UUID, limit: int = 50, *, feedback_id: UUID | None = None
) -> Sequence[Row[Feedback, FeedbackWithdrawal]]:
    """The newest feedback first, or the one of an id, each with its withdrawal or None."""
    query = (
        select(Feedback, FeedbackWithdrawal)
        .outerjoin(FeedbackWithdrawal, FeedbackWithdrawal.feedback_id == Feedback.id)
        .where(Feedback.finding_id == finding_id)
        .order_by(Feedback.id.desc())
    )
    if feedback_id is not None:
        query = query.where(Feedback.id == feedback_id)
    return (await session.execute(query.limit(limit))).all()


def branch_of(task: type[Task]) -> ColumnElement[str]:
    """The branch that a task of the query's `Project` is about."""
    return func.coalesce(task.params["branch"].astext, Project.default_branch, DEFAULT_BRANCH)


async def check_shown(session: AsyncSession, finding_id: UUID, occurrence_id: UUID) -> FindingOccurrence:
    """Return the occurrence that somebody has looked at, if it is still the newest of its branch.

    Raises NotFoundError, and ConflictError where a scan of the branch has stored a newer one.
    """
    branch = branch_of(Task)
    rows = (
        select(FindingOccurrence, branch)
        .join(Task, Task.id == FindingOccurrence.task_id)
        .join(Project, Project.id == Task.project_id)
        .where(FindingOccurrence.finding_id == finding_id)
    )
    shown = (await session.execute(rows.where(FindingOccurrence.id == occurrence_id))).one_or_none()
    if shown is None:
        await get_finding(session, finding_id)
        raise NotFoundError(
            "this finding has no such occurrence", hint=f"GET /findings/{finding_id} shows the newest."
        )
    occurrence: FindingOccurrence
    occurrence, shown_branch = shown
    # A scan that hasn't ended may see it again, and nobody is shown that as the newest.
    newer = rows.where(
        FindingOccurrence.id > occurrence_id, branch == shown_branch, Task.state == State.COMPLETED
    )
    if (await session.execute(newer.limit(1))).first() is not None:
        raise ConflictError(
            "a newer scan has seen this finding, perhaps with other code",
            hint=f"Look at GET /findings/{finding_id} and repeat with the id of its `occurrence`.",
        )
    return occurrence
