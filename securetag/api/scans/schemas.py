"""What the api says of a scan."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from securetag.api.paging import Answer, Time
from securetag.db.models import CodeauditUpload, ScanResult, Task
from securetag.wire.queue import Coverage

ScanState = Literal[
    "queued", "running", "retrying", "completed", "failed", "timeout", "dead_letter", "cancelled"
]


class UploadAnswer(Answer):
    """The archive that the scan reads."""

    filename: str
    sha256: str
    size: int


class ExecutionAnswer(Answer):
    """One run of one tool. `stdout` and `stderr` name artifacts of the scan."""

    tool: str
    version: str
    attempt: int
    arguments: list[str]
    exit_code: int | None
    duration_s: float
    started_at: Time
    timed_out: bool
    stdout: str | None
    stderr: str | None
    metrics_json: dict[str, Any]


class EventAnswer(Answer):
    """One change of the scan's state."""

    at: Time
    from_state: str | None
    to_state: str
    attempt: int
    reason: str


class ScanAnswer(Answer):
    """A scan. The counts are zero and empty until it is completed."""

    task_id: UUID
    kind: str
    project_id: UUID
    project: str
    state: ScanState
    attempt: int
    max_attempts: int
    #: What the worker is doing now.
    stage: str
    #: Why it is in this state, where that isn't plain.
    reason: str
    params: dict[str, Any]
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    findings: int
    by_severity: dict[str, int]
    by_verdict: dict[str, int]
    upload: UploadAnswer | None


class ScanDetail(ScanAnswer):
    """A scan with everything that ran and happened."""

    #: What the last attempt read and what it did not; null while it has scanned nothing.
    coverage: Coverage | None
    tool_executions: list[ExecutionAnswer]
    history: list[EventAnswer]


def fields(
    task: Task, project: str, result: ScanResult | None, upload: CodeauditUpload | None
) -> dict[str, Any]:
    """The fields of a ScanAnswer."""
    return {
        "task_id": task.id,
        "kind": task.kind,
        "project_id": task.project_id,
        "project": project,
        "state": task.state,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "stage": task.stage,
        "reason": task.reason,
        "params": task.params,
        "created_at": task.created_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "findings": result.findings if result else 0,
        "by_severity": result.by_severity if result else {},
        "by_verdict": result.by_verdict if result else {},
        "upload": UploadAnswer.model_validate(upload) if upload else None,
    }
