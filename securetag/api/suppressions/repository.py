"""Suppressions by id and by project."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.api.findings import repository as findings
from securetag.api.projects import repository as projects
from securetag.db.models import Finding, Suppression
from securetag.db.repositories import audit
from securetag.db.suppressions import is_in_force, path_pattern
from securetag.errors import InputError, NotFoundError
from securetag.system.clock import format_utc
from securetag.wire.api import SuppressionBody

_HINT = "GET /suppressions lists yours."


async def list_suppressions(
    session: AsyncSession,
    *,
    after: UUID | None,
    limit: int,
    project_id: UUID | None = None,
    only_in_force: bool = True,
) -> Sequence[Suppression]:
    """Up to `limit + 1` suppressions, oldest first."""
    # Rows of before this table had a use name neither a finding nor a pattern.
    query = select(Suppression).where(
        Suppression.project_id.is_not(None),
        Suppression.finding_id.is_not(None) | Suppression.path_pattern.is_not(None),
    )
    if only_in_force:
        query = query.where(is_in_force())
    if project_id is not None:
        query = query.where(Suppression.project_id == project_id)
    if after is not None:
        query = query.where(Suppression.id > after)
    return (await session.scalars(query.order_by(Suppression.id).limit(limit + 1))).all()


async def add_suppression(
    session: AsyncSession, tenant_id: UUID, body: SuppressionBody, *, actor: str
) -> Suppression:
    """Store a person's suppression, and log who made it.

    Raises NotFoundError, ConflictError where a newer scan has seen the finding, InputError for a time that
    has passed.
    """
    row = Suppression(
        id=uuid7(),
        tenant_id=tenant_id,
        reason=body.reason,
        owner=body.owner or actor,
        created_by=actor,
        expires_at=body.expires_at,
    )
    if body.finding_id is not None and body.occurrence_id is not None:
        shown = await findings.check_shown(session, body.finding_id, body.occurrence_id)
        finding = (await session.scalars(select(Finding).where(Finding.id == body.finding_id))).one()
        row.project_id, row.finding_id = finding.project_id, finding.id
        row.fingerprint, row.occurrence_id = finding.fingerprint, shown.id
    elif body.project is not None and body.path is not None:
        row.project_id = await projects.find_project(session, body.project)
        row.rule_id, row.path_glob, row.path_pattern = body.rule_id, body.path, path_pattern(body.path)
    detail = {
        "reason": body.reason,
        "owner": row.owner,
        "finding_id": str(row.finding_id) if row.finding_id else None,
        "rule_id": row.rule_id,
        "path": row.path_glob,
        "expires_at": format_utc(body.expires_at) if body.expires_at else None,
    }
    await audit.add(session, row, actor=actor, action="suppression.add", detail=detail)
    if row.expires_at is not None and row.expires_at <= row.created_at:
        raise InputError("the suppression has expired already", hint="Name a later `expires_at`.")
    return row


async def remove_suppression(session: AsyncSession, suppression_id: UUID, *, actor: str) -> None:
    """Raises NotFoundError."""
    row = await session.scalar(select(Suppression).where(Suppression.id == suppression_id))
    if row is None:
        raise NotFoundError("there is no such suppression", hint=_HINT)
    await session.execute(delete(Suppression).where(Suppression.id == suppression_id))
    await audit.record(
        session,
        row.tenant_id,
        actor=actor,
        action="suppression.remove",
        subject=str(suppression_id),
        detail={"reason": row.reason, "owner": row.owner, "rule_id": row.rule_id, "path": row.path_glob},
    )
