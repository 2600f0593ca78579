"""The log of who did what. Rows are added, never changed."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import AuditLog
from securetag.records import JsonObject


async def record(
    session: AsyncSession,
    tenant_id: UUID,
    *,
    actor: str,
    action: str,
    subject: str = "",
    detail: JsonObject | None = None,
) -> None:
    """One line, in the transaction of the deed."""
    await session.execute(
        insert(AuditLog).values(
            tenant_id=tenant_id, actor=actor, action=action, subject=subject, detail=detail or {}
        )
    )
