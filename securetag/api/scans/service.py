"""Put a scan together from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from securetag.api.paging import json_answer, make_page
from securetag.api.projects import repository as projects
from securetag.api.scans import repository as scans
from securetag.db.models import ScanResult, Task, ToolExecution
from securetag.db.states import TERMINAL, State
from securetag.records import JsonObject
from securetag.scanning.coverage import merge_coverage
from securetag.wire.api import EventAnswer, ExecutionAnswer, ScanAnswer, ScanDetail, UploadAnswer
from securetag.wire.queue import Coverage


async def describe_scan(session: AsyncSession, task_id: UUID, *, kind: str | None = None) -> ScanDetail:
    """Raises NotFoundError."""
    row = await scans.get_scan(session, task_id, kind=kind)
    executions = await scans.list_tool_executions(session, task_id)
    task, awaiting = row[0], row[5]
    return ScanDetail(
        **_fields(row),
        coverage=coverage_of(executions, task.attempt),
        not_triaged=explain_no_triage(task, awaiting, executions),
        tool_executions=[ExecutionAnswer.model_validate(run) for run in executions],
        history=[EventAnswer.model_validate(event) for event in await scans.list_events(session, task_id)],
    )


def explain_no_triage(
    task: Task | SimpleNamespace,
    awaiting: int | None,
    executions: Sequence[ToolExecution] | Sequence[SimpleNamespace],
) -> str:
    """Return why no model was asked, or has judged, the scan's findings; empty where one has."""
    if awaiting and task.state in TERMINAL:
        return f"no model has judged {awaiting} of the findings: the scan ended as {task.state} before."
    return find_refusal(executions, task.attempt)


def coverage_of(
    executions: Sequence[ToolExecution] | Sequence[SimpleNamespace], attempt: int
) -> Coverage | None:
    """Return what the scanners of this attempt covered together; None where none of them says it."""
    reported = {
        run.tool: Coverage.model_validate(coverage)
        for run in executions
        if run.attempt == attempt and (coverage := run.metrics_json.get("coverage")) is not None
    }
    before = reported.pop("unpack", None)
    failures = {
        run.tool: str(failure)
        for run in executions
        if run.attempt == attempt and (failure := run.metrics_json.get("failure"))
    }
    if not reported and not failures:
        return None
    return merge_coverage(list(reported.values()), before, failures)


def find_refusal(executions: Sequence[ToolExecution] | Sequence[SimpleNamespace], attempt: int) -> str:
    """Return why this attempt asked no model about its findings; empty where it did."""
    refusals = [
        str(run.metrics_json.get("refusal", ""))
        for run in executions
        if run.attempt == attempt and run.tool == "triage"
    ]
    return next(filter(None, refusals), "")


def summarize_scan(row: scans.ScanRow) -> ScanAnswer:
    return ScanAnswer(**_fields(row))


async def list_page(
    session: AsyncSession,
    kind: str,
    *,
    limit: int,
    cursor: UUID | None,
    project: str | None,
) -> Response:
    """Answer a page of the tenant's scans of one kind, newest first. Raises NotFoundError."""
    project_id = await projects.find_project(session, project) if project is not None else None
    rows = await scans.list_scans(session, kind=kind, after=cursor, limit=limit, project_id=project_id)
    return json_answer(make_page([summarize_scan(row) for row in rows], limit, [row[0].id for row in rows]))


def scan_fields(
    task: Task | SimpleNamespace,
    project: str,
    result: ScanResult | SimpleNamespace | None,
    reported: int | None,
    awaiting: int | None,
    severities: JsonObject | None,
) -> JsonObject:
    """Return the fields of a ScanAnswer, but for its upload."""
    return {
        "task_id": task.id,
        "kind": task.kind,
        "project_id": task.project_id,
        "project": project,
        "state": task.state,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        # A task that has ended keeps what it was last heard of.
        "stage": task.stage if task.state == State.RUNNING else "",
        "reason": task.reason,
        # The coverage names them.
        "params": {name: value for name, value in task.params.items() if name != "not_uploaded_files"},
        "created_at": task.created_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "findings": result.findings if result else reported or 0,
        "by_severity": result.by_severity if result else severities or {},
        "by_verdict": result.by_verdict if result else {},
        "being_triaged": 0 if task.state in TERMINAL else awaiting or 0,
    }


def _fields(row: scans.ScanRow) -> JsonObject:
    """Return the fields of a ScanAnswer."""
    task, project, result, upload, reported, awaiting, severities = row
    return scan_fields(task, project, result, reported, awaiting, severities) | {
        "upload": UploadAnswer.model_validate(upload) if upload else None
    }
