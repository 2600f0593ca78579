"""`/consent`: read it, grant it, withdraw it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.auth import Admin
from securetag.api.errors import RESPONSES
from securetag.api.paging import json_answer
from securetag.api.reading import Reading
from securetag.api.services import Services
from securetag.db.models import Consent
from securetag.db.repositories import consent
from securetag.wire.api import ConsentAnswer, ConsentBody

router = APIRouter(prefix="/consent", tags=["consent"], responses=RESPONSES)


def _answer(row: Consent | None) -> Response:
    if row is None:
        return json_answer(ConsentAnswer(granted=False))
    return json_answer(
        ConsentAnswer(
            granted=row.withdrawn_at is None,
            consent_id=row.id,
            granted_by=row.granted_by,
            granted_at=row.granted_at,
            withdrawn_by=row.withdrawn_by,
            withdrawn_at=row.withdrawn_at,
            text_version=row.text_version,
        )
    )


@router.get("", response_model=ConsentAnswer)
async def get_consent(read: Reading) -> Response:
    """The consent in force, or the one withdrawn last."""
    return _answer(await consent.get_latest_consent(read.session))


@router.put("", response_model=ConsentAnswer)
async def set_consent(body: ConsentBody, services: Services, caller: Admin) -> Response:
    """Grant consent, or withdraw it. Saying again what holds already changes nothing."""
    async with services.tenant(caller.tenant_id) as session:
        change = consent.grant_consent if body.granted else consent.withdraw_consent
        await change(session, caller.tenant_id, caller.name)
        return _answer(await consent.get_latest_consent(session))
