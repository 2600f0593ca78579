"""Keyset pages: rows in the order of their ids, which are UUIDv7 and so in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import ApiKey, ErasureRequest, Project, Webhook, WebTarget

T = TypeVar("T", Project, ApiKey, ErasureRequest, WebTarget, Webhook)


async def list_rows(session: AsyncSession, table: type[T], *, after: UUID | None, limit: int) -> Sequence[T]:
    """Return up to `limit + 1` rows, oldest first; `after` is the last id of the page before."""
    query = select(table).order_by(table.id).limit(limit + 1)
    if after is not None:
        query = query.where(table.id > after)
    return (await session.scalars(query)).all()
