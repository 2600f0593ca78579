"""Who works on a finding, and what people note about it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.models import Finding, FindingNote
from securetag.db.repositories import audit
from securetag.db.repositories.keys import Principal
from securetag.errors import NotFoundError

#: Notes of one finding that are listed, the newest.
MAX_NOTES = 200


async def assign(
    session: AsyncSession, caller: Principal, finding_ids: Sequence[UUID], assignee: str | None
) -> None:
    """Say who works on these findings; None: nobody. Raises NotFoundError where one isn't there."""
    changed = await session.scalars(
        update(Finding).where(Finding.id.in_(finding_ids)).values(assignee=assignee).returning(Finding.id)
    )
    if len(changed.all()) < len(set(finding_ids)):
        raise NotFoundError("there is no such finding", hint="GET /findings lists yours.")
    detail = {"assignee": assignee, "findings": len(finding_ids)}
    subject = str(finding_ids[0]) if len(finding_ids) == 1 else ""
    await audit.record(
        session, caller.tenant_id, actor=caller.name, action="finding.assign", subject=subject, detail=detail
    )


async def add_note(session: AsyncSession, caller: Principal, finding_id: UUID, text: str) -> FindingNote:
    """Store a note. Raises NotFoundError."""
    if await session.scalar(select(Finding.id).where(Finding.id == finding_id)) is None:
        raise NotFoundError("there is no such finding", hint="GET /findings lists yours.")
    row = FindingNote(
        id=uuid7(), tenant_id=caller.tenant_id, finding_id=finding_id, text=text, author=caller.name
    )
    await audit.add(session, row, actor=caller.name, action="finding.note", detail={}, subject=finding_id)
    return row


async def list_notes(session: AsyncSession, finding_id: UUID) -> list[FindingNote]:
    """The notes of a finding, oldest first."""
    query = select(FindingNote).where(FindingNote.finding_id == finding_id)
    newest = await session.scalars(query.order_by(FindingNote.id.desc()).limit(MAX_NOTES))
    return list(newest)[::-1]


async def count_notes(session: AsyncSession, finding_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return finding → number of its notes, for those that have any."""
    query = select(FindingNote.finding_id, func.count()).where(FindingNote.finding_id.in_(finding_ids))
    rows = await session.execute(query.group_by(FindingNote.finding_id))
    return {row[0]: row[1] for row in rows}
