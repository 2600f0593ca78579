"""What the api gets when PostgreSQL is away, frozen, slow or back again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from securetag.db.embedded import Cluster
from securetag.db.engine import (
    API,
    CANCEL_S,
    HARVEST,
    TRANSACTION_FACTOR,
    create_engine,
    cross_tenant_transaction,
    dsn_for,
    tenant_transaction,
    url_for,
)
from securetag.errors import DatabaseUnavailableError, SettingsError
from securetag.settings import Settings
from securetag.settings.sections import ApiSettings

pytestmark = pytest.mark.anyio

STATEMENT_S = 0.5


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One to stop, kill and freeze."""
    made = Cluster(tmp_path_factory.mktemp("engine"), durable=False)
    made.start()
    yield made
    made.destroy()


@pytest.fixture
async def impatient(cluster: Cluster) -> AsyncIterator[AsyncEngine]:
    cluster.start()
    api = ApiSettings(statement_timeout_s=STATEMENT_S, connect_timeout_s=1)
    engine = create_engine(Settings(database_url=cluster.dsn(), api=api))  # type: ignore[arg-type]
    assert await ask(engine) == 1
    yield engine
    await engine.dispose()


async def ask(engine: AsyncEngine) -> int:
    async with cross_tenant_transaction(engine) as session:
        return int((await session.execute(text("SELECT 1"))).scalar_one())


async def test_a_stopped_database_is_told_at_once_and_found_again_at_once(
    cluster: Cluster, impatient: AsyncEngine
) -> None:
    cluster.stop()
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError):
        await ask(impatient)
    assert time.monotonic() - began < 5
    cluster.start()
    assert await ask(impatient) == 1


async def test_a_killed_database_is_found_again(cluster: Cluster, impatient: AsyncEngine) -> None:
    async def work() -> None:
        async with tenant_transaction(impatient, uuid7()) as session:
            os.kill(cluster.pid, signal.SIGKILL)
            cluster._process.wait()  # type: ignore[union-attr]
            # Its children end when they notice; a statement may still get through before.
            for _ in range(200):
                await session.execute(text("SELECT pg_sleep(0.05)"))

    with pytest.raises(DatabaseUnavailableError):
        await work()
    cluster.start()
    assert await ask(impatient) == 1


async def test_a_frozen_server_is_given_up(cluster: Cluster, impatient: AsyncEngine) -> None:
    async with cross_tenant_transaction(impatient) as session:
        backend = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    frozen = [cluster.pid, backend]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(DatabaseUnavailableError):
            await ask(impatient)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    waited = time.monotonic() - began
    assert waited < STATEMENT_S * TRANSACTION_FACTOR + CANCEL_S + 1, waited
    assert await ask(impatient) == 1


async def test_a_slow_statement_is_ended_by_the_server(impatient: AsyncEngine) -> None:
    with pytest.raises(DatabaseUnavailableError):
        async with cross_tenant_transaction(impatient) as session:
            await session.execute(text("SELECT pg_sleep(5)"))
    assert await ask(impatient) == 1


async def backend(engine: AsyncEngine) -> int:
    async with cross_tenant_transaction(engine) as session:
        return int((await session.execute(text("SELECT pg_backend_pid()"))).scalar_one())


#: Many rows of one statement: psycopg sends them in a pipeline.
PIPELINED = [{"s": STATEMENT_S / 2}] * 20


async def test_a_connection_whose_statement_ran_out_of_time_is_discarded(cluster: Cluster) -> None:
    api = ApiSettings(statement_timeout_s=STATEMENT_S, connect_timeout_s=1, pool_size=1)
    engine = create_engine(Settings(database_url=cluster.dsn(), api=api))  # type: ignore[arg-type]
    for _ in range(3):
        before = await backend(engine)
        with pytest.raises(DatabaseUnavailableError, match="in time"):
            async with cross_tenant_transaction(engine) as session:
                # Each statement is within its time, all of them aren't.
                await session.execute(text("SELECT pg_sleep(:s)"), PIPELINED)
        assert await ask(engine) == 1
        assert await backend(engine) != before
    await engine.dispose()


async def test_a_connection_whose_caller_went_away_is_discarded(cluster: Cluster) -> None:
    api = ApiSettings(pool_size=1)
    engine = create_engine(Settings(database_url=cluster.dsn(), api=api))  # type: ignore[arg-type]
    before = await backend(engine)

    async def work() -> None:
        async with cross_tenant_transaction(engine) as session:
            await session.execute(text("SELECT pg_sleep(:s)"), PIPELINED)

    task = asyncio.create_task(work())
    await asyncio.sleep(STATEMENT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await backend(engine) != before
    # An error of the caller's own costs no connection.
    before = await backend(engine)
    with pytest.raises(ValueError, match="own"):
        async with cross_tenant_transaction(engine):
            raise ValueError("the caller's own")
    assert await backend(engine) == before
    await engine.dispose()


async def test_a_transaction_of_many_statements_may_have_longer(impatient: AsyncEngine) -> None:
    async with tenant_transaction(impatient, uuid7(), limit_s=60) as session:
        await session.execute(text("SELECT pg_sleep(:s)"), PIPELINED[:6])
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1


async def test_other_errors_stay_what_they_are(impatient: AsyncEngine) -> None:
    with pytest.raises(ProgrammingError):
        async with cross_tenant_transaction(impatient) as session:
            await session.execute(text("SELEC 1"))
    with pytest.raises(TimeoutError):
        async with cross_tenant_transaction(impatient):
            raise TimeoutError("of the caller's own")


async def test_connections_act_as_the_role(cluster: Cluster) -> None:
    cluster.start()
    engine = create_engine(cluster.dsn())
    async with cross_tenant_transaction(engine) as session:
        row = (await session.execute(text("SELECT current_user, current_setting('statement_timeout')"))).one()
        assert tuple(row) == (API, "10s")
    await engine.dispose()


def test_the_dsn_comes_from_settings_or_the_running_cluster(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(SettingsError, match="no database"):
        dsn_for(settings)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "postgres.json").write_text('{"dsn": {"securetag_harvest": "postgresql://h@/x"}}')
    assert dsn_for(settings, HARVEST) == "postgresql://h@/x"
    url = url_for("postgres://app:pw@db/securetag?options=-c%20geqo%3Doff")
    assert url.drivername == "postgresql+psycopg"
    assert str(url.query["options"]).startswith("-c geqo=off -c role=securetag_api ")
    for wrong in ("mysql://x/y", "not a url"):
        with pytest.raises(SettingsError):
            url_for(wrong)
