"""Completed scans in the database of an api, without a worker."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from api_in_process import Api, Tenant

from securetag.api.projects import repository as projects
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.records import Decision, Finding, Gate, Verdict
from securetag.wire import queue as wire

COVERAGE = wire.Coverage(files={"python": 2}, lines={"python": 40})


async def store_scan(
    api: Api,
    tenant: Tenant,
    *findings: Finding,
    verdict: Decision | None = Decision.FALSE_POSITIVE,
    gate: Gate = "none",
    model_id: str = "m",
    threshold: float | None = None,
    **params: str,
) -> UUID:
    """Store a completed scan of the project `shop`, whose findings a model has judged alike."""
    async with tenant_transaction(api.engine, tenant.id) as session:
        project_id = await projects.ensure_project(session, tenant.id, "shop")
        task_id = await queue.enqueue(
            session, tenant_id=tenant.id, project_id=project_id, kind="codeaudit", params=params
        )
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    assert claim.lease.task_id == task_id
    model = (
        Verdict(
            decision=verdict,
            model_id=model_id,
            alias="securetag-v1",
            gate=gate,
            p_false_positive=0.93,
            calibration_id="c" * 64 if threshold is not None else "",
            threshold=threshold,
        )
        if verdict is not None
        else None
    )
    request = wire.ResultRequest(
        task_id=task_id,
        outcome="completed",
        tool_executions=[
            wire.ToolExecution(
                tool="semgrep",
                version="1",
                arguments=[],
                exit_code=0,
                duration_s=1.0,
                started_at=datetime(2026, 11, 1, tzinfo=UTC),
                metrics=wire.ToolMetrics(coverage=COVERAGE),
            )
        ],
        findings=[wire.TriagedFinding(finding=finding, verdict=model) for finding in findings],
    )
    await queue.record_result(api.engine, claim.lease, request)
    return task_id
