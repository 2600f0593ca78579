"""A tenant's demands to forget: the whole tenant, a project, or a finding.

What a demand names is out of the harvest at once, by row-level security (migration 0003); releases
and models follow when the operator's pipeline works the demand off.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.models import Consent, ErasureRequest, Finding, Project
from securetag.db.repositories import audit, consent
from securetag.errors import NotFoundError
from securetag.records import JsonObject


async def add_request(
    session: AsyncSession,
    tenant_id: UUID,
    by: str,
    *,
    project_id: UUID | None = None,
    finding_id: UUID | None = None,
    deletes_findings: bool = False,
) -> ErasureRequest:
    """Write a demand down. One for the whole tenant withdraws its consent, too.

    Raises NotFoundError where the tenant has no such project or finding.
    """
    if project_id is not None and await session.get(Project, project_id) is None:
        raise NotFoundError("there is no such project", hint="See that it is a project of this tenant.")
    if finding_id is not None and await session.get(Finding, finding_id) is None:
        raise NotFoundError("there is no such finding", hint="See that it is a finding of this tenant.")
    if project_id is None and finding_id is None:
        await consent.withdraw_consent(session, tenant_id, by)
    made = ErasureRequest(
        id=uuid7(),
        tenant_id=tenant_id,
        project_id=project_id,
        finding_id=finding_id,
        deletes_findings=deletes_findings,
        requested_by=by,
    )
    detail: JsonObject = {"project_id": _text(project_id), "finding_id": _text(finding_id)}
    if deletes_findings:
        detail["delete_findings"] = True
    await audit.add(session, made, actor=by, action="erasure.request", detail=detail)
    return made


async def get_request(session: AsyncSession, request_id: UUID) -> ErasureRequest:
    """Raises NotFoundError."""
    request = await session.get(ErasureRequest, request_id)
    if request is None:
        raise NotFoundError("there is no such erasure")
    return request


async def list_pending(session: AsyncSession) -> Sequence[ErasureRequest]:
    """Demands that weren't worked off yet, oldest first."""
    query = select(ErasureRequest).where(ErasureRequest.completed_at.is_(None))
    return (await session.scalars(query.order_by(ErasureRequest.id))).all()


async def list_consents(session: AsyncSession, request: ErasureRequest) -> list[UUID]:
    """The consents that a demand for the whole tenant ended: those granted before it."""
    query = select(Consent.id).where(Consent.granted_at <= request.requested_at)
    return list(await session.scalars(query.order_by(Consent.id)))


async def list_findings(session: AsyncSession, request: ErasureRequest) -> list[UUID]:
    """The findings that a demand names: one, a project's, or all of the tenant's."""
    query = select(Finding.id).order_by(Finding.id)
    if request.project_id is not None:
        query = query.where(Finding.project_id == request.project_id)
    if request.finding_id is not None:
        return [request.finding_id]
    return list(await session.scalars(query))


async def complete_request(
    session: AsyncSession, request: ErasureRequest, by: str, detail: JsonObject
) -> None:
    """Note that a demand was worked off, with its receipt. Doing so again changes nothing."""
    done = await session.scalar(
        update(ErasureRequest)
        .where(ErasureRequest.id == request.id, ErasureRequest.completed_at.is_(None))
        .values(completed_at=func.clock_timestamp(), detail=detail)
        .returning(ErasureRequest.id)
    )
    if done is not None:
        subject = str(request.id)
        await audit.record(session, request.tenant_id, actor=by, action="erasure.complete", subject=subject)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
