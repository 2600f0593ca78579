"""`/targets`: name a web application, prove that it is yours, list, remove."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.auth import Scanner
from securetag.api.errors import RESPONSES
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, json_answer, make_page
from securetag.api.reading import Reading
from securetag.api.services import Services
from securetag.api.targets import repository as targets
from securetag.api.targets.proof import FILE_PATH, dns_name, look_for_proof, proof_text
from securetag.db.models import WebTarget
from securetag.db.paging import list_rows
from securetag.errors import ConflictError
from securetag.scanning.web.addresses import parse_target
from securetag.wire.base import Page
from securetag.wire.web import ProofAnswer, TargetAnswer, TargetBody

router = APIRouter(prefix="/targets", tags=["targets"], responses=RESPONSES)


@router.get("", response_model=Page[TargetAnswer])
async def list_targets(
    services: Services, read: Reading, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """The web applications that this tenant may scan, or is about to prove its own; oldest first."""
    rows = await list_rows(read.session, WebTarget, after=cursor, limit=limit)
    items = [to_target_answer(row, services.settings.web.proof_days) for row in rows]
    return json_answer(make_page(items, limit, [item.id for item in items]))


@router.post("", response_model=TargetAnswer, status_code=201)
async def add_target(
    body: TargetBody, services: Services, caller: Scanner, key: IdempotencyKey = None
) -> Response:
    """Name a web application. The answer says what to publish so that it may be scanned.

    409 where it is a target already.
    """
    origin = parse_target(body.url).origin
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> TargetAnswer:
            target = await targets.add_target(session, caller.tenant_id, origin, actor=caller.name)
            return to_target_answer(target, services.settings.web.proof_days)

        return await once(session, caller.tenant_id, "POST /targets", key, body, work)


@router.post("/{target_id}/verify", response_model=TargetAnswer)
async def verify_target(
    target_id: UUID,
    services: Services,
    caller: Scanner,
    key: IdempotencyKey = None,  # noqa: ARG001  # every POST takes it; this one changes nothing when repeated
) -> Response:
    """Look for the published text, in DNS and in the file. 409 says what was seen instead."""
    web = services.settings.web
    async with services.tenant(caller.tenant_id) as session:
        target = await targets.get_target(session, target_id)
        origin, token = target.origin, target.token
    # Between two transactions: a slow application must not hold a connection to the database.
    looks = await look_for_proof(parse_target(origin), token, web)
    proven = next((look.proof for look in looks if look.is_proven), None)
    if proven is None:
        raise ConflictError(
            f"{origin} isn't proven to be yours: {'; '.join(look.detail for look in looks)}",
            hint=f"Publish `{proof_text(token)}` as the TXT record or in the file, then repeat this call. "
            "A new DNS record may take some minutes.",
        )
    async with services.tenant(caller.tenant_id) as session:
        target = await targets.mark_verified(session, target_id, proven, actor=caller.name)
        return json_answer(to_target_answer(target, web.proof_days))


@router.delete("/{target_id}", status_code=204)
async def remove_target(target_id: UUID, services: Services, caller: Scanner) -> Response:
    """The application can't be scanned from the next call on. Its findings stay."""
    async with services.tenant(caller.tenant_id) as session:
        await targets.remove_target(session, target_id, actor=caller.name)
    return Response(status_code=204)


def to_target_answer(row: WebTarget, proof_days: int) -> TargetAnswer:
    """From a row; `proof_days` is how long a proof holds."""
    target = parse_target(row.origin)
    expires_at = row.verified_at + timedelta(days=proof_days) if row.verified_at is not None else None
    return TargetAnswer.model_validate(
        {
            "id": row.id,
            "origin": row.origin,
            "created_by": row.created_by,
            "created_at": row.created_at,
            "verified": expires_at is not None and expires_at > datetime.now(UTC),
            "verified_at": row.verified_at,
            "verified_by": row.verified_by,
            "expires_at": expires_at,
            "proof": ProofAnswer(
                dns_name=dns_name(target),
                file_url=f"{row.origin}{FILE_PATH}",
                text=proof_text(row.token),
            ),
        }
    )
