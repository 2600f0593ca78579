"""How the tools of a tenant's scans have been doing, and which workers are alive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import Task, ToolExecution, WorkerHeartbeat

#: How far back the figures look.
WINDOW = timedelta(days=7)


async def count_runs(session: AsyncSession) -> Sequence[Row[str, str, int, int, int, datetime, float]]:
    """(tool, version, runs, failed, timed_out, last_run_at, mean_s) over the last `WINDOW`."""
    failed = and_(ToolExecution.exit_code.is_not(None), ToolExecution.exit_code != 0)
    query = (
        select(
            ToolExecution.tool,
            ToolExecution.version,
            func.count().label("runs"),
            func.count().filter(or_(failed, ToolExecution.timed_out)).label("failed"),
            func.count().filter(ToolExecution.timed_out).label("timed_out"),
            func.max(ToolExecution.started_at).label("last_run_at"),
            func.avg(ToolExecution.duration_s).label("mean_s"),
        )
        .where(ToolExecution.created_at > func.now() - WINDOW)
        .group_by(ToolExecution.tool, ToolExecution.version)
        .order_by(ToolExecution.tool, ToolExecution.version)
    )
    return (await session.execute(query)).all()


async def count_states(session: AsyncSession) -> dict[str, int]:
    """State → number of the tenant's tasks."""
    rows = await session.execute(select(Task.state, func.count()).group_by(Task.state))
    return {row[0]: row[1] for row in rows}


async def list_workers(session: AsyncSession, within_s: int) -> tuple[int, datetime | None]:
    """(workers heard of within so many seconds, when the last one was)."""
    recent = WorkerHeartbeat.seen_at > func.now() - timedelta(seconds=within_s)
    row = (
        await session.execute(
            select(func.count().filter(recent), func.max(WorkerHeartbeat.seen_at)).select_from(
                WorkerHeartbeat
            )
        )
    ).one()
    return row[0], row[1]
