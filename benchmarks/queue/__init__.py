"""Claim and completion of tasks without work, and how soon a waiting worker has a new task.

Peers, on the same PostgreSQL, one task at a time and with as many connections: plain SQL that claims with
SKIP LOCKED and writes the same rows, each step in one statement, without row-level security, triggers or fair
shares; and procrastinate, from an environment of its own (`make procrastinate`). Rounds alternate, so that
the machine's other work meets all alike.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.api.processes import run_api
from benchmarks.figure import Figure
from benchmarks.queue.raw import measure_raw
from securetag.client.queue import QueueClient
from securetag.db import queue
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import create_engine, parse_url, tenant_transaction
from securetag.db.models import Project
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import ensure_tenant
from securetag.settings import beside_environment, get_settings
from securetag.settings.sections import WorkerSettings
from securetag.wire.queue import Lease

TASKS, WORKERS, ROUNDS = 400, 4, 3
RAW_BAR, PEER_BAR = 0.25, 2.0
PICKUPS, PICKUP_BAR_MS = 200, 10.0
#: Seconds that a worker waits for a task before the next is queued, at random.
IDLE_S = (0.02, 0.2)
SCRIPT = Path(__file__).parents[2] / "tools" / "consumers" / "run_procrastinate.py"


def measure() -> Iterator[Figure]:
    """Yield tasks a second beside the peers', and milliseconds until a task is picked up."""
    with run_api() as (_, url):
        yield from _measure_throughput()
        yield from _measure_pickup(url)


def _measure_throughput() -> Iterator[Figure]:
    cluster = Cluster(get_settings().home)
    cluster.attach()
    superuser = cluster.dsn(role=SUPERUSER)
    rates: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        rates.setdefault("ours", []).append(asyncio.run(_run_ours()))
        rates.setdefault("raw", []).append(asyncio.run(measure_raw(superuser, TASKS, WORKERS)))
        for name, rate in _run_procrastinate(superuser, f"procrastinate_{number}").items():
            rates.setdefault(name, []).append(rate)
    best = {name: max(values) for name, values in rates.items()}
    yield Figure(
        figure=f"claim and completion, {WORKERS} at once",
        value=round(best["ours"], 1),
        unit="tasks/s",
        peer=", ".join(f"{name} {rate:.1f}" for name, rate in best.items() if name != "ours"),
    )
    ratio = best["ours"] / best["raw"]
    yield Figure(
        figure="… to raw SKIP LOCKED that writes the same rows",
        value=round(ratio, 2),
        unit="×",
        bar=f"≥ {RAW_BAR:g}",
        ok=ratio >= RAW_BAR,
    )
    if "worker" not in best:
        yield Figure(
            figure="… to procrastinate",
            value=0.0,
            unit="×",
            peer="not measured: `make procrastinate` installs it",
            bar=f"≥ {PEER_BAR:g}",
            ok=False,
        )
        return
    ratio = best["ours"] / best["worker"]
    yield Figure(
        figure="… to procrastinate's worker",
        value=round(ratio, 2),
        unit="×",
        bar=f"≥ {PEER_BAR:g}",
        ok=ratio >= PEER_BAR,
    )
    yield Figure(
        figure="… to procrastinate's fetch_job and finish_job alone",
        value=round(best["ours"] / best["fetch and finish"], 2),
        unit="×",
        peer="two statements without a worker; no bar",
    )


async def _make_project(engine: AsyncEngine) -> tuple[UUID, UUID]:
    """(tenant, project) of a new project."""
    tenant_id = await ensure_tenant(engine, "queue")
    async with tenant_transaction(engine, tenant_id) as session:
        project = Project(tenant_id=tenant_id, name=f"project {time.monotonic_ns()}")
        session.add(project)
        await session.flush()
        return tenant_id, project.id


async def _run_ours() -> float:
    """Tasks a second."""
    engine = create_engine(get_settings())
    tenant_id, project_id = await _make_project(engine)
    async with tenant_transaction(engine, tenant_id) as session:
        for _ in range(TASKS):
            await queue.enqueue(session, tenant_id=tenant_id, project_id=project_id, kind="codeaudit")

    async def work(name: str) -> int:
        done = 0
        while claim := await queue.claim(engine, name, ["codeaudit"]):
            await queue.finish(engine, claim.lease, "completed")
            done += 1
        return done

    began = time.perf_counter()
    done = await asyncio.gather(*(work(f"worker {number}") for number in range(WORKERS)))
    seconds = time.perf_counter() - began
    await engine.dispose()
    assert sum(done) == TASKS
    return TASKS / seconds


def _run_procrastinate(superuser: str, database: str) -> dict[str, float]:
    """What is measured → tasks a second; nothing where it isn't installed."""
    python = beside_environment(".venv-procrastinate") / "bin" / "python"
    if not python.exists():
        return {}
    # libpq's form, with a database of its own.
    url = parse_url(superuser).set(drivername="postgresql")
    command = [str(python), str(SCRIPT), url.render_as_string(hide_password=False), database]
    command += [str(TASKS), str(WORKERS)]
    rates: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return rates


def _measure_pickup(url: str) -> Iterator[Figure]:
    """From the end of the commit that queues a task, when others see it, until a worker has its lease."""
    seconds = asyncio.run(_pick_up(url))
    p50 = statistics.median(seconds) * 1000
    p99 = sorted(seconds)[int(len(seconds) * 0.99)] * 1000
    yield Figure(
        figure="pickup by a waiting worker over HTTP, p50",
        value=round(p50, 1),
        unit="ms",
        peer=f"p99 {p99:.1f}",
        bar=f"≤ {PICKUP_BAR_MS:g}",
        ok=p50 <= PICKUP_BAR_MS,
    )


async def _pick_up(url: str) -> list[float]:
    settings = get_settings()
    engine = create_engine(settings)
    tenant_id, project_id = await _make_project(engine)
    key = await create_key(engine, tenant_id, "queue", ["worker"], settings.require_pepper())
    leases: SimpleQueue[tuple[float, Lease]] = SimpleQueue()
    client = QueueClient(WorkerSettings(api_url=url, api_key=SecretStr(key)), "waiting")

    def wait_for_tasks() -> None:
        for _ in range(PICKUPS):
            while (lease := client.next(["codeaudit"], 10)) is None:
                pass
            leases.put((time.perf_counter(), lease))

    threading.Thread(target=wait_for_tasks, daemon=True).start()
    seconds = []
    for _ in range(PICKUPS):
        await asyncio.sleep(random.uniform(*IDLE_S))
        async with tenant_transaction(engine, tenant_id) as session:
            await queue.enqueue(session, tenant_id=tenant_id, project_id=project_id, kind="codeaudit")
        began = time.perf_counter()
        ended, lease = await asyncio.to_thread(leases.get)
        seconds.append(ended - began)
        done = queue.Lease(lease.task_id, tenant_id, client.worker_id, lease.fence)
        await queue.finish(engine, done, "completed")
    client.close()
    await engine.dispose()
    return seconds
