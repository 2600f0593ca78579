"""Tenants. A session sees its own alone; the list over all is a function of the gate's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Update, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.engine import cross_tenant_transaction, tenant_transaction
from securetag.db.leases import change_state
from securetag.db.models import Task, Tenant
from securetag.db.repositories.audit import record
from securetag.db.states import State
from securetag.errors import ConflictError, NotFoundError
from securetag.records import JsonObject, ModelLocation
from securetag.wire.tenants import TenantChanges


async def create_tenant(engine: AsyncEngine, name: str, *, model_policy: ModelLocation = "local") -> UUID:
    """A new tenant. Raises ConflictError where the name is taken, DatabaseUnavailableError."""
    tenant_id = uuid7()
    async with tenant_transaction(engine, tenant_id) as session:
        await add_tenant(session, tenant_id, name, model_policy=model_policy, actor="operator")
    return tenant_id


async def add_tenant(
    session: AsyncSession, tenant_id: UUID, name: str, *, model_policy: ModelLocation, actor: str
) -> None:
    """The row, in a session that is already the new tenant's. Raises ConflictError."""
    made = await session.scalar(
        insert(Tenant)
        .values(id=tenant_id, name=name, model_policy=model_policy)
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(Tenant.id)
    )
    if made is None:
        raise ConflictError("a tenant of this name exists", hint="Choose another name.")
    await record(session, tenant_id, actor=actor, action="tenant.create", subject=str(tenant_id))


async def change_tenant(
    session: AsyncSession, tenant_id: UUID, changes: TenantChanges, *, actor: str
) -> Tenant:
    """Change what is given of the session's tenant, and log it. Raises NotFoundError."""
    detail: JsonObject = {}
    if changes.model_policy is not None:
        detail["model_policy"] = changes.model_policy
    if changes.quotas is not None:
        detail["quotas"] = changes.quotas.model_dump(exclude_none=True)
    query = update(Tenant).where(Tenant.id == tenant_id).values(**detail) if detail else select(Tenant)
    tenant: Tenant | None = await session.scalar(
        query.returning(Tenant) if isinstance(query, Update) else query.where(Tenant.id == tenant_id)
    )
    if tenant is None:
        raise NotFoundError("there is no such tenant", hint="GET /tenants lists those that you may change.")
    await record(
        session, tenant_id, actor=actor, action="tenant.change", subject=str(tenant_id), detail=detail
    )
    return tenant


async def suspend_tenant(engine: AsyncEngine, tenant_id: UUID, *, actor: str) -> Tenant:
    """Return the tenant, whose keys open nothing from now on; its running scans end, waiting ones stay.

    Repeated it ends what has begun to run since. Raises NotFoundError and DatabaseUnavailableError.
    """
    tenant = await _mark(engine, tenant_id, "tenant.suspend", func.clock_timestamp(), actor)
    # In a transaction of its own: no claim hands out a task of this tenant any more.
    async with tenant_transaction(engine, tenant_id) as session:
        running = select(Task).where(Task.state == State.RUNNING.value).with_for_update()
        for task in (await session.scalars(running)).all():
            await change_state(session, task, State.CANCELLED, reason="the tenant was suspended")
    return tenant


async def resume_tenant(engine: AsyncEngine, tenant_id: UUID, *, actor: str) -> Tenant:
    """Return the tenant, whose keys open again and whose waiting scans run. Raises as `suspend_tenant`."""
    return await _mark(engine, tenant_id, "tenant.resume", None, actor)


async def _mark(
    engine: AsyncEngine, tenant_id: UUID, action: str, moment: ColumnElement[datetime] | None, actor: str
) -> Tenant:
    async with tenant_transaction(engine, tenant_id) as session:
        tenant: Tenant | None = await session.scalar(
            update(Tenant).where(Tenant.id == tenant_id).values(suspended_at=moment).returning(Tenant)
        )
        if tenant is None:
            raise NotFoundError("there is no such tenant", hint="`securetag tenant list` names them.")
        await record(session, tenant_id, actor=actor, action=action, subject=str(tenant_id))
    return tenant


async def switch_tenant(session: AsyncSession, tenant_id: UUID) -> None:
    """Make the rest of the transaction this tenant's. For operators, whom the caller has checked."""
    await session.execute(
        text("SELECT set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant_id)}
    )


async def get_current_tenant(session: AsyncSession) -> Tenant:
    """The session's tenant. Raises NotFoundError."""
    tenant: Tenant | None = await session.scalar(select(Tenant))
    if tenant is None:
        raise NotFoundError("there is no such tenant", hint="Make one with `securetag tenant create`.")
    return tenant


async def find_tenant(session: AsyncSession, name: str) -> UUID:
    """The tenant of this name. For operators. Raises NotFoundError."""
    # A page of NULL is every tenant.
    query = text("SELECT id FROM securetag.tenants(NULL, NULL) WHERE name = :name")
    tenant_id: UUID | None = await session.scalar(query, {"name": name})
    if tenant_id is None:
        raise NotFoundError(f"there is no tenant {name!r}", hint="Make it with `securetag tenant create`.")
    return tenant_id


async def ensure_tenant(engine: AsyncEngine, name: str, *, model_policy: ModelLocation = "local") -> UUID:
    """Return the tenant of this name, which is made, with this policy, where it is missing. For operators."""
    try:
        return await create_tenant(engine, name, model_policy=model_policy)
    except ConflictError:
        async with cross_tenant_transaction(engine) as session:
            return await find_tenant(session, name)


async def list_tenants(session: AsyncSession, *, after: UUID | None, limit: int | None) -> Sequence[Row[Any]]:
    """Return up to `limit + 1` tenants as `TenantAnswer` has them, or all, oldest first. For operators."""
    query = text(
        "SELECT id, name, model_policy, quotas, created_at, suspended_at"
        " FROM securetag.tenants(CAST(:after AS uuid), :page)"
    )
    page = None if limit is None else limit + 1
    return (await session.execute(query, {"after": after, "page": page})).all()


async def exists(session: AsyncSession) -> bool:
    """Is the session's tenant one that was made?"""
    return await session.scalar(select(Tenant.id)) is not None
