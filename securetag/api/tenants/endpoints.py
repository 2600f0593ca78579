"""`/tenants`: an operator makes them; everybody else sees the own one."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response
from uuid_utils.compat import uuid7

from securetag.api.auth import Admin, Operator
from securetag.api.errors import RESPONSES
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, answer_page, json_answer
from securetag.api.services import Services
from securetag.db.deletion import delete_tenant
from securetag.db.repositories import tenants
from securetag.errors import ConflictError, PermissionDeniedError
from securetag.wire.base import Page
from securetag.wire.tenants import Suspension, TenantAnswer, TenantBody, TenantChanges

router = APIRouter(prefix="/tenants", tags=["tenants"], responses=RESPONSES)


@router.get("", response_model=Page[TenantAnswer])
async def list_tenants(
    services: Services, caller: Admin, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """All tenants, oldest first, for an operator; for anybody else the own one."""
    async with services.tenant(caller.tenant_id) as session:
        if not caller.operator:
            return json_answer(
                Page(items=[TenantAnswer.model_validate(await tenants.get_current_tenant(session))])
            )
        rows = await tenants.list_tenants(session, after=cursor, limit=limit)
    return answer_page(TenantAnswer, rows, limit)


@router.post("", response_model=TenantAnswer, status_code=201)
async def create_tenant(
    body: TenantBody, services: Services, caller: Operator, key: IdempotencyKey = None
) -> Response:
    """A new tenant, without keys yet: POST /keys with its id makes the first. 409 where the name is taken."""
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> TenantAnswer:
            tenant_id = uuid7()
            await tenants.switch_tenant(session, tenant_id)
            policy = body.model_policy or services.settings.api.model_policy
            await tenants.add_tenant(session, tenant_id, body.name, model_policy=policy, actor=caller.name)
            made = TenantAnswer.model_validate(await tenants.get_current_tenant(session))
            await tenants.switch_tenant(session, caller.tenant_id)
            return made

        return await once(session, caller.tenant_id, "POST /tenants", key, body, work)


@router.patch("/{tenant_id}", response_model=TenantAnswer)
async def change_tenant(tenant_id: UUID, body: TenantChanges, services: Services, caller: Admin) -> Response:
    """Say how far the tenant's code may go: an admin for the own tenant, an operator for any.

    Quotas are an operator's to set.
    """
    if body.quotas is not None and not caller.operator:
        raise PermissionDeniedError(
            "only an operator's key may set quotas", hint="Ask the operator; GET /usage shows yours."
        )
    async with services.tenant(caller.tenant_id) as session:
        if caller.operator:
            await tenants.switch_tenant(session, tenant_id)
        tenant = await tenants.change_tenant(session, tenant_id, body, actor=caller.name)
        return json_answer(TenantAnswer.model_validate(tenant))


@router.put("/{tenant_id}/suspension", response_model=TenantAnswer)
async def suspend_tenant(tenant_id: UUID, body: Suspension, services: Services, caller: Operator) -> Response:
    """Suspend a tenant, or end that: its keys then open nothing (403), and its running scans are canceled.

    Waiting scans wait until it ends. 409 for the operator's own tenant.
    """
    if tenant_id == caller.tenant_id:
        raise ConflictError("an operator can't suspend the own tenant", hint="Use another tenant's key.")
    change = tenants.suspend_tenant if body.suspended else tenants.resume_tenant
    tenant = await change(services.engine, tenant_id, actor=caller.name)
    return json_answer(TenantAnswer.model_validate(tenant))


@router.delete("/{tenant_id}", status_code=204)
async def remove_tenant(tenant_id: UUID, services: Services, caller: Operator) -> None:
    """Delete all that a tenant has: keys, scans, findings, bytes. 409 for the operator's own.

    Releases forget it when the erasure that this demands is worked off; its log and consents stay until then.
    """
    if tenant_id == caller.tenant_id:
        raise ConflictError("an operator's key can't delete its own tenant", hint="Use another tenant's key.")
    await delete_tenant(services.engine, services.storage, tenant_id, actor=caller.name)
