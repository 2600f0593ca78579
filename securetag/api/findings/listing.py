"""Which findings a list shows, in its order, from the narrow rows of `finding_listing`.

Each filter is a condition on a column of that table, with an index that begins with tenant and branch. The
few findings of a page are then read whole (`repository`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import get_args
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    DateTime,
    Integer,
    Select,
    SQLColumnExpression,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from securetag.db.models import (
    DEFAULT_LISTING,
    Finding,
    FindingCwe,
    FindingListing,
    Project,
    Suppression,
)
from securetag.db.suppressions import is_in_force
from securetag.records import BranchState, Confidence

#: States of what is in the code now.
IN_THE_CODE: frozenset[BranchState] = frozenset({"new", "open", "reopened"})


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which findings a list shows; None: whatever it is."""

    severity: str | None = None
    #: Of the model.
    decision: str | None = None
    rule_id: str | None = None
    project_id: UUID | None = None
    #: Of this one or a higher one.
    confidence: Confidence | None = None
    #: Of the finding or of a rule that reports it too.
    cwe: str | None = None
    #: What the path begins with.
    path: str | None = None
    suppressed: bool | None = None
    states: frozenset[BranchState] | None = None
    #: Whose states count; by default the scan's, or the project's default branch.
    branch: str | None = None
    #: Has a person given a verdict that still holds?
    reviewed: bool | None = None
    #: Does the model say the opposite of the person?
    disagree: bool | None = None
    #: First reported at this time or later, or by a scan after this one.
    since: datetime | UUID | None = None
    assignee: str | None = None
    #: Does somebody work on it?
    assigned: bool | None = None
    #: Has it notes?
    noted: bool | None = None
    #: In the review queue of the reviewer of this name.
    due_for: str | None = None
    #: A part of title, path or rule, in either case.
    text: str | None = None

    @property
    def is_listed(self) -> bool:
        """Does `finding_listing` answer? Not for review queues, nor for what a named branch hasn't got."""
        return self.due_for is None and (self.branch is None or self.states is not None)


async def list_ids(
    session: AsyncSession, wanted: FindingFilter, *, after: UUID | None, limit: int
) -> Sequence[UUID]:
    """Return up to `limit` findings, by rank, the highest first; `after` is the last of the page before."""
    values: dict[str, object] = {"most": limit}
    if after is not None:
        rank = await session.scalar(select(Finding.rank).where(Finding.id == after))
        if rank is None:
            return []
        values |= {"place_rank": rank, "place_id": after}
    return (await session.scalars(select_ids(wanted, is_first=after is None), values)).all()


async def count_facets(
    session: AsyncSession, wanted: FindingFilter
) -> tuple[Sequence[str], Sequence[tuple[Sequence[str | None], int]]]:
    """Return the names of the facets, and (their values, findings that have these)."""
    facets = [*_FACETS.values(), FindingListing.project_id]
    query = select(*facets, func.count()).where(*_conditions(wanted)).group_by(*facets)
    rows = [tuple(row) for row in await session.execute(query)]
    projects = await session.execute(select(Project.id, Project.name))
    names: dict[object, str] = {row[0]: row[1] for row in projects}
    return [*_FACETS, "project"], [([*row[:-2], names.get(row[-2])], row[-1]) for row in rows]


#: Facet → its value, but for the project.
_FACETS: dict[str, SQLColumnExpression[str] | SQLColumnExpression[str | None]] = {
    "severity": FindingListing.severity,
    "confidence": FindingListing.confidence,
    "decision": FindingListing.decision,
    "state": FindingListing.state,
    "reviewed": cast(FindingListing.is_reviewed, Text),
    "rule_id": FindingListing.rule_id,
    "cwe": FindingListing.cwe,
    "assignee": FindingListing.assignee,
}


# To build a query takes many times longer than PostgreSQL takes to answer most of them.
@lru_cache(maxsize=256)
def select_ids(wanted: FindingFilter, *, is_first: bool) -> Select[UUID]:
    """Up to `most` ids, those after the finding `place_id` of rank `place_rank` unless `is_first`."""
    query = select(_ID, FindingListing.rank).order_by(FindingListing.rank.desc(), _ID).limit(_MOST)
    if not is_first:
        # A condition on the rank alone: with it PostgreSQL begins in the middle of the index.
        query = query.where(FindingListing.rank <= _RANK, or_(FindingListing.rank < _RANK, _ID > _THIS))
    if wanted.cwe is None:
        return query.where(*_conditions(wanted)).with_only_columns(_ID)
    # Two lists in the same order: an index answers neither for both at once.
    rest = _conditions(replace(wanted, cwe=None))
    by_finding, by_others = FindingListing.cwe == wanted.cwe, _is_reported_as(wanted.cwe)
    both = union_all(
        *(
            select(part.c.finding_id, part.c.rank)
            for part in (
                query.where(*rest, by_finding).subquery(),
                query.where(*rest, FindingListing.cwe != wanted.cwe, by_others).subquery(),
            )
        )
    ).subquery()
    return select(both.c.finding_id).order_by(both.c.rank.desc(), both.c.finding_id).limit(_MOST)


_ID = FindingListing.finding_id
_MOST = bindparam("most", type_=Integer)
_RANK, _THIS = bindparam("place_rank", type_=FindingListing.rank.type), bindparam("place_id", type_=_ID.type)


@lru_cache(maxsize=128)
def select_neighbors(wanted: FindingFilter) -> CompoundSelect[str, UUID]:
    """(`before` or `after`, finding) of the finding `place_id`, whose rank is `place_rank`, in one query."""
    rank = FindingListing.rank
    rows = [
        ("before", (rank >= _RANK, or_(rank > _RANK, _ID < _THIS)), (rank, _ID.desc())),
        ("after", (rank <= _RANK, or_(rank < _RANK, _ID > _THIS)), (rank.desc(), _ID)),
    ]
    return union_all(
        *(
            select(literal(name), _ID).where(*_conditions(wanted), *place).order_by(*order).limit(1)
            for name, place, order in rows
        )
    )


def _conditions(wanted: FindingFilter) -> list[ColumnElement[bool]]:
    listing = FindingListing
    branch = DEFAULT_LISTING if wanted.branch is None else wanted.branch
    conditions: dict[str, ColumnElement[bool]] = {
        "severity": listing.severity == wanted.severity,
        "decision": listing.decision == wanted.decision,
        "rule_id": listing.rule_id == wanted.rule_id,
        "project_id": listing.project_id == wanted.project_id,
        "confidence": listing.confidence.in_(at_least(wanted.confidence)),
        "cwe": or_(listing.cwe == wanted.cwe, _is_reported_as(wanted.cwe or "")),
        "path": _begins_with(wanted.path or ""),
        "suppressed": _is_suppressed(branch) if wanted.suppressed else ~_is_hidden(),
        "states": _has_state(wanted.states or frozenset()),
        "reviewed": _is(listing.is_reviewed, wanted.reviewed),
        "disagree": _is(listing.disagrees, wanted.disagree),
        "since": _is_since(wanted.since),
        "assignee": listing.assignee == wanted.assignee,
        "assigned": listing.assignee.is_not(None) == wanted.assigned,
        "noted": _is(listing.is_noted, wanted.noted),
        "text": _holds(wanted.text or ""),
    }
    rules = [rule for name, rule in conditions.items() if getattr(wanted, name) is not None]
    return [listing.branch == branch, *rules]


def _is(column: InstrumentedAttribute[bool], value: bool | None) -> ColumnElement[bool]:
    """The column itself or its opposite, as partial indexes have it."""
    return and_(column) if value else ~column


def at_least(confidence: Confidence | None) -> list[str]:
    """Return this level of confidence and the higher ones; None: all."""
    levels = get_args(Confidence)
    return list(levels[levels.index(confidence) :] if confidence is not None else levels)


def _has_state(states: frozenset[BranchState]) -> ColumnElement[bool]:
    if states == IN_THE_CODE:
        return _is(FindingListing.in_code, True)
    of_state = FindingListing.state.in_(sorted(states))
    return and_(of_state, FindingListing.in_code) if states <= IN_THE_CODE else of_state


def _begins_with(prefix: str) -> ColumnElement[bool]:
    """As two comparisons: `LIKE` isn't leakproof, so that behind row-level security no index answers it."""
    # The highest code point: UTF-8 sorts byte by byte as code points do.
    return and_(FindingListing.path >= prefix, FindingListing.path < prefix + "\U0010ffff")


def _holds(needle: str) -> ColumnElement[bool]:
    escaped = needle.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return FindingListing.words.like(func.lower(literal(f"%{escaped}%")), escape="/")


def _is_reported_as(cwe: str) -> ColumnElement[bool]:
    """Does another rule report the place as this weakness?"""
    return _ID.in_(select(FindingCwe.finding_id).where(FindingCwe.cwe == cwe))


def _is_since(since: datetime | UUID | None) -> ColumnElement[bool]:
    """Was the finding first reported since then? Ids rise with time, so those of scans are compared."""
    if isinstance(since, UUID):
        return FindingListing.first_task_id > since
    return FindingListing.first_seen_at >= literal(since, DateTime(timezone=True))


def _in_path(listing: type[FindingListing]) -> ColumnElement[bool]:
    """Does the outer query's suppression of paths, in force or not, hide this row of its project?"""
    of_rule = and_(Suppression.rule_id == listing.rule_id, ~listing.has_other_rules)
    return and_(
        Suppression.finding_id.is_(None),
        Suppression.path_pattern.is_not(None),
        Suppression.project_id == listing.project_id,
        listing.path.regexp_match(Suppression.path_pattern),
        or_(Suppression.rule_id.is_(None), of_rule),
    )


def _is_hidden() -> ColumnElement[bool]:
    """Does a suppression in force hide the row? For lists of what none hides: a row at a time."""
    of_finding = and_(
        Suppression.project_id == FindingListing.project_id,
        Suppression.finding_id == FindingListing.finding_id,
    )
    return select(Suppression.id).where(is_in_force(), or_(of_finding, _in_path(FindingListing))).exists()


def _is_suppressed(branch: str) -> ColumnElement[bool]:
    """The same for lists of what is hidden: begins with the suppressions, which are few."""
    listing = aliased(FindingListing)
    of_finding = select(Suppression.finding_id).where(
        is_in_force(), Suppression.finding_id.is_not(None), Suppression.project_id.is_not(None)
    )
    in_path = (
        select(listing.finding_id)
        .join(Suppression, _in_path(listing))
        .where(is_in_force(), listing.branch == branch)
    )
    return _ID.in_(union_all(of_finding, in_path))
