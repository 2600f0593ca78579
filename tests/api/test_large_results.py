"""A scan's result of tens of thousands of findings, from the worker's client over HTTP to the rows."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import httpx
import psutil
import psycopg
import pytest
from api_process import running
from postgres import Database
from pydantic import SecretStr
from rows import make_finding, make_place, make_task, result

from securetag.client.queue import QueueClient, result_size
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import create_engine
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import create_tenant
from securetag.errors import FencedError
from securetag.records import Decision, Verdict
from securetag.settings import LOCAL_PEPPER
from securetag.settings.sections import WorkerSettings
from securetag.wire import queue as wire

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

#: MiB by which the api may grow over a result of any size: it is never held whole.
MAX_GROWTH_MIB = 150
#: Lines of a function, as long as a usual snippet.
CODE = "\n".join(f"    value_{line} = compute(value_{line}, request.args)" for line in range(40))


def large_result(task_id: UUID, count: int) -> wire.ResultRequest:
    verdict = Verdict(decision=Decision.TRUE_POSITIVE, evidence=[(12, 12)], model_id="m", alias="base")
    triaged = []
    for number in range(count):
        # Every tenth is a copy of another one.
        name = str(number - 9 if number % 10 == 9 else number)
        finding = make_finding(name, path=f"app/{number}.py", snippet=f"def f_{number}(x):\n{CODE}")
        triaged.append(wire.TriagedFinding(finding=finding, verdict=verdict if number % 2 else None))
    return result(task_id, findings=triaged)


async def prepared(dsn: str) -> tuple[UUID, str]:
    """(id of a queued task, a worker's key)."""
    engine = create_engine(dsn)
    task_id = await make_task(engine, await make_place(engine))
    operator = await create_tenant(engine, f"operator of {task_id}")
    key = await create_key(engine, operator, "worker", ["worker"], LOCAL_PEPPER)
    await engine.dispose()
    return task_id, key


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(5_000, id="5,000 findings"),
        pytest.param(50_000, marks=pytest.mark.long, id="50,000 findings"),
    ],
)
def test_all_findings_arrive_and_the_next_caller_is_served(
    count: int, clean_database: Database, pg_cluster: Cluster, tmp_path: Path
) -> None:
    task_id, key = asyncio.run(prepared(clean_database.dsn_api))
    with running(tmp_path / "home", clean_database.dsn_api) as (process, url):
        client = QueueClient(WorkerSettings(api_url=url, api_key=SecretStr(key)), "w")
        lease = client.next(["codeaudit"], 0)
        assert lease is not None
        assert lease.task_id == task_id
        request = large_result(task_id, count)
        assert result_size(request) > count * 2_000
        api = psutil.Process(process.pid)
        resting, cpu = api.memory_info().rss, sum(api.cpu_times()[:2])
        with asking(url, api, lambda: client.heartbeat(lease, stage="", process_group=None)) as seen:
            answer = client.result(lease, request)
        assert (answer.state, answer.findings) == ("completed", count)
        print(f"{sum(api.cpu_times()[:2]) - cpu:.1f} CPU-s of the api, {len(seen)} other calls")
        # Others are answered meanwhile, and the result is never held whole.
        assert len(seen) > 1
        assert (max(seen) - resting) / 2**20 < MAX_GROWTH_MIB
        with pytest.raises(FencedError):
            client.result(lease, result(task_id, "again"))
        assert client.next(["codeaudit"], 0) is None
        client.close()
    with psycopg.connect(pg_cluster.dsn(clean_database.name, SUPERUSER)) as connection:
        for table, rows in (
            ("finding", count),
            ("finding_occurrence", count),
            ("triage_verdict", count // 2),
        ):
            query = f"SELECT count(*) FROM securetag.{table}".encode()
            assert connection.execute(query).fetchone() == (rows,), table
        snippets = connection.execute(
            "SELECT count(*) FROM securetag.finding_occurrence"
            " WHERE snippet LIKE 'def f\\_' || substring(path from '[0-9]+') || '(x):%value\\_39%'"
        ).fetchone()
        assert snippets == (count,)


@contextmanager
def asking(url: str, api: psutil.Process, beat: Callable[[], object]) -> Iterator[list[int]]:
    """Calls of another client and heartbeats while the block runs: the api's resident bytes after each."""
    done, seen, failed = threading.Event(), list[int](), list[str]()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=30) as http:
            while not done.is_set():
                answer = http.get("/healthz/db")
                if answer.status_code != 200:
                    failed.append(answer.text)
                seen.append(api.memory_info().rss)
                # The last one may come when the task has ended. A lease lost before fails the result itself.
                with suppress(FencedError):
                    beat()
                time.sleep(0.2)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
    assert failed == []


@pytest.fixture
def small_api(clean_database: Database, tmp_path: Path) -> Iterator[tuple[QueueClient, wire.Lease, str]]:
    """A worker's client with a lease, and the api's address."""
    _, key = asyncio.run(prepared(clean_database.dsn_api))
    limits = {"max_body": "20000", "max_result": "100000"}
    with running(tmp_path / "home", clean_database.dsn_api, **limits) as (_, url):
        client = QueueClient(WorkerSettings(api_url=url, api_key=SecretStr(key)), "w")
        lease = client.next(["codeaudit"], 0)
        assert lease is not None
        yield client, lease, url
        client.close()


def test_a_result_that_is_refused_at_its_end_leaves_nothing(
    small_api: tuple[QueueClient, wire.Lease, str], clean_database: Database, pg_cluster: Cluster
) -> None:
    client, lease, url = small_api
    good = large_result(lease.task_id, 20)
    head = good.model_copy(update={"findings": []}).model_dump_json(by_alias=True)
    lines = [finding.model_dump_json() for finding in good.findings]
    key = {"X-API-Key": client._http.headers["X-API-Key"], wire.LEASE_HEADER: lease.lease_token}

    def send(*body: str) -> httpx.Response:
        return httpx.post(f"{url}/queue/result", content="\n".join(body), headers=key, timeout=30)

    broken = send(head, *lines[:-1], lines[-1].replace('"high"', '"huge"'))
    assert (broken.status_code, broken.json()["detail"][:8]) == (422, "line 21:")
    assert send(head, *lines, "x" * 30_000).status_code == 413
    assert send(head, *lines * 5).status_code == 413
    assert send("").status_code == 422
    with psycopg.connect(pg_cluster.dsn(clean_database.name, SUPERUSER)) as connection:
        assert connection.execute("SELECT count(*) FROM securetag.finding").fetchone() == (0,)
    assert client.result(lease, good).findings == 20
