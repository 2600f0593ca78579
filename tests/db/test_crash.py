"""PostgreSQL is killed while a result is written: all of it is there afterwards, or nothing, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterator

import pytest
from rows import Place, make_place, make_task, result
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db import queue, upgrade
from securetag.db.embedded import DATABASE, Cluster
from securetag.db.engine import OWNER, create_engine, tenant_transaction
from securetag.errors import DatabaseUnavailableError, FencedError

pytestmark = pytest.mark.anyio

FINDINGS = 300


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("crash"), durable=False)
    made.start()
    upgrade.upgrade(made.dsn(DATABASE, OWNER))
    yield made
    made.destroy()


async def write_under_fire(cluster: Cluster, db: AsyncEngine, place: Place, after_s: float) -> int:
    """Kill the server `after_s` into the write, repeat as a worker does; returns the repeats."""
    task_id = await make_task(db, place)
    claim = await queue.claim(db, "w", ["codeaudit"])
    assert claim is not None
    request = result(task_id, *(f"{task_id}-{number}" for number in range(FINDINGS)))

    async def write() -> None:
        await queue.record_result(db, claim.lease, request)

    async def shoot() -> None:
        await asyncio.sleep(after_s)
        os.kill(cluster.pid, signal.SIGKILL)
        await asyncio.to_thread(cluster._process.wait)  # type: ignore[union-attr]

    first, _ = await asyncio.gather(write(), shoot(), return_exceptions=True)
    assert first is None or isinstance(first, DatabaseUnavailableError), repr(first)
    cluster.start()
    repeats = 0
    while first is not None:
        repeats += 1
        try:
            await write()
        except FencedError:
            pass
        except DatabaseUnavailableError:
            continue
        break
    async with tenant_transaction(db, place.tenant_id) as session:
        counted = await session.execute(
            text(
                "SELECT state, (SELECT count(*) FROM securetag.finding_occurrence WHERE task_id = :id),"
                " (SELECT count(*) FROM securetag.tool_execution WHERE task_id = :id),"
                " (SELECT count(*) FROM securetag.task_event WHERE task_id = :id AND to_state = 'completed')"
                " FROM securetag.task WHERE id = :id"
            ),
            {"id": task_id},
        )
        assert tuple(counted.one()) == ("completed", FINDINGS, 1, 1)
    return repeats


async def fire(cluster: Cluster, rounds: int) -> None:
    dice = random.Random(7)
    db = create_engine(cluster.dsn())
    place = await make_place(db)
    repeats = [await write_under_fire(cluster, db, place, dice.uniform(0, 0.6)) for _ in range(rounds)]
    print(f"{sum(map(bool, repeats))} of {rounds} writes were hit")
    await db.dispose()


@pytest.mark.system
async def test_a_result_survives_kill_9(cluster: Cluster) -> None:
    await fire(cluster, 3)


@pytest.mark.chaos
async def test_results_survive_kill_9(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    record_property("faults", [30, "kills of PostgreSQL under results"])
    await fire(cluster, 30)
