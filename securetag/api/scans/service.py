"""Put a scan together from its rows."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from securetag.api.scans.schemas import EventAnswer, ExecutionAnswer, ScanAnswer, ScanDetail, fields
from securetag.db.repositories import scans


async def detail(session: AsyncSession, task_id: UUID, *, kind: str | None = None) -> ScanDetail:
    """Raises NotFoundError."""
    row = await scans.one(session, task_id, kind=kind)
    return ScanDetail(
        **fields(*row),
        tool_executions=[
            ExecutionAnswer.model_validate(run) for run in await scans.executions(session, task_id)
        ],
        history=[EventAnswer.model_validate(event) for event in await scans.history(session, task_id)],
    )


def summary(row: scans.ScanRow) -> ScanAnswer:
    return ScanAnswer(**fields(*row))
