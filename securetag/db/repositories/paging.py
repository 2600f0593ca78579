"""Pages of a table, in order of its ids, which rise with time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.db.models import ApiKey, ErasureRequest, Project

R = TypeVar("R", ApiKey, ErasureRequest, Project)


async def list_page(session: AsyncSession, table: type[R], *, after: UUID | None, limit: int) -> Sequence[R]:
    """Return up to `limit + 1` rows, oldest first; `after` is the last id of the page before."""
    query = select(table).order_by(table.id).limit(limit + 1)
    if after is not None:
        query = query.where(table.id > after)
    return (await session.scalars(query)).all()
