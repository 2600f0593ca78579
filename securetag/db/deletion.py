"""Delete scans, findings, projects and tenants: rows by the database's own functions, then their bytes.

Each function deletes a few hundred findings at a time, in transactions of their own: one that is cut off is
called again. The audit row is in the last of them. Bytes go after the rows that name them; what is left of
them where the storage is away, the sweeper finds (`securetag.api.sweeper`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from securetag.db.engine import tenant_transaction
from securetag.db.models import Artifact, CodeauditUpload, Finding, Project, Task, Tenant
from securetag.db.repositories import audit, erasure
from securetag.db.states import TERMINAL, State
from securetag.errors import ConflictError, NotFoundError
from securetag.storage import Storage

log = logging.getLogger(__name__)

#: Findings that are deleted in one transaction.
CHUNK = 200


async def delete_finding(engine: AsyncEngine, tenant_id: UUID, finding_id: UUID, *, actor: str) -> None:
    """Delete a finding with its occurrences, verdicts and feedback. A later scan may report it anew.

    Raises NotFoundError.
    """
    async with tenant_transaction(engine, tenant_id) as session:
        if await session.scalar(select(Finding.id).where(Finding.id == finding_id)) is None:
            raise NotFoundError("there is no such finding", hint="The list of findings has the ids.")
        await delete_findings(session, [finding_id])
        await audit.record(session, tenant_id, actor=actor, action="finding.delete", subject=str(finding_id))


async def delete_findings(session: AsyncSession, finding_ids: Sequence[UUID]) -> int:
    """Delete findings of the session's tenant; returns how many there were."""
    deleted: int = await session.scalar(
        text("SELECT securetag.delete_findings(:ids)"), {"ids": list(finding_ids)}
    )
    return deleted


async def delete_scan(
    engine: AsyncEngine, storage: Storage, tenant_id: UUID, task_id: UUID, *, actor: str
) -> None:
    """Delete a scan that has ended, with the findings that no other scan has reported.

    Raises NotFoundError, and ConflictError where it hasn't ended.
    """
    async with tenant_transaction(engine, tenant_id) as session:
        state = await session.scalar(select(Task.state).where(Task.id == task_id))
        if state is None:
            raise NotFoundError("there is no such scan", hint="The list of scans has the ids.")
        await _refuse_open(session, Task.id == task_id)
        keys = await _list_keys(session, Task.id == task_id)
    step = "SELECT securetag.delete_scan(:id, :most)"
    await _repeat(engine, tenant_id, step, {"id": task_id}, actor, "scan.delete", task_id)
    await delete_bytes(engine, storage, tenant_id, keys)


async def delete_project(
    engine: AsyncEngine, storage: Storage, tenant_id: UUID, project_id: UUID, *, actor: str
) -> None:
    """Delete a project with its scans and findings. Raises NotFoundError, and ConflictError during a scan."""
    async with tenant_transaction(engine, tenant_id) as session:
        if await session.scalar(select(Project.id).where(Project.id == project_id)) is None:
            raise NotFoundError("there is no such project", hint="The list of projects has the ids.")
        await _refuse_open(session, Task.project_id == project_id)
        keys = await _list_keys(session, Task.project_id == project_id)
    step = "SELECT securetag.delete_project(:id, :most)"
    await _repeat(engine, tenant_id, step, {"id": project_id}, actor, "project.delete", project_id)
    await delete_bytes(engine, storage, tenant_id, keys)


async def delete_tenant(engine: AsyncEngine, storage: Storage, tenant_id: UUID, *, actor: str) -> None:
    """Delete all that a tenant has, its keys first, and demand that releases forget it. For operators.

    Its row stays as `deleted:<id>` with its log, its consents and the demand, which the pipeline works off.
    Scans that wait or run are canceled. Raises NotFoundError.
    """
    async with tenant_transaction(engine, tenant_id) as session:
        if await session.scalar(select(Tenant.id)) is None:
            raise NotFoundError(
                "there is no such tenant", hint="The operator's list of tenants has the names."
            )
        await session.execute(
            update(Task)
            .where(Task.state.not_in(TERMINAL))
            .values(state=State.CANCELLED.value, reason="the tenant is deleted")
            .execution_options(synchronize_session=False)
        )
        await erasure.add_request(session, tenant_id, actor)
    step = "SELECT securetag.delete_tenant(:most)"
    await _repeat(engine, tenant_id, step, {}, actor, "tenant.delete", tenant_id)
    for folder in (f"uploads/{tenant_id}", f"artifacts/{tenant_id}"):
        await _delete_keys(storage, await asyncio.to_thread(storage.keys, folder))


async def delete_bytes(engine: AsyncEngine, storage: Storage, tenant_id: UUID, keys: Collection[str]) -> int:
    """Delete what is stored under those of the tenant's keys that no row names; returns how many."""
    async with tenant_transaction(engine, tenant_id) as session:
        named = set[str]()
        for table in (CodeauditUpload, Artifact):
            named.update(await session.scalars(select(table.storage_key).where(table.storage_key.in_(keys))))
    return await _delete_keys(storage, set(keys) - named)


async def _delete_keys(storage: Storage, keys: Iterable[str]) -> int:
    deleted = 0
    for key in keys:
        try:
            await asyncio.to_thread(storage.delete, key)
        except OSError as error:
            log.warning("%s stays until the storage is swept: %s", key, error)
            continue
        deleted += 1
    return deleted


async def _list_keys(session: AsyncSession, of_task: ColumnElement[bool]) -> set[str]:
    """Storage keys of the bytes that belong to some tasks."""
    keys = set[str]()
    for table in (CodeauditUpload, Artifact):
        query = select(table.storage_key).join(Task, Task.id == table.task_id).where(of_task)
        keys.update(await session.scalars(query))
    return keys


async def _refuse_open(session: AsyncSession, of_task: ColumnElement[bool]) -> None:
    query = select(Task.id).where(of_task, Task.state.not_in(TERMINAL)).limit(1)
    open_task = await session.scalar(query)
    if open_task is not None:
        raise ConflictError(
            f"scan {open_task} hasn't ended",
            hint=f"Cancel scan {open_task}, or wait for its end; then try again.",
        )


async def _repeat(
    engine: AsyncEngine,
    tenant_id: UUID,
    step: str,
    parameters: Mapping[str, object],
    actor: str,
    action: str,
    subject: UUID,
) -> None:
    """Run a deleting statement, in a transaction each time, until it says that nothing is left."""
    is_done = False
    while not is_done:
        async with tenant_transaction(engine, tenant_id) as session:
            is_done = bool(await session.scalar(text(step), {**parameters, "most": CHUNK}))
            if is_done:
                await audit.record(session, tenant_id, actor=actor, action=action, subject=str(subject))
