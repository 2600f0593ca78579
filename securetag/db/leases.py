"""A lease on a task, and the one way to end it.

Who writes for a task first locks its row under the lease's fence; whoever no longer holds it gets
FencedError and has written nothing. Time is the database's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

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


def backoff(attempt: int, base: float = BACKOFF_S) -> float:
    """Seconds to wait after attempt `attempt` (from 1) failed. The same as in `securetag.reap`."""
    return min(MAX_BACKOFF_S, base * math.pow(BACKOFF_FACTOR, attempt - 1))


def after(outcome: str, task: Task) -> State:
    """The state that a worker's outcome leads to; the last attempt has no retry."""
    if outcome == "retry":
        return State.RETRYING if task.attempt < task.max_attempts else State.DEAD_LETTER
    return {"completed": State.COMPLETED, "failed": State.FAILED, "timeout": State.TIMEOUT}[outcome]
