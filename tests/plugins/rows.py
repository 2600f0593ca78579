"""Makes rows for tests: a tenant with a project and a task, wire results with findings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.models import Project, Tenant
from securetag.records import Decision, Finding, Verdict
from securetag.wire import queue as wire


@dataclass(frozen=True)
class Place:
    """A tenant's project."""

    tenant_id: UUID
    project_id: UUID


async def make_place(db: AsyncEngine) -> Place:
    """A new tenant with one project."""
    tenant_id, project_id = uuid7(), uuid7()
    async with tenant_transaction(db, tenant_id) as session:
        session.add(Tenant(id=tenant_id, name=f"tenant {tenant_id}"))
        await session.flush()
        session.add(Project(id=project_id, tenant_id=tenant_id, name="shop"))
    return Place(tenant_id, project_id)


async def make_task(db: AsyncEngine, place: Place, **options: Any) -> UUID:
    """A queued codeaudit task; options as of `queue.enqueue`."""
    async with tenant_transaction(db, place.tenant_id) as session:
        return await queue.enqueue(
            session, tenant_id=place.tenant_id, project_id=place.project_id, kind="codeaudit", **options
        )


def make_finding(name: str = "a", **changes: Any) -> Finding:
    """A finding whose fingerprint comes from its name."""
    fields: dict[str, Any] = {
        "tool": "semgrep",
        "rule_id": "python.sql-injection",
        "cwe": "CWE-89",
        "title": "SQL injection",
        "message": "a query is built from input",
        "severity": "high",
        "confidence": "high",
        "language": "python",
        "path": "app/db.py",
        "start_line": 12,
        "end_line": 12,
        "snippet": "def f(x):\n    run('select ' + x)\n",
        "snippet_line": 11,
        "scope": "f",
        "fingerprint": "v1:" + hashlib.sha256(name.encode()).hexdigest(),
    }
    return Finding(**{**fields, **changes})


def result(task_id: UUID, *names: str, outcome: str = "completed", **changes: Any) -> wire.ResultRequest:
    """A result with a finding for each name, each judged a true positive, and one tool execution."""
    verdict = Verdict(decision=Decision.TRUE_POSITIVE, evidence=[(12, 12)], model_id="m", alias="base")
    fields: dict[str, Any] = {
        "task_id": task_id,
        "outcome": outcome,
        "findings": [wire.TriagedFinding(finding=make_finding(name), verdict=verdict) for name in names],
        "tool_executions": [
            wire.ToolExecution(
                tool="semgrep",
                version="1.182.0",
                arguments=["semgrep", "scan"],
                exit_code=0,
                duration_s=1.5,
                started_at=datetime(2026, 11, 1, tzinfo=UTC),
                stdout="semgrep.stdout",
                metrics=wire.ToolMetrics(findings=len(names)),
            )
        ],
    }
    return wire.ResultRequest(**{**fields, **changes})
