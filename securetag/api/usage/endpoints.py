"""`/usage`: quotas of the caller's tenant and what is used of them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.errors import RESPONSES
from securetag.api.paging import json_answer
from securetag.api.reading import Reading
from securetag.api.services import Services
from securetag.db.repositories import quotas
from securetag.wire.tenants import UsageAnswer

router = APIRouter(prefix="/usage", tags=["usage"], responses=RESPONSES)


@router.get("", response_model=UsageAnswer)
async def get_usage(services: Services, read: Reading) -> Response:
    """What was used today, what waits and runs now, and how much of each is allowed."""
    return json_answer(await quotas.get_usage(read.session, services.quotas))
