"""Tasks as their owners see them: state, progress, what ran, what was found."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, Select, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from securetag.db.models import (
    Artifact,
    CodeauditUpload,
    FindingOccurrence,
    Project,
    ScanReport,
    ScanResult,
    Task,
    TaskEvent,
    ToolExecution,
)
from securetag.db.states import TERMINAL
from securetag.errors import NotFoundError
from securetag.records import JsonObject

#: (Task, name of its project, ScanResult | None, CodeauditUpload | None), and without a result of the newest
#: attempt that has sent findings: how many, how many a model is asked about, severity → count; or None.
ScanRow = Row[Task, str, ScanResult, CodeauditUpload, int, int, JsonObject]


def select_scans() -> Select[Task, str, ScanResult, CodeauditUpload, int, int, JsonObject]:
    """The query of scans: what a ScanRow holds."""
    report = aliased(
        ScanReport,
        select(ScanReport)
        .where(ScanReport.task_id == Task.id, ScanResult.id.is_(None))
        .order_by(ScanReport.fence.desc(), ScanReport.chunk.desc())
        .limit(1)
        .lateral("report"),
    )
    return (
        select(
            Task,
            Project.name,
            ScanResult,
            CodeauditUpload,
            report.findings,
            report.awaiting,
            report.by_severity,
        )
        .join(Project, Project.id == Task.project_id)
        .outerjoin(ScanResult, ScanResult.task_id == Task.id)
        .outerjoin(CodeauditUpload, CodeauditUpload.task_id == Task.id)
        .outerjoin(report, true())
    )


async def get_scan(session: AsyncSession, task_id: UUID, *, kind: str | None = None) -> ScanRow:
    """Raises NotFoundError."""
    query = select_scans().where(Task.id == task_id)
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
    query = select_scans().order_by(Task.id.desc()).limit(limit + 1)
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


async def list_awaiting(session: AsyncSession, task_id: UUID) -> frozenset[UUID]:
    """Return the occurrences that a model is being asked about; none once the scan has ended."""
    newest = select(func.max(ScanReport.fence)).where(ScanReport.task_id == task_id).scalar_subquery()
    chunks = await session.scalars(
        select(ScanReport.awaiting_ids)
        .join(Task, Task.id == ScanReport.task_id)
        .where(Task.id == task_id, Task.state.not_in(TERMINAL), ScanReport.fence == newest)
    )
    return frozenset(occurrence_id for chunk in chunks for occurrence_id in chunk)
