"""Erasure requests of tenants, from the database: written down, worked off, noted as done.

Only when the receipt of a withdrawal is written is the tenant's request noted as done, so that a process
killed anywhere may be started again.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from securetag.datasets import erasure
from securetag.db.deletion import CHUNK, delete_findings
from securetag.db.engine import create_engine, cross_tenant_transaction, tenant_transaction
from securetag.db.models import ErasureRequest
from securetag.db.repositories import erasure as requests
from securetag.db.repositories.tenants import get_current_tenant, list_tenants
from securetag.pipeline.withdrawals import OPERATOR, Receipt, Subject, find_rows, record_withdrawal
from securetag.records import JsonObject
from securetag.settings import Settings
from securetag.system.clock import format_utc

#: Tenants that one query lists.
_PAGE = 200


async def request_erasure(
    settings: Settings,
    tenant_id: UUID,
    *,
    project_id: UUID | None = None,
    finding_id: UUID | None = None,
    by: str = OPERATOR,
) -> UUID:
    """Write down an erasure request on a tenant's behalf and return its id.

    The tenant could have sent it to `POST /erasure`. Raises NotFoundError, DatabaseUnavailableError.
    """
    engine = create_engine(settings)
    try:
        async with tenant_transaction(engine, tenant_id) as session:
            await get_current_tenant(session)
            request = await requests.add_request(
                session, tenant_id, by, project_id=project_id, finding_id=finding_id
            )
            return request.id
    finally:
        await engine.dispose()


async def erase_pending(settings: Settings, *, by: str = OPERATOR) -> list[Receipt]:
    """Work off every tenant's open requests, oldest first, and return the receipts.

    Raises DatabaseUnavailableError, ReleaseError."""
    engine = create_engine(settings)
    try:
        return [
            await _erase(engine, settings, tenant_id, by)
            for tenant_id in await _tenants(engine)
            for _ in await _list_open(engine, tenant_id)
        ]
    finally:
        await engine.dispose()


async def list_open_requests(settings: Settings) -> list[UUID]:
    """Return the ids of every tenant's open requests. Raises DatabaseUnavailableError."""
    engine = create_engine(settings)
    try:
        return [
            request_id
            for tenant_id in await _tenants(engine)
            for request_id in await _list_open(engine, tenant_id)
        ]
    finally:
        await engine.dispose()


async def _tenants(engine: AsyncEngine) -> list[UUID]:
    tenants: list[UUID] = []
    async with cross_tenant_transaction(engine) as session:
        while page := await list_tenants(session, after=tenants[-1] if tenants else None, limit=_PAGE):
            tenants += [row.id for row in page]
    return tenants


async def _list_open(engine: AsyncEngine, tenant_id: UUID) -> list[UUID]:
    async with tenant_transaction(engine, tenant_id) as session:
        return [request.id for request in await requests.list_pending(session)]


async def _erase(engine: AsyncEngine, settings: Settings, tenant_id: UUID, by: str) -> Receipt:
    """Work off the tenant's oldest open request."""
    async with tenant_transaction(engine, tenant_id) as session:
        request = (await requests.list_pending(session))[0]
        consents, findings = await _scope(session, request)
    receipt = record_withdrawal(
        settings,
        str(request.id),
        _subject(request),
        find_rows(
            settings, lambda release: erasure.find_examples(release, tenant=str(tenant_id), findings=findings)
        ),
        requested=(request.requested_by, format_utc(request.requested_at, "milliseconds")),
        by=by,
        consents=consents,
        findings=findings or [],
    )
    if request.deletes_findings:
        await _delete_findings(engine, request)
    # Not in the transaction above: reading releases may take longer than one may last.
    async with tenant_transaction(engine, tenant_id) as session:
        await requests.complete_request(session, request, by, _tenant_view(receipt))
    return receipt


async def _delete_findings(engine: AsyncEngine, request: ErasureRequest) -> None:
    """Delete the findings that the request names, a few hundred in a transaction."""
    async with tenant_transaction(engine, request.tenant_id) as session:
        finding_ids = await requests.list_findings(session, request)
    for start in range(0, len(finding_ids), CHUNK):
        async with tenant_transaction(engine, request.tenant_id) as session:
            await delete_findings(session, finding_ids[start : start + CHUNK])


async def _scope(session: AsyncSession, request: ErasureRequest) -> tuple[list[str], list[str] | None]:
    """(consents that ended, findings that are named; None for all of the tenant's)."""
    if request.project_id is None and request.finding_id is None:
        return [str(consent) for consent in await requests.list_consents(session, request)], None
    return [], [str(finding) for finding in await requests.list_findings(session, request)]


def _subject(request: ErasureRequest) -> Subject:
    tenant = str(request.tenant_id)
    if request.finding_id is not None:
        return Subject(kind="finding", id=str(request.finding_id), tenant_id=tenant)
    if request.project_id is not None:
        return Subject(kind="project", id=str(request.project_id), tenant_id=tenant)
    return Subject(kind="tenant", id=tenant)


def _tenant_view(receipt: Receipt) -> JsonObject:
    """Return what the tenant sees of a receipt: what held the rows, and how many."""
    fields: JsonObject = msgspec.to_builtins(receipt)
    return {name: fields[name] for name in ("schema", "harvest_rows", "releases", "models", "rows_sha256")}
