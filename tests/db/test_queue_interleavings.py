"""Any interleaving of workers, deaths, reapers and cancellations keeps the queue's promises.

Several workers act on a few tasks in an order that Hypothesis picks. Each remembers every lease that
it ever got, and may use any of them at any time, as a worker does that slept through its own loss.
Time is moved by hand: a step that makes a lease run out, or a wait end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from hypothesis.strategies import integers, sampled_from
from postgres import Database
from rows import Place, make_place, make_task, result
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db import queue
from securetag.db.engine import create_engine, tenant_transaction
from securetag.db.states import TERMINAL, TRANSITIONS, State
from securetag.errors import ConflictError, FencedError

#: Tasks that are open at any time: a new one comes for each that ends.
TASKS, MAX_ATTEMPTS = 3, 3

T = TypeVar("T")
LEASE_RUNS_OUT = (
    "UPDATE securetag.task SET lease_until = clock_timestamp() WHERE id = :id AND state = 'running'"
)
#: Long ago, so that it is the next to be claimed.
WAIT_ENDS = "UPDATE securetag.task SET not_before = clock_timestamp() - interval '1 hour' WHERE id = :id"


class Interleavings(RuleBasedStateMachine):
    """The model: which fence is each task's newest, and how each task ended."""

    dsn: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.leases: list[queue.Lease] = []
        self.newest: dict[UUID, int] = {}
        self.ended: dict[UUID, str] = {}

    def run(self, coroutine: Coroutine[None, None, T]) -> T:
        return self.loop.run(coroutine)

    @initialize()
    def begin(self) -> None:
        async def make() -> tuple[AsyncEngine, Place, list[UUID]]:
            engine = create_engine(self.dsn)
            place = await make_place(engine)
            made = [await make_task(engine, place, max_attempts=MAX_ATTEMPTS) for _ in range(TASKS)]
            return engine, place, made

        self.engine, self.place, self.tasks = self.run(make())

    async def _as_tenant(self, statement: str, **values: object) -> list[Row[tuple[Any, ...]]]:
        async with tenant_transaction(self.engine, self.place.tenant_id) as session:
            answer = await session.execute(text(statement), values)
            return list(answer.all()) if answer.returns_rows else []

    @property
    def open(self) -> list[UUID]:
        return [task_id for task_id in self.tasks if task_id not in self.ended]

    def pick(self, which: int) -> UUID:
        """An open task; now and then an ended one."""
        return self.tasks[which % len(self.tasks)] if which > 20 else self.open[which % TASKS]

    def replace_ended(self) -> None:
        while len(self.open) < TASKS:
            self.tasks.append(self.run(make_task(self.engine, self.place, max_attempts=MAX_ATTEMPTS)))

    @rule(worker=sampled_from(["w1", "w2", "w3"]))
    def claim(self, worker: str) -> None:
        claim = self.run(queue.claim(self.engine, worker, ["codeaudit"]))
        if claim is None:
            return
        lease = claim.lease
        assert lease.tenant_id == self.place.tenant_id
        assert lease.task_id not in self.ended, "an ended task was claimed"
        assert lease.fence > max(self.newest.values(), default=0), "fences rise over all tasks"
        self.newest[lease.task_id] = lease.fence
        self.leases.append(lease)

    @rule(which=integers(0, 30))
    def heartbeat(self, which: int) -> None:
        if not self.leases:
            return
        lease = self.leases[which % len(self.leases)]

        async def beat() -> queue.Beat:
            async with tenant_transaction(self.engine, lease.tenant_id) as session:
                return await queue.heartbeat(session, lease)

        try:
            answer = self.run(beat())
        except FencedError:
            assert not self._holds(lease)
            return
        assert lease.fence == self.newest[lease.task_id]
        assert answer.cancelled == (self.ended.get(lease.task_id) == "cancelled")

    @rule(which=integers(0, 30), outcome=sampled_from(["retry", "completed", "failed", "timeout"]))
    def report(self, which: int, outcome: str) -> None:
        if not self.leases:
            return
        lease = self.leases[which % len(self.leases)]

        async def send() -> str:
            request = result(lease.task_id, "a", outcome=outcome)
            return (await queue.record_result(self.engine, lease, request, backoff_s=600)).state

        is_holder = self._holds(lease)
        try:
            state = self.run(send())
        except FencedError:
            assert not is_holder, "the holder was fenced"
            return
        assert is_holder, "a stranger's result was taken"
        if State(state) in TERMINAL:
            self.ended[lease.task_id] = state
            self.replace_ended()

    @rule(which=integers(0, 24))
    def cancel(self, which: int) -> None:
        task_id = self.pick(which)

        async def stop() -> None:
            async with tenant_transaction(self.engine, self.place.tenant_id) as session:
                await queue.cancel(session, task_id)

        try:
            self.run(stop())
        except ConflictError:
            assert task_id in self.ended
            return
        assert task_id not in self.ended
        self.ended[task_id] = "cancelled"
        self.replace_ended()

    @rule(which=integers(0, 24))
    def a_lease_runs_out(self, which: int) -> None:
        self.run(self._as_tenant(LEASE_RUNS_OUT, id=self.pick(which)))

    @rule(which=integers(0, 24))
    def a_wait_ends(self, which: int) -> None:
        self.run(self._as_tenant(WAIT_ENDS, id=self.pick(which)))

    @rule()
    def reap(self) -> None:
        self.run(queue.reap(self.engine, backoff_s=600))
        for task_id, state in self.run(self._as_tenant("SELECT id, state FROM securetag.task")):
            if state == "dead_letter":
                self.ended.setdefault(task_id, state)
        self.replace_ended()

    @rule(which=integers(0, 24), worker=sampled_from(["w1", "w2", "w3"]))
    def a_task_changes_hands(self, which: int, worker: str) -> None:
        """The steps above in the one order that matters most, too rare by chance."""
        task_id = self.pick(which)
        self.run(self._as_tenant(LEASE_RUNS_OUT, id=task_id))
        self.reap()
        self.run(self._as_tenant(WAIT_ENDS, id=task_id))
        self.claim(worker)

    def _holds(self, lease: queue.Lease) -> bool:
        """By the database: is this lease the one in force?"""
        query = "SELECT fence, state FROM securetag.task WHERE id = :id"
        [(fence, state)] = self.run(self._as_tenant(query, id=lease.task_id))
        return bool(fence == lease.fence and state == "running")

    @invariant()
    def promises(self) -> None:
        if not hasattr(self, "engine"):
            return
        rows = self.run(
            self._as_tenant(
                "SELECT task.id, state, attempt, (SELECT count(*) FROM securetag.scan_result AS result"
                " WHERE result.task_id = task.id), (SELECT count(*) FROM securetag.finding_occurrence AS seen"
                " WHERE seen.task_id = task.id), ARRAY(SELECT to_state FROM securetag.task_event AS event"
                " WHERE event.task_id = task.id ORDER BY event.id) FROM securetag.task"
            )
        )
        assert {row[0] for row in rows} == set(self.tasks), "no task is lost"
        for task_id, state, attempt, results, occurrences, history in rows:
            assert attempt <= MAX_ATTEMPTS
            assert results == occurrences == (state == "completed"), "one completion, one set of rows"
            assert history[0] == "queued"
            assert history[-1] == state
            for before, after in pairwise(history):
                assert State(after) in TRANSITIONS[State(before)]
            assert history.count("running") == attempt
            if task_id in self.ended:
                assert state == self.ended[task_id], "an ended task stays as it ended"

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            # Other examples share the database, and a claim takes whatever is due.
            for task_id in self.tasks:
                if task_id not in self.ended:
                    self.run(
                        self._as_tenant(
                            "UPDATE securetag.task SET state = 'cancelled' WHERE id = :id"
                            " AND state IN ('queued', 'running', 'retrying')",
                            id=task_id,
                        )
                    )
            self.run(self.engine.dispose())
        self.loop.close()


def explore(dsn: str, examples: int, steps: int) -> None:
    machine = type("Machine", (Interleavings,), {"dsn": dsn})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_promises_hold_in_any_order(clean_database: Database) -> None:
    explore(clean_database.dsn_api, examples=12, steps=40)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_promises_hold_in_very_many_orders(
    clean_database: Database, record_property: Callable[[str, object], None]
) -> None:
    record_property("faults", [300, "orders of up to 60 steps"])
    explore(clean_database.dsn_api, examples=300, steps=60)
