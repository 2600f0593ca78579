"""`/audit`: who did what in the caller's tenant."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy import select
from starlette.responses import Response

from securetag.api.auth import Admin
from securetag.api.errors import RESPONSES
from securetag.api.paging import Cursor, Limit, json_answer, make_page
from securetag.api.services import Services
from securetag.db.models import AuditLog
from securetag.wire.api import AuditAnswer
from securetag.wire.base import Page

router = APIRouter(prefix="/audit", tags=["audit"], responses=RESPONSES)

#: The largest number of a row; a cursor past it is nobody's.
_MAX_NUMBER = 2**63 - 1
ActionFilter = Annotated[
    str | None, Query(max_length=100, pattern=r"^[a-z_.]+$", description="`key.create`, `scan.delete`, …")
]


@router.get("", response_model=Page[AuditAnswer])
async def list_audit(
    services: Services, caller: Admin, limit: Limit = 50, cursor: Cursor = None, action: ActionFilter = None
) -> Response:
    """The tenant's log, newest first: keys, consent, erasure, feedback, settings, deletions."""
    query = select(AuditLog).order_by(AuditLog.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(AuditLog.id < min(cursor.int, _MAX_NUMBER))
    if action is not None:
        query = query.where(AuditLog.action == action)
    async with services.tenant(caller.tenant_id) as session:
        rows = (await session.scalars(query)).all()
    # Rows have numbers; a cursor has the form of every other list's.
    numbers = [UUID(int=row.id) for row in rows]
    return json_answer(make_page([AuditAnswer.model_validate(row) for row in rows], limit, numbers))
