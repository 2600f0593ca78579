"""Projects by name."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.models import Project
from securetag.db.repositories.paging import list_page
from securetag.errors import ConflictError, NotFoundError


async def create(session: AsyncSession, tenant_id: UUID, name: str) -> Project:
    """Raises ConflictError where the tenant has one of this name."""
    project: Project | None = await session.scalar(
        insert(Project)
        .values(id=uuid7(), tenant_id=tenant_id, name=name)
        .on_conflict_do_nothing(index_elements=["tenant_id", "name"])
        .returning(Project)
    )
    if project is None:
        raise ConflictError("a project of this name exists", hint="GET /projects lists it.")
    return project


async def ensure(session: AsyncSession, tenant_id: UUID, name: str) -> UUID:
    """The id of the tenant's project of this name, made where there is none."""
    await session.execute(
        insert(Project)
        .values(id=uuid7(), tenant_id=tenant_id, name=name)
        .on_conflict_do_nothing(index_elements=["tenant_id", "name"])
    )
    return (await session.execute(select(Project.id).where(Project.name == name))).scalar_one()


async def by_name(session: AsyncSession, name: str) -> UUID:
    """Raises NotFoundError."""
    project_id = await session.scalar(select(Project.id).where(Project.name == name))
    if project_id is None:
        raise NotFoundError("there is no project of this name", hint="GET /projects lists yours.")
    return project_id


async def listed(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[Project]:
    """Up to `limit + 1` projects, oldest first."""
    return await list_page(session, Project, after=after, limit=limit)
