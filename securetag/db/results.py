"""A worker's result becomes rows: findings, verdicts and states in chunks, each in a transaction of its own.

What is sent is read to its end before the first row is written, so that a result which is refused leaves
nothing. Each chunk is written under the lease's lock and noted in `scan_report`: a repetition goes on where
the one before was cut off, and whoever has lost the lease writes no further one. The state of the task
changes last, in a transaction with the scan's summary; of a result of one chunk, with its states too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache, partial
from itertools import islice
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import aliased
from uuid_utils.compat import uuid7

from securetag.db.branch_states import BranchUpdate
from securetag.db.engine import tenant_transaction
from securetag.db.feedback import is_withdrawn
from securetag.db.identity import Matched, identify
from securetag.db.leases import BACKOFF_S, END, Lease, fill_end, lock_lease
from securetag.db.models import (
    Feedback,
    Finding,
    FindingOccurrence,
    Project,
    ScanReport,
    ScanResult,
    Task,
    ToolExecution,
    TriageVerdict,
)
from securetag.db.repositories.quotas import TOKENS, add_use
from securetag.db.result_rows import (
    StoredOccurrences,
    add_chunk,
    insert_rows,
    refuse_too_big,
    scanned_place,
    storable,
    verdict_row,
)
from securetag.db.states import State
from securetag.db.suppressions import lapse_suppressions
from securetag.errors import InputError, UnavailableError
from securetag.scanning.identity.inventory import Inventory
from securetag.wire import queue as wire
from securetag.wire.queue import (
    FindingsAnswer,
    FindingsRequest,
    OccurrenceVerdict,
    ResultAnswer,
    ResultRequest,
    TriagedFinding,
)

T = TypeVar("T")
#: Opens a transaction of the lease's tenant.
Begin = Callable[[], AbstractAsyncContextManager[AsyncSession]]
#: Opens one that holds the leased task's lock.
Leased = Callable[[], AbstractAsyncContextManager[tuple[AsyncSession, Task]]]

#: Findings, verdicts or states that are written in one transaction.
CHUNK = 500
#: Seconds that a result waits for another one of its project to be stored, and between two looks.
MAX_WAIT_S = 240.0
POLL_S = 0.5


async def record_findings(
    engine: AsyncEngine,
    lease: Lease,
    request: FindingsRequest,
    *,
    findings: Iterable[TriagedFinding] | None = None,
    limit_s: float | None = None,
) -> FindingsAnswer:
    """Store what an attempt has found before its triage; the task goes on, and no state changes.

    A repetition under the same lease gets the first answer and writes what is missing. A later attempt at the
    task keeps what an earlier one has stored, since both scan the same code. The arguments and errors are
    those of `record_result`.
    """
    begin = partial(tenant_transaction, engine, lease.tenant_id, limit_s=limit_s)
    scanned = request.findings if findings is None else findings
    occurrence_ids = await _store_findings(begin, lease, request, scanned, request.tool_executions)
    return FindingsAnswer(task_id=lease.task_id, occurrence_ids=occurrence_ids)


async def record_result(
    engine: AsyncEngine,
    lease: Lease,
    request: ResultRequest,
    *,
    findings: Iterable[TriagedFinding] | None = None,
    verdicts: Iterable[OccurrenceVerdict] | None = None,
    limit_s: float | None = None,
    backoff_s: float = BACKOFF_S,
) -> ResultAnswer:
    """Write an attempt's end: of a completed one findings, verdicts and branch states; then the task's state.

    `findings` and `verdicts`, which are iterated twice, stand in place of the request's own where they are
    too many to be held in memory. `limit_s`: seconds that one transaction may take.
    Raises FencedError when the lease is lost or the result was written before (nothing is written
    then), InputError for numbers that no column holds and for verdicts on what the attempt hasn't sent,
    UnavailableError where another result of the project is being stored for long.
    """
    begin = partial(tenant_transaction, engine, lease.tenant_id, limit_s=limit_s)
    is_completed = request.outcome == "completed"
    if is_completed and request.findings_sent:
        size = await _store_verdicts(begin, lease, request.verdicts if verdicts is None else verdicts)
    elif is_completed:
        scanned = request.findings if findings is None else findings
        size = len(await _store_findings(begin, lease, request, scanned, []))
    else:
        size = 0
    stored = 0
    async with _joined(begin, lease, is_small=size <= CHUNK) as leased:
        if is_completed:
            await _store_states(leased, request.tool_executions)
        async with leased() as (session, task):
            with refuse_too_big():
                await _add_executions(session, task, request.tool_executions)
                if is_completed:
                    stored = await _add_result(session, task)
                    await lapse_suppressions(session, task)
            values = fill_end(lease, request.outcome, storable(request.error), backoff_s)
            state = (await session.execute(END, values)).scalar_one()
    return ResultAnswer(task_id=lease.task_id, state=state, findings=stored)


@asynccontextmanager
async def _joined(begin: Begin, lease: Lease, *, is_small: bool) -> AsyncIterator[Leased]:
    """Yield what opens a transaction under the lease; for a small result always the same, which ends here."""
    if not is_small:
        yield partial(_leased, begin, lease)
        return
    async with _leased(begin, lease) as transaction:
        yield lambda: nullcontext(transaction)


@asynccontextmanager
async def _leased(begin: Begin, lease: Lease) -> AsyncIterator[tuple[AsyncSession, Task]]:
    """A transaction that holds the task's lock. Raises FencedError."""
    async with begin() as session:
        yield session, await lock_lease(session, lease)


async def _store_findings(
    begin: Begin,
    lease: Lease,
    request: FindingsRequest | ResultRequest,
    findings: Iterable[TriagedFinding],
    executions: Sequence[wire.ToolExecution],
) -> list[UUID]:
    """Store what this attempt hasn't stored yet; return the occurrence of each finding, in their order.

    `executions` are added with the first chunk.
    """
    inventory = _inventory(request)
    # Parsing and converting take seconds for a large result: beside the event loop.
    places = await asyncio.to_thread(lambda: [scanned_place(item) for item in findings])
    tools = {run.tool for run in request.tool_executions}
    rest = iter(findings)
    async with _storing(begin, lease) as (session, task):
        chunks = await _list_chunks(session, lease)
        occurrence_ids = [occurrence_id for chunk in chunks for occurrence_id in chunk.occurrence_ids]
        if chunks and chunks[-1].is_last:
            return occurrence_ids
        done = len(occurrence_ids)
        # Before its first chunk a first attempt has stored nothing.
        is_first = task.attempt == 1 and not chunks
        stored = StoredOccurrences({}) if is_first else await _find_stored(session, task)
        finding_ids = {occurrence: finding for finding, occurrence in stored.ids.items()}
        matched = await identify(
            session,
            task,
            places,
            inventory,
            tools=tools,
            taken=[finding_ids[occurrence_id] for occurrence_id in occurrence_ids],
        )
        await asyncio.to_thread(lambda: next(islice(rest, done, done), None))
        pairs = zip(rest, matched, strict=True)
        with refuse_too_big():
            if not chunks:
                await _add_executions(session, task, executions)
            # The first chunk is in this transaction: from its commit on other results wait.
            before = chunks[-1] if chunks else None
            report = await _store_chunk(session, lease, before, pairs, stored, total=len(places))
    occurrence_ids += report.occurrence_ids
    while not report.is_last:
        async with _leased(begin, lease) as (session, _):
            with refuse_too_big():
                report = await _store_chunk(session, lease, report, pairs, stored, total=len(places))
        occurrence_ids += report.occurrence_ids
    return occurrence_ids


@asynccontextmanager
async def _storing(begin: Begin, lease: Lease) -> AsyncIterator[tuple[AsyncSession, Task]]:
    """A transaction that holds the locks of task and project, while no other result of the project is stored.

    Two results of one project must not each give the same finding to another place.
    Raises FencedError, UnavailableError.
    """
    deadline = time.monotonic() + MAX_WAIT_S
    while True:
        async with _leased(begin, lease) as (session, task):
            project = select(Project.id).where(Project.id == task.project_id)
            await session.execute(project.with_for_update(key_share=True))
            if not await _is_other_under_way(session, task):
                yield session, task
                return
        if time.monotonic() > deadline:
            raise UnavailableError(
                "another result of the same project is being stored", hint="Send the result again."
            )
        await asyncio.sleep(POLL_S)


async def _is_other_under_way(session: AsyncSession, task: Task) -> bool:
    """Has a running attempt at another task of the project stored a part of its findings?"""
    values = {"of_project": task.project_id, "of_task": task.id}
    return bool(await session.scalar(_select_under_way(), values))


# To build a query of several tables takes many times longer than PostgreSQL takes to answer it.
@cache
def _select_under_way() -> Select[bool]:
    last = aliased(ScanReport)
    is_whole = select(last.id).where(
        last.task_id == ScanReport.task_id, last.fence == ScanReport.fence, last.is_last
    )
    query = (
        select(ScanReport.id)
        .join(Task, Task.id == ScanReport.task_id)
        .where(
            Task.project_id == bindparam("of_project"),
            Task.id != bindparam("of_task"),
            Task.state == State.RUNNING.value,
            Task.fence == ScanReport.fence,
            ~is_whole.exists(),
        )
    )
    return select(query.exists())


async def _list_chunks(session: AsyncSession, lease: Lease) -> Sequence[ScanReport]:
    """Return what this attempt has stored, in its order."""
    query = select(ScanReport).where(ScanReport.task_id == lease.task_id, ScanReport.fence == lease.fence)
    return (await session.scalars(query.order_by(ScanReport.chunk))).all()


async def _store_chunk(
    session: AsyncSession,
    lease: Lease,
    before: ScanReport | None,
    pairs: Iterator[tuple[TriagedFinding, Matched]],
    stored: StoredOccurrences,
    *,
    total: int,
) -> ScanReport:
    """Store the next findings of `total` ones, and note that they are; `before` is the chunk before."""
    chunk = await asyncio.to_thread(lambda: list(islice(pairs, CHUNK)))
    task = await session.get_one(Task, lease.task_id)
    if chunk:
        await add_chunk(session, task, chunk, stored)
    ids = [stored.ids[match.finding_id] for _, match in chunk]
    awaiting = [stored.ids[match.finding_id] for item, match in chunk if item.awaits_verdict]
    severities = Counter(item.finding.severity for item, _ in chunk)
    findings = len(ids) + (before.findings if before else 0)
    report = ScanReport(
        id=uuid7(),
        tenant_id=lease.tenant_id,
        task_id=lease.task_id,
        fence=lease.fence,
        chunk=before.chunk + 1 if before else 0,
        is_last=findings == total,
        occurrence_ids=ids,
        awaiting_ids=awaiting,
        findings=findings,
        awaiting=len(awaiting) + (before.awaiting if before else 0),
        by_severity=dict(severities + Counter(before.by_severity if before else {})),
    )
    session.add(report)
    await session.flush()
    return report


async def _find_stored(session: AsyncSession, task: Task) -> StoredOccurrences:
    """Return what the task has stored so far."""
    query = select(FindingOccurrence.finding_id, FindingOccurrence.id)
    rows = await session.execute(query.where(FindingOccurrence.task_id == task.id))
    judged = await session.scalars(
        select(TriageVerdict.occurrence_id).where(TriageVerdict.task_id == task.id)
    )
    return StoredOccurrences(dict(rows.all()), set(judged))


async def _store_verdicts(begin: Begin, lease: Lease, verdicts: Iterable[OccurrenceVerdict]) -> int:
    """Add the verdicts on findings that the attempt has sent; return how many findings it has sent.

    Raises InputError for a verdict on another one.
    """
    async with _leased(begin, lease) as (session, task):
        chunks = await _list_chunks(session, lease)
        if not chunks or not chunks[-1].is_last:
            raise InputError(
                "this attempt has sent no findings before its result, or not all of them",
                hint="Send them before the result, or with it.",
            )
        stored = await _find_stored(session, task)
    sent = chunks[-1].findings
    awaited = {occurrence_id for chunk in chunks for occurrence_id in chunk.occurrence_ids}
    await asyncio.to_thread(_check_verdicts, verdicts, awaited)
    findings = {occurrence: finding for finding, occurrence in stored.ids.items()}
    # A repetition, or a later attempt: the verdicts that are there stay.
    missing = (item for item in verdicts if item.occurrence_id not in stored.judged)
    while chunk := await asyncio.to_thread(lambda: list(islice(missing, CHUNK))):
        rows = [
            verdict_row(task, item.occurrence_id, findings[item.occurrence_id], item.verdict)
            for item in chunk
        ]
        async with _leased(begin, lease) as (session, _):
            with refuse_too_big():
                await insert_rows(session, TriageVerdict, rows)
            # A person's verdict stays in force, or stale, whatever a model says.
            await session.execute(
                update(Finding)
                .where(
                    Finding.id.in_([row["finding_id"] for row in rows]),
                    ~select(Feedback.id).where(Feedback.finding_id == Finding.id, ~is_withdrawn()).exists(),
                )
                .values(verdict_stale_task_id=None)
                .execution_options(synchronize_session=False)
            )
    return sent


def _check_verdicts(verdicts: Iterable[OccurrenceVerdict], awaited: set[UUID]) -> None:
    """Raise InputError for a verdict on an occurrence that isn't awaited, or a second one."""
    for item in verdicts:
        if item.occurrence_id not in awaited:
            raise InputError(
                f"a verdict is on {item.occurrence_id}, which this attempt hasn't sent, or is the second",
                hint="Use the ids that were given when the findings were sent, each once.",
            )
        awaited.remove(item.occurrence_id)


async def _store_states(leased: Leased, executions: Sequence[wire.ToolExecution]) -> None:
    """Set the states that the scan's occurrences, which are stored, come to in its branch.

    `executions` are those that come with the result; earlier ones are stored.
    """
    async with leased() as (session, task):
        runs = [*await _executions(session, task), *executions]
        branch = await BranchUpdate.prepare(session, task, runs)
        finding_ids = list(
            await session.scalars(
                select(FindingOccurrence.finding_id)
                .where(FindingOccurrence.task_id == task.id)
                .order_by(FindingOccurrence.id)
            )
        )
    for chunk in _batched(finding_ids, CHUNK):
        async with leased() as (session, task):
            await branch.add_seen(session, task, chunk)
    async with leased() as (session, task):
        fixed = await branch.find_fixed(session, task)
    for chunk in _batched(fixed, CHUNK):
        async with leased() as (session, task):
            await branch.mark_fixed(session, task, chunk)


def _batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def _add_executions(
    session: AsyncSession, task: Task, executions: Iterable[wire.ToolExecution]
) -> None:
    rows = [
        {
            "tenant_id": task.tenant_id,
            "task_id": task.id,
            "attempt": task.attempt,
            **storable(run.model_dump(exclude={"metrics"})),
            "metrics_json": storable(run.metrics.model_dump(mode="json", by_alias=True)),
        }
        for run in executions
    ]
    if rows:
        # One statement. Psycopg sends a list of parameters in a pipeline, and a pipeline that is canceled
        # may neither end nor leave a usable connection.
        await session.execute(insert(ToolExecution).values(rows))


async def _executions(session: AsyncSession, task: Task) -> list[wire.ToolExecution]:
    """Return all that this attempt has run, whether it was sent with the findings or with the result."""
    names = wire.ToolExecution.model_fields.keys() - {"metrics"}
    rows = await session.scalars(
        select(ToolExecution)
        .where(ToolExecution.task_id == task.id, ToolExecution.attempt == task.attempt)
        .order_by(ToolExecution.id)
    )
    return [
        wire.ToolExecution.model_validate(
            {**{name: getattr(row, name) for name in names}, "metrics": row.metrics_json}
        )
        for row in rows
    ]


def _inventory(request: FindingsRequest | ResultRequest) -> Inventory:
    try:
        return Inventory.unpack(request.inventory)
    except ValueError as error:
        raise InputError(
            "the result's inventory is no base64", hint="Leave it out, or send it whole."
        ) from error


async def _add_result(session: AsyncSession, task: Task) -> int:
    """Add the scan's summary, of all that its attempts have stored; returns how many findings."""
    in_task = FindingOccurrence.task_id == task.id
    by_severity = await session.execute(
        select(Finding.severity, func.count())
        .join(FindingOccurrence, FindingOccurrence.finding_id == Finding.id)
        .where(in_task)
        .group_by(Finding.severity)
    )
    by_decision = await session.execute(
        select(
            func.coalesce(TriageVerdict.decision, "none"),
            func.count(FindingOccurrence.id.distinct()),
            func.coalesce(func.sum(TriageVerdict.prompt_tokens + TriageVerdict.completion_tokens), 0),
        )
        .select_from(FindingOccurrence)
        .outerjoin(TriageVerdict, TriageVerdict.occurrence_id == FindingOccurrence.id)
        .where(in_task)
        .group_by(TriageVerdict.decision)
    )
    severities, rows = dict(by_severity.all()), by_decision.all()
    decisions = {row[0]: row[1] for row in rows}
    if tokens := sum(int(row[2]) for row in rows):
        await add_use(session, task.tenant_id, TOKENS, tokens)
    await session.execute(
        insert(ScanResult).values(
            tenant_id=task.tenant_id,
            task_id=task.id,
            findings=sum(severities.values()),
            by_severity=severities,
            by_verdict=decisions,
        )
    )
    return sum(severities.values())
