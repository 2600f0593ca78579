"""The queue: our own task table, claimed with SKIP LOCKED, leased, fenced.

One attempt's life::

    enqueue → claim (attempt counted, lease, fence) → heartbeat …, record_findings → record_result or finish
                     └ silence → reap → retrying, or dead_letter after the last attempt

Everything that a worker writes goes through its `Lease`. A worker that lost it gets FencedError and
has written nothing; a result that is sent twice gets it too, since the first ended the task. Every
change of state is appended to `task_event` in the same transaction, by the database itself; it also
notifies the channel `securetag_task` at birth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.engine import cross_tenant_transaction, plain_connection, tenant_transaction
from securetag.db.leases import BACKOFF_S, END, Lease, change_state, fill_end, lock_lease
from securetag.db.models import Task, WorkerHeartbeat
from securetag.db.plain import PlainQuery, fetch_as_tenant, fetch_plain, write_plain
from securetag.db.results import record_findings, record_result
from securetag.db.states import TERMINAL, State
from securetag.errors import ConflictError, FencedError, NotFoundError
from securetag.records import JsonObject
from securetag.wire.queue import LEASE_S

__all__ = [
    "CHANNEL",
    "Beat",
    "Claim",
    "Lease",
    "OpenTasks",
    "cancel",
    "claim",
    "count_open_tasks",
    "enqueue",
    "finish",
    "heartbeat",
    "lock_lease",
    "reap",
    "record_findings",
    "record_result",
]

#: PostgreSQL notifies here when a task is born; the payload is its kind.
CHANNEL = "securetag_task"
#: Seconds by which an attempt may overrun its limit before it is taken from a worker that still
#: sends heartbeats: the worker itself should have reported the timeout long before.
OVERRUN_S = 60.0
#: Also notes that the worker is alive.
_CLAIM = PlainQuery(
    b"""
WITH claimed AS MATERIALIZED (
    SELECT * FROM securetag.claim(%(worker)s, %(kinds)s, %(lease_s)s, %(max_running)s::bigint)
), seen AS (
    INSERT INTO securetag.worker_heartbeat AS seen (worker_id, task_id, stage, process_group)
    SELECT %(worker)s, (SELECT id FROM claimed), '', NULL
    ON CONFLICT (worker_id) DO UPDATE SET task_id = excluded.task_id, stage = excluded.stage,
        process_group = excluded.process_group, seen_at = clock_timestamp()
)
SELECT id, tenant_id, fence, kind, project_id, attempt, max_attempts, time_limit_s, params, lease_until
FROM claimed
""",
    {},
)
_END = write_plain(END)


@dataclass(frozen=True)
class Claim:
    """A task that a worker got."""

    lease: Lease
    kind: str
    project_id: UUID
    attempt: int
    max_attempts: int
    time_limit_s: int
    params: JsonObject
    lease_until: datetime


@dataclass(frozen=True)
class Beat:
    """Answer to a heartbeat. `cancelled`: stop and send no result."""

    lease_until: datetime
    cancelled: bool


@dataclass(frozen=True)
class OpenTasks:
    """Tasks of one kind and state: `queued`, `retrying` or `running`."""

    kind: str
    state: str
    tasks: int
    #: Seconds since the oldest of them was due, or was claimed.
    oldest_s: float


async def enqueue(
    session: AsyncSession,
    *,
    tenant_id: UUID,
    project_id: UUID,
    kind: str,
    params: Mapping[str, object] | None = None,
    priority: int = 0,
    time_limit_s: int = 1800,
    max_attempts: int = 3,
) -> UUID:
    """A new task, visible to workers once the caller's transaction commits; returns its id.

    `priority` (-1, 0 or 1) counts among the tenant's own tasks.

    `session` is a `tenant_transaction` of the same tenant.
    """
    task_id = uuid7()
    await session.execute(
        insert(Task).values(
            id=task_id,
            tenant_id=tenant_id,
            project_id=project_id,
            kind=kind,
            params=dict(params or {}),
            priority=priority,
            time_limit_s=time_limit_s,
            max_attempts=max_attempts,
        )
    )
    return task_id


async def claim(
    engine: AsyncEngine,
    worker_id: str,
    kinds: Sequence[str],
    *,
    lease_s: float = LEASE_S,
    max_running: int | None = None,
) -> Claim | None:
    """Lease a due task of the tenant whose last turn is longest ago; None when there is none.

    A tenant without a quota of its own has at most `max_running` tasks running at a time.

    The attempt is counted here, so that a task which kills its worker runs out of attempts. Also
    notes that the worker is alive. Raises DatabaseUnavailableError.
    """
    async with plain_connection(engine) as connection:
        rows = await fetch_plain(
            connection,
            _CLAIM,
            worker=worker_id,
            kinds=list(kinds),
            lease_s=float(lease_s),
            max_running=max_running,
        )
    if not rows:
        return None
    task_id, tenant_id, fence, *rest = rows[0]
    return Claim(Lease(task_id, tenant_id, worker_id, fence), *rest)


async def heartbeat(
    session: AsyncSession,
    lease: Lease,
    *,
    stage: str = "",
    process_group: int | None = None,
    lease_s: float = LEASE_S,
) -> Beat:
    """Extend a lease. `session` is a `tenant_transaction` of `lease.tenant_id`.

    Raises FencedError when the lease is lost for another reason than that the task was canceled.
    """
    await _seen(session, lease.worker_id, lease.task_id, stage, process_group)
    until = await session.scalar(
        update(Task)
        .where(
            Task.id == lease.task_id,
            Task.worker_id == lease.worker_id,
            Task.fence == lease.fence,
            Task.state == State.RUNNING.value,
        )
        .values(
            lease_until=func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, float(lease_s)),
            stage=stage,
            process_group=process_group,
        )
        .returning(Task.lease_until)
    )
    if until is not None:
        return Beat(until, cancelled=False)
    cancelled_at = await session.scalar(
        select(Task.finished_at).where(
            Task.id == lease.task_id,
            Task.worker_id == lease.worker_id,
            Task.fence == lease.fence,
            Task.state == State.CANCELLED.value,
        )
    )
    if cancelled_at is None:
        raise FencedError("this lease is lost", hint="Drop the task and ask for the next one.")
    return Beat(cancelled_at, cancelled=True)


async def finish(
    engine: AsyncEngine, lease: Lease, outcome: str, *, reason: str = "", backoff_s: float = BACKOFF_S
) -> State:
    """End an attempt without findings: `completed`, `retry`, `failed` or `timeout`; return the task's state.

    Raises FencedError, DatabaseUnavailableError.
    """
    async with plain_connection(engine) as connection:
        rows = await fetch_as_tenant(
            connection, lease.tenant_id, _END, **fill_end(lease, outcome, reason, backoff_s)
        )
    if not rows:
        async with tenant_transaction(engine, lease.tenant_id) as session:
            await lock_lease(session, lease)
        raise FencedError("this lease is lost", hint="Drop the task and ask for the next one.")
    return State(rows[0][0])


async def cancel(session: AsyncSession, task_id: UUID, *, reason: str = "cancelled by request") -> None:
    """Stop a task of the session's tenant; a worker that runs it hears of it at its next heartbeat.

    Raises NotFoundError, and ConflictError when it has ended.
    """
    task = await session.scalar(
        select(Task).where(Task.id == task_id).with_for_update().execution_options(populate_existing=True)
    )
    if task is None:
        raise NotFoundError("there is no such task")
    if State(task.state) in TERMINAL:
        raise ConflictError(f"this task is {task.state} already")
    await change_state(session, task, State.CANCELLED, reason=reason)


async def reap(engine: AsyncEngine, *, backoff_s: float = BACKOFF_S, overrun_s: float = OVERRUN_S) -> int:
    """Take back tasks whose worker fell silent or overran the time limit; returns how many.

    Any number of replicas may call it at once. Raises DatabaseUnavailableError.
    """
    async with cross_tenant_transaction(engine) as session:
        reaped = await session.execute(
            text("SELECT id FROM securetag.reap(:backoff_s, :overrun_s)"),
            {"backoff_s": float(backoff_s), "overrun_s": float(overrun_s)},
        )
        return len(reaped.all())


async def count_open_tasks(engine: AsyncEngine) -> list[OpenTasks]:
    """Count the tasks of all tenants that wait or run, by kind and state. Raises DatabaseUnavailableError."""
    async with cross_tenant_transaction(engine) as session:
        rows = await session.execute(text("SELECT kind, state, tasks, oldest_s FROM securetag.open_tasks()"))
        return [OpenTasks(*row) for row in rows]


async def _seen(
    session: AsyncSession,
    worker_id: str,
    task_id: UUID | None = None,
    stage: str = "",
    process_group: int | None = None,
) -> None:
    """Note that a worker was heard of, and what it does."""
    now = {"task_id": task_id, "stage": stage, "process_group": process_group}
    await session.execute(
        upsert(WorkerHeartbeat)
        .values(worker_id=worker_id, **now)
        .on_conflict_do_update(index_elements=["worker_id"], set_={**now, "seen_at": func.clock_timestamp()})
    )
