"""`/keys`: list, make, replace, revoke."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.auth import Admin
from securetag.api.errors import RESPONSES
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, answer_page, json_answer
from securetag.api.services import Services
from securetag.db.models import ApiKey
from securetag.db.paging import list_rows
from securetag.db.repositories import keys
from securetag.db.repositories.keys import Principal
from securetag.db.repositories.tenants import exists, switch_tenant
from securetag.errors import NotFoundError, PermissionDeniedError
from securetag.wire.api import KeyAnswer, KeyBody, KeyCreated, RotationBody
from securetag.wire.base import Page
from securetag.wire.tenants import Suspension

router = APIRouter(prefix="/keys", tags=["keys"], responses=RESPONSES)


@router.get("", response_model=Page[KeyAnswer])
async def list_keys(services: Services, caller: Admin, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """The tenant's keys, oldest first, revoked ones too. Never their secrets."""
    async with services.tenant(caller.tenant_id) as session:
        rows = await list_rows(session, ApiKey, after=cursor, limit=limit)
    return answer_page(KeyAnswer, rows, limit)


@router.post("", response_model=KeyCreated, status_code=201)
async def create_key(
    body: KeyBody, services: Services, caller: Admin, key: IdempotencyKey = None
) -> Response:
    """A new key. Keep it: it can't be read again."""
    _check_may_give(caller, body.scopes)
    tenant_id = body.tenant_id or caller.tenant_id
    if tenant_id != caller.tenant_id and not caller.operator:
        # As for every foreign id: it doesn't exist.
        raise NotFoundError(
            "there is no such tenant", hint="Leave tenant_id out for a key of your own tenant."
        )
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> KeyCreated:
            await switch_tenant(session, tenant_id)
            if not await exists(session):
                raise NotFoundError("there is no such tenant", hint="POST /tenants makes one.")
            row, plain = await keys.add_key(
                session,
                tenant_id,
                body.name,
                body.scopes,
                services.peppers.current,
                actor=caller.name,
                expires_at=body.expires_at,
            )
            await switch_tenant(session, caller.tenant_id)
            return KeyCreated(**KeyAnswer.model_validate(row).model_dump(), key=plain)

        return await once(session, caller.tenant_id, "POST /keys", key, body, work, secret="key")


@router.post("/{key_id}/rotate", response_model=KeyCreated, status_code=201)
async def rotate_key(
    key_id: UUID, body: RotationBody, services: Services, caller: Admin, key: IdempotencyKey = None
) -> Response:
    """Replace a key by a new one with the same name, scopes and expiry. Keep it: it can't be read again.

    The old one opens for `overlap_hours` more, or nothing from the next call on. 409 for one that opens
    nothing any more.
    """
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> KeyCreated:
            old = await session.get(ApiKey, key_id)
            if old is None:
                raise NotFoundError("there is no such key", hint="GET /keys lists yours.")
            _check_may_give(caller, old.scopes)
            row, plain = await keys.rotate_key(
                session,
                old,
                services.peppers.current,
                overlap=timedelta(hours=body.overlap_hours),
                actor=caller.name,
            )
            return KeyCreated(**KeyAnswer.model_validate(row).model_dump(), key=plain)

        operation = f"POST /keys/{key_id}/rotate"
        return await once(session, caller.tenant_id, operation, key, body, work, secret="key")


@router.put("/{key_id}/suspension", response_model=KeyAnswer)
async def suspend_key(key_id: UUID, body: Suspension, services: Services, caller: Admin) -> Response:
    """Suspend a key, or end that. A suspended key opens nothing (403) and keeps its id."""
    async with services.tenant(caller.tenant_id) as session:
        row = await keys.suspend_key(
            session, caller.tenant_id, key_id, is_suspended=body.suspended, actor=caller.name
        )
        return json_answer(KeyAnswer.model_validate(row))


@router.delete("/{key_id}", status_code=204)
async def revoke_key(key_id: UUID, services: Services, caller: Admin) -> Response:
    """The key opens nothing from the next call on."""
    async with services.tenant(caller.tenant_id) as session:
        await keys.revoke_key(session, caller.tenant_id, key_id, actor=caller.name)
    return Response(status_code=204)


def _check_may_give(caller: Principal, scopes: Iterable[str]) -> None:
    """Raise PermissionDeniedError where a key with these scopes could do more than the caller's."""
    if missing := [scope for scope in scopes if not caller.may(scope)]:
        raise PermissionDeniedError(
            f"a key can't give away what it hasn't: {', '.join(missing)}", hint="Ask an operator."
        )
