"""Put a scan together from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from securetag.api.scans.schemas import EventAnswer, ExecutionAnswer, ScanAnswer, ScanDetail, fields
from securetag.db.models import ToolExecution
from securetag.db.repositories import scans
from securetag.wire.queue import Coverage


async def detail(session: AsyncSession, task_id: UUID, *, kind: str | None = None) -> ScanDetail:
    """Raises NotFoundError."""
    row = await scans.one(session, task_id, kind=kind)
    executions = await scans.executions(session, task_id)
    return ScanDetail(
        **fields(*row),
        coverage=coverage_of(executions, row[0].attempt),
        tool_executions=[ExecutionAnswer.model_validate(run) for run in executions],
        history=[EventAnswer.model_validate(event) for event in await scans.history(session, task_id)],
    )


def coverage_of(executions: Sequence[ToolExecution], attempt: int) -> Coverage | None:
    """Return the coverage that the scanner of this attempt reported; None where it reported none."""
    for run in reversed(executions):
        if run.attempt == attempt and (coverage := run.metrics_json.get("coverage")) is not None:
            return Coverage.model_validate(coverage)
    return None


def summary(row: scans.ScanRow) -> ScanAnswer:
    return ScanAnswer(**fields(*row))
