"""`python -m benchmarks api.results`: findings that the api stores a second of its processor time.

A worker's result of COUNT findings (BENCH_FINDINGS, else 100,000), each with 40 lines of code, every second
one with a verdict, sent by the worker's own client with heartbeats beside. All rows are counted afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import func, select

from benchmarks.api.processes import run_api
from benchmarks.figure import Figure
from securetag.client.queue import QueueClient
from securetag.db import queue
from securetag.db.engine import create_engine, tenant_transaction
from securetag.db.models import Finding, FindingOccurrence, FindingState, Project, TriageVerdict
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import ensure_tenant
from securetag.records import Decision, Verdict
from securetag.records import Finding as ScannedFinding
from securetag.settings import get_settings
from securetag.settings.sections import WorkerSettings
from securetag.wire.queue import Lease, ResultRequest, TriagedFinding

COUNT = int(os.environ.get("BENCH_FINDINGS", "100000"))
#: Findings a second of the api's processor time.
BAR = 2_000.0
#: Lines of a function, as long as a usual snippet.
CODE = "\n".join(f"    value_{line} = compute(value_{line}, request.args)" for line in range(40))


def measure() -> Iterator[Figure]:
    """Yield the rate, the seconds that it took, and the rows that are there."""
    with run_api() as (api, url):
        tenant_id, task_id, key = asyncio.run(_prepare())
        client = QueueClient(WorkerSettings(api_url=url, api_key=SecretStr(key)), socket.gethostname())
        lease = client.next(["codeaudit"], 0)
        assert lease is not None, "a task is queued"
        request = _make_result(task_id)
        began, before = time.monotonic(), api.cpu_times()
        with _heartbeats(client, lease):
            answer = client.result(lease, request)
        wall_s, after = time.monotonic() - began, api.cpu_times()
        client.close()
        rows = asyncio.run(_count(tenant_id))
    assert (answer.state, answer.findings) == ("completed", COUNT), answer
    rate = COUNT / (after.user + after.system - before.user - before.system)
    yield Figure(
        figure="findings stored a second of the api's processor",
        value=round(rate),
        unit="1/s",
        bar=f"≥ {BAR:g}",
        ok=rate >= BAR,
    )
    yield Figure(figure="… seconds for all of them", value=round(wall_s, 1), unit="s")
    expected = {"finding": COUNT, "finding_occurrence": COUNT, "finding_state": COUNT}
    yield Figure(
        figure="… findings that arrived with occurrence and state",
        value=min(rows[name] for name in expected),
        unit="rows",
        bar=f"= {COUNT}",
        ok=rows == {**expected, "triage_verdict": COUNT // 2},
    )


async def _prepare() -> tuple[UUID, UUID, str]:
    """(tenant, queued task, a worker's key)."""
    settings = get_settings()
    engine = create_engine(settings)
    tenant_id = await ensure_tenant(engine, "results")
    async with tenant_transaction(engine, tenant_id) as session:
        project = Project(tenant_id=tenant_id, name="shop")
        session.add(project)
        await session.flush()
        task_id = await queue.enqueue(
            session, tenant_id=tenant_id, project_id=project.id, kind="codeaudit", time_limit_s=36_000
        )
    key = await create_key(engine, tenant_id, "worker", ["worker"], settings.require_pepper())
    await engine.dispose()
    return tenant_id, task_id, key


def _make_result(task_id: UUID) -> ResultRequest:
    verdict = Verdict(decision=Decision.TRUE_POSITIVE, evidence=[(12, 12)], model_id="m", alias="base")
    findings = [
        ScannedFinding(
            tool="semgrep",
            rule_id="python.sql-injection",
            cwe="CWE-89",
            title="SQL injection",
            message="a query is built from input",
            severity="high",
            confidence="high",
            language="python",
            path=f"app/{number}.py",
            start_line=12,
            end_line=12,
            snippet=f"def f_{number}(x):\n{CODE}",
            snippet_line=11,
            scope="f",
            fingerprint="v1:" + hashlib.sha256(str(number).encode()).hexdigest(),
        )
        for number in range(COUNT)
    ]
    return ResultRequest(
        task_id=task_id,
        outcome="completed",
        findings=[
            TriagedFinding(finding=finding, verdict=verdict if number % 2 else None)
            for number, finding in enumerate(findings)
        ],
    )


@contextmanager
def _heartbeats(client: QueueClient, lease: Lease) -> Iterator[None]:
    done = threading.Event()

    def beat() -> None:
        while not done.wait(5):
            client.heartbeat(lease, stage="storing", process_group=None)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


async def _count(tenant_id: UUID) -> dict[str, int]:
    engine = create_engine(get_settings())
    async with tenant_transaction(engine, tenant_id, limit_s=300) as session:
        rows = {
            table.__tablename__: await session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Finding, FindingOccurrence, FindingState, TriageVerdict)
        }
    await engine.dispose()
    return rows
