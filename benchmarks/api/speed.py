"""Requests a CPU-second of the finding list and of the scan detail, to those of endpoints without an api.

Both servers run at once over one database and are asked in turn, so that the machine's other work meets both
alike. What PostgreSQL uses counts for neither.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import httpx

from benchmarks.api.processes import run_api, run_load
from benchmarks.figure import Figure
from securetag.db import queue
from securetag.db.engine import create_engine, dsn_for, tenant_transaction
from securetag.db.models import Project
from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import ensure_tenant
from securetag.records import Decision, Finding, Verdict
from securetag.settings import get_settings
from securetag.wire import queue as wire

FINDINGS = 200
READERS = 4
ROUNDS, SECONDS = 3, 4.0
#: Requests a CPU-second of the api to those of the bare endpoint.
BAR = 0.45
#: Lines of a usual snippet.
CODE = "\n".join(f"    value_{line} = compute(value_{line}, request.args)" for line in range(20))


@dataclass(frozen=True)
class _Subject:
    tenant_id: UUID
    task_id: UUID
    key: str


def measure() -> Iterator[Figure]:
    """Yield both ratios, each of the best round."""
    with run_api() as (process, url):
        subject = asyncio.run(_seed())
        with _run_bare(dsn_for(get_settings()), subject) as (bare_pid, bare_url):
            for name, path in (
                ("finding list (50 rows)", "/findings?limit=50"),
                ("scan detail", f"/scans/{subject.task_id}"),
            ):
                _check_same(f"{url}{path}", f"{bare_url}{path}", subject.key)
                rates = [
                    (
                        _measure_rate(url, subject.key, process.pid, path),
                        _measure_rate(bare_url, subject.key, bare_pid, path),
                    )
                    for _ in range(ROUNDS)
                ]
                ours, bare = (max(rate) for rate in zip(*rates, strict=True))
                yield Figure(
                    figure=f"requests a CPU-second: {name}",
                    value=round(ours, 1),
                    unit="1/s",
                    peer=f"bare Starlette endpoint: {bare:.1f}",
                )
                yield Figure(
                    figure="… to the bare endpoint",
                    value=round(ours / bare, 2),
                    unit="×",
                    bar=f"≥ {BAR:g}",
                    ok=ours / bare >= BAR,
                )


def _measure_rate(url: str, key: str, pid: int, path: str) -> float:
    load = run_load(url, key, READERS, pid, path, SECONDS)
    assert set(load) <= {"200", "cpu_s"}, load
    return load["200"] / load["cpu_s"]


def _check_same(url: str, bare_url: str, key: str) -> None:
    """See that both answer, and with as much."""
    answer = httpx.get(url, headers={"X-API-Key": key}, timeout=60).raise_for_status()
    bare = httpx.get(bare_url, timeout=60).raise_for_status()
    assert len(answer.json().get("items", [])) == len(bare.json().get("items", []))


@contextmanager
def _run_bare(dsn: str, subject: _Subject) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "benchmarks.api.bare", dsn, str(subject.tenant_id)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None, "it is a pipe"
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        for _ in range(200):
            try:
                httpx.get(f"{url}/findings", timeout=10).raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield process.pid, url
    finally:
        process.kill()
        process.wait()


async def _seed() -> _Subject:
    """A tenant with a completed scan, each of whose findings a model has judged."""
    settings = get_settings()
    engine = create_engine(settings)
    tenant_id = await ensure_tenant(engine, "speed")
    async with tenant_transaction(engine, tenant_id) as session:
        project = Project(tenant_id=tenant_id, name="shop")
        session.add(project)
        await session.flush()
        await queue.enqueue(session, tenant_id=tenant_id, project_id=project.id, kind="codeaudit")
    claim = await queue.claim(engine, "w", ["codeaudit"], lease_s=600)
    assert claim is not None, "a task is queued"
    verdict = Verdict(decision=Decision.TRUE_POSITIVE, evidence=[(12, 12)], model_id="m", alias="base")
    runs = [
        wire.ToolExecution(
            tool=tool,
            version="1",
            arguments=[tool, "scan"],
            exit_code=0,
            duration_s=1.5,
            started_at=datetime(2026, 11, 1, tzinfo=UTC),
            metrics=wire.ToolMetrics(coverage=wire.Coverage(files={"python": 40}, lines={"python": 4000})),
        )
        for tool in ("unpack", "semgrep", "secrets")
    ]
    findings = [
        wire.TriagedFinding(finding=_make_finding(number), verdict=verdict) for number in range(FINDINGS)
    ]
    result = wire.ResultRequest(
        task_id=claim.lease.task_id, outcome="completed", tool_executions=runs, findings=findings
    )
    await queue.record_result(engine, claim.lease, result)
    key = await create_key(engine, tenant_id, "speed", ["read"], settings.require_pepper())
    await engine.dispose()
    return _Subject(tenant_id, claim.lease.task_id, key)


def _make_finding(number: int) -> Finding:
    return Finding(
        tool="semgrep",
        rule_id="python.sql-injection",
        cwe="CWE-89",
        title="SQL injection",
        message="A query is built from what the client sends.",
        severity="high",
        confidence="high",
        language="python",
        path=f"app/module_{number}.py",
        start_line=12,
        end_line=12,
        snippet=CODE,
        snippet_line=2,
        scope=f"handle_{number}",
        fingerprint=f"v1:{number:064x}",
        rank=500,
    )
