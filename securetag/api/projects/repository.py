"""Projects by name."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.models import Project
from securetag.db.repositories import audit
from securetag.errors import ConflictError, NotFoundError
from securetag.wire.api import ProjectChanges


async def create_project(session: AsyncSession, tenant_id: UUID, name: str) -> Project:
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


async def ensure_project(session: AsyncSession, tenant_id: UUID, name: str) -> UUID:
    """The id of the tenant's project of this name, made where there is none."""
    await session.execute(
        insert(Project)
        .values(id=uuid7(), tenant_id=tenant_id, name=name)
        .on_conflict_do_nothing(index_elements=["tenant_id", "name"])
    )
    return (await session.execute(select(Project.id).where(Project.name == name))).scalar_one()


async def find_project(session: AsyncSession, name: str) -> UUID:
    """Raises NotFoundError."""
    project_id = await session.scalar(select(Project.id).where(Project.name == name))
    if project_id is None:
        raise NotFoundError("there is no project of this name", hint="GET /projects lists yours.")
    return project_id


async def change_project(
    session: AsyncSession, project_id: UUID, changes: ProjectChanges, *, actor: str
) -> Project:
    """Set what is given, and log who did. Raises NotFoundError."""
    project = await session.get(Project, project_id, with_for_update=True)
    if project is None:
        raise NotFoundError("there is no such project", hint="GET /projects lists yours.")
    given = changes.model_dump(exclude_none=True)
    for name, value in given.items():
        setattr(project, name, value)
    await audit.record(
        session,
        project.tenant_id,
        actor=actor,
        action="project.change",
        subject=str(project_id),
        detail=given,
    )
    return project


async def allows_ignore_file(session: AsyncSession, project_id: UUID) -> bool:
    """Return whether an uploaded `.securetagignore` is honored."""
    query = select(Project.allow_ignore_file).where(Project.id == project_id)
    return (await session.execute(query)).scalar_one()
