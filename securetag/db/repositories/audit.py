"""The log of who did what. Its rows are added, never changed."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import AuditLog
from securetag.records import JsonObject


class TenantRow(Protocol):
    """A row of a table that holds the rows of every tenant."""

    @property
    def id(self) -> UUID: ...
    @property
    def tenant_id(self) -> UUID: ...


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


async def add(
    session: AsyncSession,
    row: TenantRow,
    *,
    actor: str,
    action: str,
    detail: JsonObject,
    subject: UUID | None = None,
) -> None:
    """Add a row, which gets what the database fills in, and log who did so.

    The log's subject is the row, or what `subject` names instead.
    """
    session.add(row)
    await session.flush()
    await record(
        session, row.tenant_id, actor=actor, action=action, subject=str(subject or row.id), detail=detail
    )
