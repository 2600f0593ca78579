"""A finding over its scans: where each of them saw it, with which code, and what a model said then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from securetag.db.models import FindingOccurrence, FindingState, Task, TriageVerdict

#: Scans that are listed, the newest.
MAX_SIGHTINGS = 20


@dataclass(frozen=True, slots=True)
class Sighting:
    """A finding in one scan."""

    occurrence: FindingOccurrence
    task: Task
    #: The model's on this occurrence.
    verdict: TriageVerdict | None
    #: Does its code differ from that of the scan before?
    has_other_code: bool


async def list_sightings(session: AsyncSession, finding_id: UUID) -> list[Sighting]:
    """The scans that reported a finding, newest first."""
    verdict = aliased(
        TriageVerdict,
        select(TriageVerdict)
        .where(TriageVerdict.occurrence_id == FindingOccurrence.id)
        .order_by(TriageVerdict.id.desc())
        .limit(1)
        .lateral("verdict"),
    )
    query = (
        select(FindingOccurrence, Task, verdict)
        .join(Task, Task.id == FindingOccurrence.task_id)
        .outerjoin(verdict, true())
        .where(FindingOccurrence.finding_id == finding_id)
        .order_by(FindingOccurrence.id.desc())
    )
    rows = (await session.execute(query.limit(MAX_SIGHTINGS + 1))).all()
    before = [row[0].snippet for row in rows[1:]] + [None]
    return [
        # Where retention has removed the code of either, nobody can tell.
        Sighting(*row, has_other_code=bool(earlier and row[0].snippet and earlier != row[0].snippet))
        for row, earlier in zip(rows, before, strict=True)
    ][:MAX_SIGHTINGS]


async def list_states(session: AsyncSession, finding_id: UUID) -> Sequence[FindingState]:
    """The finding's state in each branch whose scans have reported it."""
    query = select(FindingState).where(FindingState.finding_id == finding_id).order_by(FindingState.branch)
    return (await session.scalars(query)).all()
