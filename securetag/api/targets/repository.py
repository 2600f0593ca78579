"""Targets by id and by origin."""

from __future__ import annotations

import secrets
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.models import Task, WebTarget
from securetag.db.repositories import audit
from securetag.db.states import TERMINAL
from securetag.errors import ConflictError, NotFoundError


async def add_target(session: AsyncSession, tenant_id: UUID, origin: str, *, actor: str) -> WebTarget:
    """Raises ConflictError where the tenant has it."""
    target: WebTarget | None = await session.scalar(
        insert(WebTarget)
        .values(
            id=uuid7(),
            tenant_id=tenant_id,
            origin=origin,
            token=secrets.token_urlsafe(24),
            created_by=actor,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "origin"])
        .returning(WebTarget)
    )
    if target is None:
        raise ConflictError(f"{origin} is a target of yours already", hint="GET /targets lists it.")
    await _record(session, target, "target.add", actor)
    return target


async def get_target(session: AsyncSession, target_id: UUID) -> WebTarget:
    """Raises NotFoundError."""
    target = await session.get(WebTarget, target_id)
    if target is None:
        raise NotFoundError("there is no such target", hint="GET /targets lists yours.")
    return target


async def lock_target(session: AsyncSession, origin: str) -> WebTarget:
    """The target of this origin, locked until the transaction ends. Raises NotFoundError."""
    target = await session.scalar(select(WebTarget).where(WebTarget.origin == origin).with_for_update())
    if target is None:
        raise NotFoundError(
            f"{origin} is no target of yours",
            hint="Add it with POST /targets, then prove that it is yours with POST /targets/{id}/verify.",
        )
    return target


async def mark_verified(session: AsyncSession, target_id: UUID, proof: str, *, actor: str) -> WebTarget:
    """The ownership is proven from now on. Raises NotFoundError."""
    target = await get_target(session, target_id)
    target.verified_by = proof
    target.verified_at = await session.scalar(select(func.clock_timestamp()))
    await _record(session, target, "target.verify", actor)
    return target


async def remove_target(session: AsyncSession, target_id: UUID, *, actor: str) -> None:
    """Raises NotFoundError."""
    target = await get_target(session, target_id)
    await _record(session, target, "target.remove", actor)
    await session.delete(target)


async def find_open_scan(session: AsyncSession, origin: str) -> UUID | None:
    """Return the web scan of this origin that hasn't ended."""
    open_scan: UUID | None = await session.scalar(
        select(Task.id)
        .where(
            Task.kind == "web",
            Task.state.not_in([state.value for state in TERMINAL]),
            Task.params["origin"].astext == origin,
        )
        .limit(1)
    )
    return open_scan


async def _record(session: AsyncSession, target: WebTarget, action: str, actor: str) -> None:
    detail = {"origin": target.origin, "verified_by": target.verified_by}
    await audit.record(
        session, target.tenant_id, actor=actor, action=action, subject=str(target.id), detail=detail
    )
