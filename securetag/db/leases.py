"""A lease on a task, and the one way to end it.

Who writes for a task first locks its row under the lease's fence; whoever no longer holds it gets
FencedError and has written nothing. Time is the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Float, Text, and_, bindparam, case, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate

from securetag.db.models import Task
from securetag.db.states import TRANSITIONS, State
from securetag.errors import ConflictError, FencedError

#: Seconds before the second attempt; each further one waits four times as long, at most 300 s.
BACKOFF_S = 5.0
BACKOFF_FACTOR = 4.0
MAX_BACKOFF_S = 300.0


@dataclass(frozen=True)
class Lease:
    """Proof of a claim: the tenant is the leased task's, and the tenant of all that is written for it."""

    task_id: UUID
    tenant_id: UUID
    worker_id: str
    fence: int


async def lock_lease(session: AsyncSession, lease: Lease) -> Task:
    """The leased task, its row locked until the transaction ends.

    `session` is a `tenant_transaction` of `lease.tenant_id`. Raises FencedError when the task has
    ended or somebody else has it.
    """
    task = await session.scalar(
        select(Task)
        .where(Task.id == lease.task_id, Task.worker_id == lease.worker_id, Task.fence == lease.fence)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if task is None:
        raise FencedError("another worker holds this task now", hint="Drop it and ask for the next one.")
    if task.state != State.RUNNING:
        raise FencedError(f"this task is {task.state}", hint="Drop it and ask for the next one.")
    return task


async def change_state(
    session: AsyncSession, task: Task, to: State, *, reason: str = "", wait_s: float = 0
) -> None:
    """Change the state of a locked task; the database appends the change to its history.

    Raises ConflictError when the state machine has no such step.
    """
    if to not in TRANSITIONS[State(task.state)]:
        raise ConflictError(f"a task that is {task.state} can't become {to.value}")
    await session.execute(
        update(Task)
        .where(Task.id == task.id)
        .values(
            state=to.value,
            reason=reason,
            not_before=func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, wait_s),
        )
        .execution_options(synchronize_session=False)
    )


def _write_end() -> ReturningUpdate[str]:
    """Write the end of an attempt whose lease holds; no row where it doesn't."""
    is_retry = bindparam("ended_as", type_=Text) == "retry"
    is_retried = and_(is_retry, Task.attempt < Task.max_attempts)
    factor = func.power(BACKOFF_FACTOR, Task.attempt - 1, type_=Float)
    backoff_s = func.least(MAX_BACKOFF_S, bindparam("backoff_s", type_=Float) * factor)
    wait_s = case((is_retried, backoff_s), else_=literal(0.0))
    return (
        update(Task)
        .where(
            Task.id == bindparam("of_task"),
            Task.worker_id == bindparam("of_worker"),
            Task.fence == bindparam("of_fence"),
            Task.state == State.RUNNING.value,
        )
        .values(
            # The last attempt has no retry.
            state=case(
                (is_retried, State.RETRYING.value),
                (is_retry, State.DEAD_LETTER.value),
                else_=bindparam("ended_as", type_=Text),
            ),
            reason=bindparam("why", type_=Text),
            not_before=func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, wait_s),
        )
        .returning(Task.state)
        .execution_options(synchronize_session=False)
    )


#: Seconds to wait grow as in `securetag.reap`.
END = _write_end()


def fill_end(lease: Lease, outcome: str, reason: str, backoff_s: float) -> dict[str, object]:
    """Return the values of END for an outcome: `completed`, `retry`, `failed` or `timeout`."""
    return {
        "of_task": lease.task_id,
        "of_worker": lease.worker_id,
        "of_fence": lease.fence,
        "ended_as": outcome,
        "why": reason,
        "backoff_s": backoff_s,
    }
