"""Match a scan's places with the findings of its project, and say whose verdict no longer holds."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, Select, bindparam, cast, func, or_, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from uuid_utils.compat import uuid7

from securetag.db.feedback import standing_feedback
from securetag.db.matching import Kind, KnownFinding, Place, match_same, match_similar
from securetag.db.models import (
    Finding,
    FindingOccurrence,
    ScanReport,
    ScanResult,
    Task,
    TriageVerdict,
)
from securetag.db.staleness import Change, changes_between
from securetag.records import CodeIdentity
from securetag.records import Finding as ScannedFinding
from securetag.rules.aliases import rule_key
from securetag.scanning.evidence.families import family_of
from securetag.scanning.identity.inventory import Inventory

T = TypeVar("T")

#: Kind of the tasks that import the results of other tools.
IMPORT = "import"
#: Findings that one statement asks for.
LOOKUP = 1_000
#: Findings that are compared by their code at most; of more only those with the path or fingerprint of a
#: place are. One takes 3 kB.
MAX_COMPARED = 20_000


@dataclass(frozen=True, slots=True)
class Matched:
    """What a place of a scan is."""

    finding_id: UUID
    #: `new`; `same`: the same code at the same path, at whatever line; `moved`: at another path; `edited`.
    kind: Kind
    #: What differs from the code that the verdict in force was given on (without a verdict of a person:
    #: from the previous scan). Not empty: the verdict is stale.
    changes: tuple[Change, ...] = ()
    #: The scan since which the verdict is stale, as it is to be stored; None: it isn't.
    stale_task_id: UUID | None = None

    @property
    def is_stale(self) -> bool:
        """Does the verdict no longer hold?"""
        return self.stale_task_id is not None


@dataclass(frozen=True, slots=True)
class ScannedPlace:
    """A place with what is needed of its code, small enough to keep tens of thousands of."""

    #: Without its `identity`, which is in `code`.
    place: Place
    #: The identity as JSON; empty where there is none.
    code: bytes
    digest: str
    #: Of the snippet, blanks apart.
    snippet: bytes
    #: Has a model judged it in this scan?
    has_verdict: bool

    @classmethod
    def of(cls, finding: ScannedFinding, path: str, scope: str, *, has_verdict: bool) -> ScannedPlace:
        """From a finding and its storable path and scope."""
        rule_ids = {finding.rule_id, *(match.rule_id for match in finding.matches)}
        place = Place(
            fingerprint=finding.fingerprint,
            path=path,
            scope=scope,
            start_line=finding.start_line,
            end_line=finding.end_line,
            rule_keys=frozenset(map(rule_key, rule_ids)),
            cwe=family_of(finding.cwe),
        )
        code = msgspec.json.encode(finding.identity) if finding.identity else b""
        digest = finding.identity.digest if finding.identity else ""
        return cls(place, code, digest, _snippet_digest(finding.snippet), has_verdict)

    def compared(self) -> Place:
        """The place with its identity."""
        return replace(self.place, identity=self.identity)

    @property
    def identity(self) -> CodeIdentity | None:
        return msgspec.json.decode(self.code, type=CodeIdentity) if self.code else None


@dataclass(frozen=True, slots=True)
class _Stored:
    """A known finding with the id of the occurrence that holds its code."""

    finding: KnownFinding
    occurrence_id: UUID


async def identify(
    session: AsyncSession,
    task: Task,
    places: Sequence[ScannedPlace],
    inventory: Inventory | None = None,
    *,
    tools: Collection[str] = (),
    taken: Sequence[UUID] = (),
) -> list[Matched]:
    """Return which finding each place is; no two are the same. A new finding gets a new id.

    `taken`: the findings of the first places, which are stored already; the answer is of the other places.

    An import and a scan have findings of their own, since each says nothing of the other's. `tools`: those
    that the task reports of; an import takes over no finding that another tool reports too.

    The caller sees to it that no other result of the project is stored before this one is: two of them must
    not each give the same finding to another place.
    """
    rest = dict(list(enumerate(places))[len(taken) :])
    # An earlier attempt at the task may have stored the same findings: it scanned the same code.
    previous = {task.id, *await _previous_scans(session, task)}
    query = _ProjectFindings.of(task, tools)
    fingerprints = {item.place.fingerprint for item in rest.values()}
    stored = await _with_fingerprints(session, query, fingerprints, previous)
    for finding_id in taken:
        stored.pop(finding_id, None)
    kinds: dict[int, tuple[UUID, Kind]] = {}
    for pair in match_same(
        {index: item.place for index, item in rest.items()}, [item.finding for item in stored.values()]
    ):
        kinds[pair.place] = (pair.finding_id, pair.kind)
        del rest[pair.place], stored[pair.finding_id]
    if rest:
        matched = {finding_id for finding_id, _ in kinds.values()} | set(taken)
        candidates = await _candidates(session, query, rest, matched, previous)
        pairs = match_similar(
            {index: item.compared() for index, item in rest.items()},
            await _with_code(session, candidates),
            [item.place for item in places],
            inventory or Inventory(),
        )
        kinds.update({pair.place: (pair.finding_id, pair.kind) for pair in pairs})
    judged = await _judged(session, [finding_id for finding_id, _ in kinds.values()])
    return [
        _outcome(task, item, *kinds[index], judged[kinds[index][0]])
        if index in kinds
        else Matched(uuid7(), "new")
        for index, item in enumerate(places)
        if index >= len(taken)
    ]


@dataclass(frozen=True, slots=True)
class _Judged:
    """The code that a finding's verdict was given on, or that was seen last."""

    by_feedback: bool
    by_model: bool
    stale_task_id: UUID | None
    digest: str
    snippet: bytes
    identity: bytes
    path: str


def _outcome(task: Task, item: ScannedPlace, finding_id: UUID, kind: Kind, judged: _Judged) -> Matched:
    changes = tuple(_changes(item, judged))
    since = judged.stale_task_id or task.id
    if judged.by_feedback:
        return Matched(finding_id, kind, changes, since if changes else None)
    if item.has_verdict or not judged.by_model:
        return Matched(finding_id, kind, changes)
    return Matched(finding_id, kind, changes, since if changes else judged.stale_task_id)


def _changes(item: ScannedPlace, judged: _Judged) -> list[Change]:
    if not item.digest:
        return []
    if not judged.digest:
        return [] if item.snippet == judged.snippet else ["code"]
    if item.digest == judged.digest:
        return []
    now = item.identity
    assert now is not None, "a digest comes with an identity"
    older = msgspec.json.decode(judged.identity, type=CodeIdentity)
    return changes_between(older, now, is_moved=item.place.path != judged.path)


async def _previous_scans(session: AsyncSession, task: Task) -> set[UUID]:
    """The newest scan of the project, of the same kind, that has a result; and a newer unfinished one's."""
    values = {"of_project": task.project_id, "of_kind": task.kind, "of_task": task.id}
    newest = (await session.execute(_NEWEST_RESULT, values)).one_or_none()
    values["after"] = newest.id if newest is not None else UUID(int=0)
    reported = await session.scalar(_NEWEST_REPORT, values)
    return {task_id for task_id in (newest.task_id if newest else None, reported) if task_id is not None}


_others = (
    Task.project_id == bindparam("of_project"),
    Task.kind == bindparam("of_kind"),
    Task.id != bindparam("of_task"),
)
_NEWEST_RESULT = (
    select(ScanResult.id, ScanResult.task_id)
    .join(Task, Task.id == ScanResult.task_id)
    .where(*_others)
    .order_by(ScanResult.id.desc())
    .limit(1)
)
_NEWEST_REPORT = (
    select(ScanReport.task_id)
    .join(Task, Task.id == ScanReport.task_id)
    .where(*_others, Task.state != "completed", ScanReport.id > bindparam("after"))
    .order_by(ScanReport.id.desc())
    .limit(1)
)


_newest = aliased(
    FindingOccurrence,
    select(FindingOccurrence)
    .where(FindingOccurrence.finding_id == Finding.id)
    .order_by(FindingOccurrence.id.desc())
    .limit(1)
    .lateral("newest"),
)


@dataclass(frozen=True, slots=True)
class _ProjectFindings:
    """The query of the findings that a task may have seen again, and its values."""

    query: Select[*tuple[object, ...]]
    values: Mapping[str, object]

    @classmethod
    def of(cls, task: Task, tools: Collection[str]) -> _ProjectFindings:
        is_import = task.kind == IMPORT
        values: dict[str, object] = {"of_tenant": task.tenant_id, "of_project": task.project_id}
        return cls(_select_stored(is_import), values | ({"tools": list(tools)} if is_import else {}))

    async def list_rows(
        self, session: AsyncSession, condition: ColumnElement[bool] | None = None, most: int | None = None
    ) -> Sequence[Row[*tuple[object, ...]]]:
        """Return those that meet a condition; with `most` the first ones by their ids."""
        query = self.query if condition is None else self.query.where(condition)
        query = query if most is None else query.order_by(Finding.id).limit(most)
        return (await session.execute(query, dict(self.values))).all()


# To build the query takes longer than PostgreSQL takes to answer it for a few findings.
@cache
def _select_stored(is_import: bool) -> Select[*tuple[object, ...]]:
    last_task = aliased(Task)
    query = (
        select(
            Finding.id,
            Finding.fingerprint,
            Finding.rule_id,
            Finding.matches,
            Finding.cwe,
            Finding.last_task_id,
            _newest.id.label("occurrence_id"),
            _newest.path,
            _newest.scope,
            _newest.start_line,
            _newest.end_line,
        )
        .select_from(Finding)
        .join(_newest, true())
        .join(last_task, last_task.id == Finding.last_task_id)
        .where(Finding.tenant_id == bindparam("of_tenant"), Finding.project_id == bindparam("of_project"))
    )
    if not is_import:
        return query.where(last_task.kind != IMPORT)
    reported = func.jsonb_array_elements(Finding.matches).table_valued("value")
    others = (
        select(reported.c.value)
        .where(cast(reported.c.value, JSONB)["tool"].astext.not_in(bindparam("tools", expanding=True)))
        .correlate(Finding)
    )
    return query.where(last_task.kind == IMPORT, ~others.exists())


async def _with_fingerprints(
    session: AsyncSession,
    query: _ProjectFindings,
    fingerprints: Iterable[str],
    previous: Collection[UUID],
) -> dict[UUID, _Stored]:
    stored: dict[UUID, _Stored] = {}
    for chunk in _chunks(sorted(fingerprints)):
        rows = await query.list_rows(session, Finding.fingerprint.in_(chunk))
        stored.update((row.id, _known(row, previous)) for row in rows)
    return stored


async def _candidates(
    session: AsyncSession,
    query: _ProjectFindings,
    rest: Mapping[int, ScannedPlace],
    matched: set[UUID],
    previous: Collection[UUID],
) -> list[_Stored]:
    """The unmatched findings of the project that one of the places could be."""
    cwes = sorted({item.place.cwe for item in rest.values()} - {""})
    keys = {key for item in rest.values() for key in item.place.rule_keys}
    paths = {item.place.path for item in rest.values()}
    fingerprints = {item.place.fingerprint for item in rest.values()}
    nearby: list[_Stored] = []
    others: list[_Stored] = []
    rows = await query.list_rows(session, most=LOOKUP)
    while rows:
        for row in rows:
            if row.id in matched:
                continue
            stored = _known(row, previous)
            place = stored.finding.place
            if place.cwe not in cwes and not place.rule_keys & keys:
                continue
            if place.path in paths or place.fingerprint in fingerprints:
                nearby.append(stored)
            elif stored.finding.is_current and len(others) < MAX_COMPARED:
                others.append(stored)
        rows = await query.list_rows(session, Finding.id > rows[-1].id, most=LOOKUP)
    return nearby if len(nearby) + len(others) > MAX_COMPARED else [*nearby, *others]


def _known(row: Row[*tuple[object, ...]], previous: Collection[UUID]) -> _Stored:
    rule_ids = {row.rule_id, *(match["rule_id"] for match in row.matches)}
    place = Place(
        fingerprint=row.fingerprint,
        path=row.path,
        scope=row.scope,
        start_line=row.start_line,
        end_line=row.end_line,
        rule_keys=frozenset(map(rule_key, rule_ids)),
        cwe=family_of(row.cwe),
    )
    return _Stored(KnownFinding(row.id, place, is_current=row.last_task_id in previous), row.occurrence_id)


async def _with_code(session: AsyncSession, stored: Sequence[_Stored]) -> list[KnownFinding]:
    by_occurrence = {item.occurrence_id: item.finding for item in stored}
    compared = []
    for chunk in _chunks(sorted(by_occurrence)):
        rows = await session.execute(
            select(FindingOccurrence.id, FindingOccurrence.identity).where(FindingOccurrence.id.in_(chunk))
        )
        for row in rows:
            finding = by_occurrence[row.id]
            identity = msgspec.convert(row.identity, CodeIdentity) if row.identity else None
            compared.append(replace(finding, place=replace(finding.place, identity=identity)))
    return compared


async def _judged(session: AsyncSession, finding_ids: Sequence[UUID]) -> dict[UUID, _Judged]:
    """Of each finding the occurrence that its verdict in force was given on, else the newest one.

    A person's verdict comes before a script's. Older feedback names no occurrence: it was given on the
    newest of its time.
    """
    judged: dict[UUID, _Judged] = {}
    for chunk in _chunks(sorted(finding_ids)):
        for row in await session.execute(_select_judged(), {"finding_ids": chunk}):
            identity = row.identity or {}
            judged[row.id] = _Judged(
                by_feedback=row.feedback_id is not None,
                by_model=row.by_model,
                stale_task_id=row.verdict_stale_task_id,
                digest=str(identity.get("digest", "")),
                snippet=_snippet_digest(row.snippet),
                identity=msgspec.json.encode(identity) if identity else b"",
                path=row.path,
            )
    return judged


@cache
def _select_judged() -> Select[*tuple[object, ...]]:
    feedback = standing_feedback()
    shown = aliased(
        FindingOccurrence,
        select(FindingOccurrence)
        .where(
            FindingOccurrence.finding_id == Finding.id,
            or_(
                feedback.id.is_(None),
                FindingOccurrence.id == feedback.occurrence_id,
                feedback.occurrence_id.is_(None) & (FindingOccurrence.created_at <= feedback.created_at),
            ),
        )
        .order_by(FindingOccurrence.id.desc())
        .limit(1)
        .lateral("shown"),
    )
    by_model = select(TriageVerdict.id).where(TriageVerdict.finding_id == Finding.id).exists()
    return (
        select(
            Finding.id,
            Finding.verdict_stale_task_id,
            feedback.id.label("feedback_id"),
            by_model.label("by_model"),
            shown.identity,
            func.coalesce(shown.snippet, "").label("snippet"),
            func.coalesce(shown.path, "").label("path"),
        )
        .select_from(Finding)
        .outerjoin(feedback, true())
        .outerjoin(shown, true())
        .where(Finding.id.in_(bindparam("finding_ids", expanding=True)))
    )


def _snippet_digest(snippet: str) -> bytes:
    text = "".join(snippet.split())
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + LOOKUP] for start in range(0, len(items), LOOKUP))
