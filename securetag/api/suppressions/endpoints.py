"""`/suppressions`: what people have chosen not to hear of, and why."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from securetag.api.auth import Reviewer
from securetag.api.codeaudit.schemas import ProjectFilter
from securetag.api.errors import RESPONSES
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, json_answer, make_page
from securetag.api.projects import repository as projects
from securetag.api.reading import Reading
from securetag.api.services import Services
from securetag.api.suppressions import repository as suppressions
from securetag.api.suppressions.schemas import to_suppression_answer
from securetag.wire.api import SuppressionAnswer, SuppressionBody
from securetag.wire.base import Page

router = APIRouter(prefix="/suppressions", tags=["suppressions"], responses=RESPONSES)

All = Annotated[bool, Query(alias="all", description="Those that have lapsed or expired too.")]


@router.get("", response_model=Page[SuppressionAnswer])
async def list_suppressions(
    read: Reading,
    limit: Limit = 50,
    cursor: Cursor = None,
    project: ProjectFilter = None,
    include_ended: All = False,
) -> Response:
    """The suppressions in force, oldest first. One that has lapsed needs somebody's look at the new code."""
    project_id = await projects.find_project(read.session, project) if project is not None else None
    rows = await suppressions.list_suppressions(
        read.session, after=cursor, limit=limit, project_id=project_id, only_in_force=not include_ended
    )
    return json_answer(
        make_page([to_suppression_answer(row) for row in rows], limit, [row.id for row in rows])
    )


@router.post("", response_model=SuppressionAnswer, status_code=201)
async def add_suppression(
    body: SuppressionBody, services: Services, caller: Reviewer, key: IdempotencyKey = None
) -> Response:
    """Choose not to hear of a finding, of a rule in a path, or of a path. The key's name is logged.

    One of a finding lapses when a scan shows other code. 409 where a newer scan of the branch has seen the
    finding: look at the newest occurrence first.
    """
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> SuppressionAnswer:
            row = await suppressions.add_suppression(session, caller.tenant_id, body, actor=caller.name)
            return to_suppression_answer(row)

        return await once(session, caller.tenant_id, "POST /suppressions", key, body, work)


@router.delete("/{suppression_id}", status_code=204)
async def remove_suppression(suppression_id: UUID, services: Services, caller: Reviewer) -> Response:
    """End a suppression: its findings count again."""
    async with services.tenant(caller.tenant_id) as session:
        await suppressions.remove_suppression(session, suppression_id, actor=caller.name)
    return Response(status_code=204)
