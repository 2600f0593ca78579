"""A scan in full as JSON, from the columns of plain queries: clients that wait for a scan ask for it often.

The bytes are those of `ScanDetail`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import msgspec
from sqlalchemy import Uuid, bindparam, select

from securetag.api.reading import ReadTransaction
from securetag.api.scans.repository import select_scans
from securetag.api.scans.service import coverage_of, explain_no_triage, scan_fields
from securetag.db.models import CodeauditUpload, Project, ScanResult, Task, TaskEvent, ToolExecution
from securetag.db.plain import fetch_plain, write_plain
from securetag.errors import NotFoundError
from securetag.records import JsonObject
from securetag.wire.api import EventAnswer, ExecutionAnswer, UploadAnswer

_encode = msgspec.json.Encoder().encode
_ID = bindparam("wanted_id", type_=Uuid())
_TASK = (
    *("id", "kind", "project_id", "state", "attempt", "max_attempts", "stage", "reason", "params"),
    *("created_at", "started_at", "finished_at"),
)
_RESULT = ("findings", "by_severity", "by_verdict")
_UPLOAD, _EXECUTION, _EVENT = (
    tuple(answer.model_fields) for answer in (UploadAnswer, ExecutionAnswer, EventAnswer)
)

_scans = select_scans()
SCAN = write_plain(
    _scans.with_only_columns(
        *(getattr(Task, name) for name in _TASK),
        *(getattr(ScanResult, name) for name in _RESULT),
        *(getattr(CodeauditUpload, name) for name in _UPLOAD),
        Project.name,
        *(column["expr"] for column in _scans.column_descriptions[4:]),
    ).where(Task.id == _ID)
)
EXECUTIONS = write_plain(
    select(*(getattr(ToolExecution, name) for name in _EXECUTION))
    .where(ToolExecution.task_id == _ID)
    .order_by(ToolExecution.id)
)
EVENTS = write_plain(
    select(*(getattr(TaskEvent, name) for name in _EVENT))
    .where(TaskEvent.task_id == _ID)
    .order_by(TaskEvent.id)
)


async def encode_detail(reading: ReadTransaction, task_id: UUID) -> bytes:
    """Return the ScanDetail of a scan, as JSON. Raises NotFoundError."""
    rows = await fetch_plain(reading.driver, SCAN, wanted_id=task_id)
    if not rows:
        raise NotFoundError("there is no such scan", hint="GET /codeaudit/index lists yours.")
    runs = await fetch_plain(reading.driver, EXECUTIONS, wanted_id=task_id)
    events = await fetch_plain(reading.driver, EVENTS, wanted_id=task_id)
    row = rows[0]
    ends = [len(_TASK), len(_TASK) + len(_RESULT), len(_TASK) + len(_RESULT) + len(_UPLOAD)]
    task = SimpleNamespace(**_name(_TASK, row[: ends[0]]))
    result, upload = row[ends[0] : ends[1]], row[ends[1] : ends[2]]
    project, reported, awaiting, severities = row[ends[2] :]
    executions = [_name(_EXECUTION, run) for run in runs]
    records = [SimpleNamespace(**execution) for execution in executions]
    counted = SimpleNamespace(**_name(_RESULT, result)) if result[0] is not None else None
    coverage = coverage_of(records, task.attempt)
    return _encode(
        scan_fields(task, project, counted, reported, awaiting, severities)
        | {
            "upload": _name(_UPLOAD, upload) if upload[0] is not None else None,
            "coverage": msgspec.Raw(coverage.model_dump_json()) if coverage is not None else None,
            "not_triaged": explain_no_triage(task, awaiting, records),
            "tool_executions": executions,
            "history": [_name(_EVENT, event) for event in events],
        }
    )


def _name(names: Sequence[str], values: Sequence[object]) -> JsonObject:
    """Return name → value, with times in UTC."""
    return {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in zip(names, values, strict=True)
    }
