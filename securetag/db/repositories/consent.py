"""A tenant's leave to learn from its findings: off by default, at most one in force."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.models import Consent
from securetag.db.repositories.audit import record
from securetag.wire.api import CONSENT_TEXT_VERSION


async def get_latest_consent(session: AsyncSession) -> Consent | None:
    """The consent in force, else the one withdrawn last, else None."""
    consent: Consent | None = await session.scalar(
        select(Consent).order_by(Consent.withdrawn_at.is_(None).desc(), Consent.id.desc()).limit(1)
    )
    return consent


async def grant_consent(session: AsyncSession, tenant_id: UUID, by: str) -> None:
    """Granting what is granted changes nothing: the consent keeps its id."""
    made = await session.scalar(
        insert(Consent)
        .values(id=uuid7(), tenant_id=tenant_id, granted_by=by, text_version=CONSENT_TEXT_VERSION)
        .on_conflict_do_nothing(index_elements=["tenant_id"], index_where=Consent.withdrawn_at.is_(None))
        .returning(Consent.id)
    )
    if made is not None:
        await record(session, tenant_id, actor=by, action="consent.grant", subject=str(made))


async def withdraw_consent(session: AsyncSession, tenant_id: UUID, by: str) -> None:
    """Withdrawing what isn't granted changes nothing."""
    ended = await session.scalar(
        update(Consent)
        .where(Consent.withdrawn_at.is_(None))
        .values(withdrawn_by=by, withdrawn_at=func.clock_timestamp())
        .returning(Consent.id)
    )
    if ended is not None:
        await record(session, tenant_id, actor=by, action="consent.withdraw", subject=str(ended))
