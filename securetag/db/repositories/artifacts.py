"""What belongs to a task as bytes: the archive that came with it, the output that workers stored."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.models import Artifact, CodeauditUpload
from securetag.errors import NotFoundError


def upload_key(tenant_id: UUID, sha256: str) -> str:
    """Content-addressed within the tenant: the same archive is stored once."""
    return f"uploads/{tenant_id}/{sha256}"


def artifact_folder(tenant_id: UUID, task_id: UUID) -> str:
    """Return the folder of everything that workers stored for a task."""
    return f"artifacts/{tenant_id}/{task_id}"


def artifact_key(tenant_id: UUID, task_id: UUID, fence: int, name: str) -> str:
    """The fence keeps a worker that lost its lease from writing over its successor's bytes."""
    return f"{artifact_folder(tenant_id, task_id)}/{fence}/{name}"


async def add_upload(
    session: AsyncSession,
    tenant_id: UUID,
    *,
    project_id: UUID,
    task_id: UUID,
    filename: str,
    sha256: str,
    size: int,
) -> None:
    """Record the archive of a task, which lies under `upload_key`."""
    await session.execute(
        insert(CodeauditUpload).values(
            id=uuid7(),
            tenant_id=tenant_id,
            project_id=project_id,
            task_id=task_id,
            filename=filename,
            sha256=sha256,
            size=size,
            storage_key=upload_key(tenant_id, sha256),
        )
    )


async def upload_of(session: AsyncSession, task_id: UUID) -> CodeauditUpload | None:
    upload: CodeauditUpload | None = await session.scalar(
        select(CodeauditUpload).where(CodeauditUpload.task_id == task_id)
    )
    return upload


async def find_artifact(session: AsyncSession, task_id: UUID, name: str) -> Artifact | None:
    """The artifact of this name, of whichever attempt."""
    artifact: Artifact | None = await session.scalar(
        select(Artifact)
        .where(Artifact.task_id == task_id, Artifact.name == name)
        .execution_options(populate_existing=True)
    )
    return artifact


async def list_keys(session: AsyncSession, task_id: UUID) -> set[str]:
    """Storage keys of the task's artifacts."""
    return set((await session.scalars(select(Artifact.storage_key).where(Artifact.task_id == task_id))).all())


async def get_artifact(session: AsyncSession, task_id: UUID, name: str) -> Artifact:
    """Raises NotFoundError."""
    artifact = await find_artifact(session, task_id, name)
    if artifact is None:
        raise NotFoundError("this scan has no such artifact")
    return artifact


async def replace_artifact(
    session: AsyncSession,
    tenant_id: UUID,
    *,
    task_id: UUID,
    name: str,
    attempt: int,
    sha256: str,
    size: int,
    storage_key: str,
) -> None:
    """Record the artifact in place of an earlier attempt's. The caller holds the task's row lock."""
    values = {"attempt": attempt, "sha256": sha256, "size": size, "storage_key": storage_key}
    await session.execute(
        insert(Artifact)
        .values(id=uuid7(), tenant_id=tenant_id, task_id=task_id, name=name, **values)
        .on_conflict_do_update(index_elements=["task_id", "name"], set_=values)
    )
