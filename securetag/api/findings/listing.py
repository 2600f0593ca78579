"""Which findings a list shows, in its order, from the narrow rows of `finding_listing`.

Each filter is a condition on a column of that table, with an index that begins with tenant and branch. The
few findings of a page are then read whole (`repository`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import get_args
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CTE,
    BindParameter,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    SQLColumnExpression,
    Text,
    and_,
    any_,
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
from securetag.db.plain import PlainQuery, fetch_planned, write_plain
from securetag.db.suppressions import is_in_force
from securetag.errors import InputError
from securetag.records import BranchState, Confidence

#: Findings with a text that are looked up one by one (10 ms); those with a commoner one are read in order.
MAX_HITS = 4_000
#: Three letters or digits in a row, which every index of trigrams has. Without them PostgreSQL reads all.
SEARCHABLE = r"[^\W_]{3}"
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
    query = write_ids(wanted, is_first=after is None)
    return [row[0] for row in await fetch_planned(session, query, **values)]


async def list_neighbors(
    session: AsyncSession, wanted: FindingFilter, finding_id: UUID, rank: int
) -> dict[str, UUID]:
    """Return `before` and `after`, where a list has them, → the finding there."""
    rows = await fetch_planned(session, write_neighbors(wanted), place_rank=rank, place_id=finding_id)
    return {row[0]: row[1] for row in rows}


def check_text(text: str | None) -> str | None:
    """Return a search text. Raises InputError for one that the index of trigrams can't answer."""
    if text is not None and re.search(SEARCHABLE, text) is None:
        raise InputError(
            "a search text needs three letters or digits in a row", hint="Search for a longer part of it."
        )
    return text


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
def write_ids(wanted: FindingFilter, *, is_first: bool) -> PlainQuery:
    """Return the query of up to `most` ids; those after `place_id` of rank `place_rank` unless `is_first`."""
    rank = FindingListing.rank
    # A condition on the rank alone: with it PostgreSQL begins in the middle of the index.
    place = () if is_first else (rank <= _RANK, or_(rank < _RANK, _ID > _THIS))
    return write_plain(_select_ordered(wanted, place, _MOST))


_ID = FindingListing.finding_id
_MOST = bindparam("most", type_=Integer)
_RANK, _THIS = bindparam("place_rank", type_=FindingListing.rank.type), bindparam("place_id", type_=_ID.type)


@lru_cache(maxsize=128)
def write_neighbors(wanted: FindingFilter) -> PlainQuery:
    """Return the query of (`before` or `after`, finding), of the finding `place_id` of rank `place_rank`."""
    rank = FindingListing.rank
    before = _select_ordered(wanted, (rank >= _RANK, or_(rank > _RANK, _ID < _THIS)), 1, is_backward=True)
    after = _select_ordered(wanted, (rank <= _RANK, or_(rank < _RANK, _ID > _THIS)), 1)
    parts = (("before", before), ("after", after))
    return write_plain(
        union_all(*(select(literal(name, Text), query.subquery().c.finding_id) for name, query in parts))
    )


def _select_ordered(
    wanted: FindingFilter,
    place: Sequence[ColumnElement[bool]],
    most: int | BindParameter[int],
    *,
    is_backward: bool = False,
) -> Select[UUID]:
    """The first ids of a list, in its order or from its end, of the rows at a place."""

    def order(
        rank: SQLColumnExpression[int], row_id: SQLColumnExpression[UUID]
    ) -> Sequence[SQLColumnExpression[int] | SQLColumnExpression[UUID]]:
        return (rank, row_id.desc()) if is_backward else (rank.desc(), row_id)

    query = select(_ID, FindingListing.rank).where(*place)
    query = query.order_by(*order(FindingListing.rank, _ID)).limit(most)
    parts = [query.where(*conditions) for conditions in _alternatives(wanted)]
    if len(parts) == 1:
        return parts[0].with_only_columns(_ID)
    both = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return select(both.c.finding_id).order_by(*order(both.c.rank, both.c.finding_id)).limit(most)


def _alternatives(wanted: FindingFilter) -> Sequence[Sequence[ColumnElement[bool]]]:
    """Return conditions of lists in the same order, without a common row, that are `wanted` together.

    One for each index that answers a part of it: PostgreSQL finds no two in one list.
    """
    rest = _conditions(replace(wanted, cwe=None, text=None))
    parts: list[list[ColumnElement[bool]]] = [rest]
    if wanted.text is not None:
        ids = select(_search(_branch(wanted), wanted.text).c.ids).scalar_subquery()
        is_hit = any_(cast(ids, ARRAY(_ID.type))) == _ID
        parts = [[*rest, is_hit], [*rest, ids.is_(None), _holds(wanted.text)]]
    if wanted.cwe is not None:
        by_finding = FindingListing.cwe == wanted.cwe
        parts = [[*part, by_finding] for part in parts]
        # Those are few, whatever their text.
        texts = [_holds(wanted.text)] if wanted.text is not None else []
        parts.append([*rest, *texts, ~by_finding, _is_reported_as(wanted.cwe)])
    return parts


@lru_cache(maxsize=256)
def _search(branch: str, text: str) -> CTE:
    """The ids of the findings with a text, null where they are many; one for all parts of a query."""
    search = func.securetag.search_listing(branch, text, MAX_HITS, type_=ARRAY(_ID.type))
    # Read twice, and so answered once.
    return select(search.label("ids")).cte("hits")


def _branch(wanted: FindingFilter) -> str:
    return DEFAULT_LISTING if wanted.branch is None else wanted.branch


def _conditions(wanted: FindingFilter) -> list[ColumnElement[bool]]:
    listing = FindingListing
    branch = _branch(wanted)
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
    """By reading on. No `LIKE`, which PostgreSQL takes for rarer than it is: it would sort all rows then."""
    return func.strpos(FindingListing.words, func.lower(literal(needle))) > 0


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
