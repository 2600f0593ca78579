"""Tasks as their owners see them: state, progress, what ran, what was found."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import (
    Artifact,
    CodeauditUpload,
    FindingOccurrence,
    Project,
    ScanResult,
    Task,
    TaskEvent,
    ToolExecution,
)
from securetag.errors import NotFoundError

#: (Task, name of its project, ScanResult | None, CodeauditUpload | None)
ScanRow = Row[Task, str, ScanResult, CodeauditUpload]


def _scans() -> Select[Task, str, ScanResult, CodeauditUpload]:
    return (
        select(Task, Project.name, ScanResult, CodeauditUpload)
        .join(Project, Project.id == Task.project_id)
        .outerjoin(ScanResult, ScanResult.task_id == Task.id)
        .outerjoin(CodeauditUpload, CodeauditUpload.task_id == Task.id)
    )


async def get_scan(session: AsyncSession, task_id: UUID, *, kind: str | None = None) -> ScanRow:
    """Raises NotFoundError."""
    query = _scans().where(Task.id == task_id)
    if kind is not None:
        query = query.where(Task.kind == kind)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError("there is no such scan", hint="GET /codeaudit/index lists yours.")
    return row


async def list_scans(
    session: AsyncSession,
    *,
    kind: str | None,
    after: UUID | None,
    limit: int,
    project_id: UUID | None = None,
) -> Sequence[ScanRow]:
    """Up to `limit + 1` scans of a kind or of all, newest first; `after` is the last of the page before."""
    query = _scans().order_by(Task.id.desc()).limit(limit + 1)
    if kind is not None:
        query = query.where(Task.kind == kind)
    if project_id is not None:
        query = query.where(Task.project_id == project_id)
    if after is not None:
        query = query.where(Task.id < after)
    return (await session.execute(query)).all()


async def list_tool_executions(session: AsyncSession, task_id: UUID) -> Sequence[ToolExecution]:
    """Every run of a tool, over all attempts, in order."""
    query = select(ToolExecution).where(ToolExecution.task_id == task_id).order_by(ToolExecution.id)
    return (await session.scalars(query)).all()


async def list_events(session: AsyncSession, task_id: UUID) -> Sequence[TaskEvent]:
    """The task's state changes, in order."""
    query = select(TaskEvent).where(TaskEvent.task_id == task_id).order_by(TaskEvent.id)
    return (await session.scalars(query)).all()


async def list_artifacts(session: AsyncSession, task_id: UUID) -> Sequence[Artifact]:
    """What the tools of a scan have written, by name."""
    query = select(Artifact).where(Artifact.task_id == task_id).order_by(Artifact.name)
    return (await session.scalars(query)).all()


async def read_progress(session: AsyncSession, task_id: UUID) -> tuple[object, ...]:
    """Return values that differ whenever a scan has anything new to show. Raises NotFoundError.

    One short query: whoever follows a scan asks it every second.
    """
    rows = (
        select(func.count()).select_from(table).where(table.task_id == task_id).scalar_subquery()
        for table in (TaskEvent, ToolExecution, FindingOccurrence, Artifact)
    )
    query = select(Task.state, Task.stage, Task.reason, Task.attempt, *rows).where(Task.id == task_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFoundError("there is no such scan", hint="GET /codeaudit/index lists yours.")
    return tuple(row)
