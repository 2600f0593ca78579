"""`/erasure`: demand it, and see what became of it."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.auth import Admin
from securetag.api.errors import RESPONSES
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, answer_page, json_answer
from securetag.api.reading import Reading
from securetag.api.services import Services
from securetag.db.models import ErasureRequest
from securetag.db.paging import list_rows
from securetag.db.repositories import erasure
from securetag.wire.api import ErasureAnswer, ErasureBody
from securetag.wire.base import Page

router = APIRouter(prefix="/erasure", tags=["erasure"], responses=RESPONSES)


@router.post("", response_model=ErasureAnswer, status_code=202)
async def request_erasure(
    body: ErasureBody, services: Services, caller: Admin, key: IdempotencyKey = None
) -> Response:
    """Have a finding, a project or everything forgotten.

    It leaves every later harvest and release. An erasure of everything withdraws the consent as well.
    """
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> ErasureAnswer:
            made = await erasure.add_request(
                session,
                caller.tenant_id,
                caller.name,
                project_id=body.project_id,
                finding_id=body.finding_id,
                deletes_findings=body.delete_findings,
            )
            return ErasureAnswer.model_validate(made)

        return await once(
            session,
            caller.tenant_id,
            "POST /erasure",
            key,
            body,
            work,
            status=202,
            location=lambda made: f"/erasure/{made['id']}",
        )


@router.get("", response_model=Page[ErasureAnswer])
async def list_erasures(read: Reading, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """This tenant's demands, oldest first."""
    rows = await list_rows(read.session, ErasureRequest, after=cursor, limit=limit)
    return answer_page(ErasureAnswer, rows, limit)


@router.get("/{request_id}", response_model=ErasureAnswer)
async def get_erasure(request_id: UUID, read: Reading) -> Response:
    """One demand, with its receipt when it was worked off."""
    return json_answer(ErasureAnswer.model_validate(await erasure.get_request(read.session, request_id)))
