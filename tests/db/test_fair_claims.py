"""Whose task is next: tenants take turns, each within its cap, by priority and age among its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres import Database
from rows import Place, make_place, make_task
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db import queue
from securetag.db.engine import create_engine, tenant_transaction

pytestmark = [pytest.mark.anyio, pytest.mark.clean_database]

WORKERS = 4


async def make_many(db: AsyncEngine, place: Place, count: int) -> None:
    """Queue tasks in one statement."""
    async with tenant_transaction(db, place.tenant_id) as session:
        await session.execute(
            text(
                "INSERT INTO securetag.task (id, tenant_id, project_id, kind)"
                " SELECT gen_random_uuid(), :tenant, :project, 'codeaudit' FROM generate_series(1, :count)"
            ),
            {"tenant": place.tenant_id, "project": place.project_id, "count": count},
        )


async def claim(db: AsyncEngine, worker: str = "w", **options: int) -> queue.Claim | None:
    return await queue.claim(db, worker, ["codeaudit"], **options)


async def finish(db: AsyncEngine, claimed: queue.Claim) -> None:
    await queue.finish(db, claimed.lease, "completed")


async def test_5000_tasks_of_one_tenant_delay_another_by_one_task_a_worker(db: AsyncEngine) -> None:
    large, small = await make_place(db), await make_place(db)
    await make_many(db, large, 5_000)
    running = [await claim(db, f"w{number}") for number in range(WORKERS)]
    first = await make_task(db, small)
    # Each worker ends what it does and asks again: the first that does gets the new tenant's task.
    for number, claimed in enumerate(running):
        assert claimed is not None
        await finish(db, claimed)
        following = await claim(db, f"w{number}")
        assert following is not None
        if following.lease.task_id == first:
            break
    else:
        pytest.fail("every worker did another task of the large tenant first")
    assert number == 0
    # And then in turns, for as long as both have some.
    await make_many(db, small, 3)
    tenants = [claimed.lease.tenant_id for _ in range(6) if (claimed := await claim(db)) is not None]
    assert Counter(tenants) == {large.tenant_id: 3, small.tenant_id: 3}
    assert all(before != after for before, after in pairwise(tenants))


async def test_priority_counts_among_a_tenants_own_tasks_alone(db: AsyncEngine) -> None:
    place, other = await make_place(db), await make_place(db)
    low, normal, high = [await make_task(db, place, priority=priority) for priority in (-1, 0, 1)]
    ordinary = await make_task(db, other)
    claimed = [(await claim(db)) for _ in range(4)]
    ids = [item.lease.task_id for item in claimed if item is not None]
    assert [task_id for task_id in ids if task_id != ordinary] == [high, normal, low]
    assert ids.index(ordinary) <= 1, "the other tenant's turn doesn't wait for a high priority"


async def test_a_cap_holds_however_many_claim_at_once(db: AsyncEngine) -> None:
    place, other = await make_place(db), await make_place(db)
    await make_many(db, place, 20)
    await make_many(db, other, 2)
    claims = await asyncio.gather(*(claim(db, f"w{number}", max_running=3) for number in range(12)))
    counts = Counter(item.lease.tenant_id for item in claims if item is not None)
    assert counts == {place.tenant_id: 3, other.tenant_id: 2}
    # Its own quota comes before the installation's.
    async with tenant_transaction(db, place.tenant_id) as session:
        await session.execute(text("""UPDATE securetag.tenant SET quotas = '{"running": 5}'"""))
    more = await asyncio.gather(*(claim(db, f"x{number}", max_running=3) for number in range(6)))
    assert sum(item is not None for item in more) == 2


@given(
    counts=st.lists(st.integers(0, 6), min_size=2, max_size=5),
    cap=st.none() | st.integers(1, 4),
    steps=st.lists(st.sampled_from(["claim", "finish"]), min_size=5, max_size=40),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_tenant_gets_a_second_turn_before_another_that_waits(
    pg_database: Database, counts: list[int], cap: int | None, steps: list[str]
) -> None:
    """Of tenants that have due tasks and a free place, the one that is served was served longest ago."""

    async def run() -> None:
        engine = create_engine(pg_database.dsn_api)
        places = [await make_place(engine) for _ in counts]
        for place, count in zip(places, counts, strict=True):
            if count:
                await make_many(engine, place, count)
        waiting = {place.tenant_id: count for place, count in zip(places, counts, strict=True)}
        running: list[queue.Claim] = []
        turns = {place.tenant_id: -1 for place in places}
        options = {} if cap is None else {"max_running": cap}
        for turn, step in enumerate(steps):
            if step == "finish":
                if running:
                    await finish(engine, running.pop(0))
                continue
            busy = Counter(item.lease.tenant_id for item in running)
            able = {tenant for tenant, left in waiting.items() if left and (not cap or busy[tenant] < cap)}
            claimed = await claim(engine, **options)
            if claimed is None:
                assert not able
                continue
            tenant = claimed.lease.tenant_id
            assert tenant in able
            assert turns[tenant] == min(turns[item] for item in able)
            turns[tenant] = turn
            waiting[tenant] -= 1
            running.append(claimed)
        for place in places:
            async with tenant_transaction(engine, place.tenant_id) as session:
                await session.execute(
                    text("UPDATE securetag.task SET state = 'cancelled' WHERE state IN ('queued', 'running')")
                )
        await engine.dispose()

    asyncio.run(run())
