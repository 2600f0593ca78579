"""`/projects`: list, make, change. An upload makes its project by itself."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.auth import Admin, Reviewer, Scanner
from securetag.api.errors import RESPONSES
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, answer_page, json_answer
from securetag.api.projects import repository as projects
from securetag.api.reading import Reading
from securetag.api.services import Services
from securetag.db.deletion import delete_project
from securetag.db.models import Project
from securetag.db.paging import list_rows
from securetag.wire.api import ProjectAnswer, ProjectBody, ProjectChanges
from securetag.wire.base import Page

router = APIRouter(prefix="/projects", tags=["projects"], responses=RESPONSES)


@router.get("", response_model=Page[ProjectAnswer])
async def list_projects(read: Reading, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """The tenant's projects, oldest first."""
    rows = await list_rows(read.session, Project, after=cursor, limit=limit)
    return answer_page(ProjectAnswer, rows, limit)


@router.post("", response_model=ProjectAnswer, status_code=201)
async def create_project(
    body: ProjectBody, services: Services, caller: Scanner, key: IdempotencyKey = None
) -> Response:
    """A new project. 409 where one of this name exists."""
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> ProjectAnswer:
            return ProjectAnswer.model_validate(
                await projects.create_project(session, caller.tenant_id, body.name)
            )

        return await once(session, caller.tenant_id, "POST /projects", key, body, work)


@router.patch("/{project_id}", response_model=ProjectAnswer)
async def change_project(
    project_id: UUID, body: ProjectChanges, services: Services, caller: Reviewer
) -> Response:
    """Change a project's settings: its default branch, and who may dismiss or hide findings."""
    async with services.tenant(caller.tenant_id) as session:
        project = await projects.change_project(session, project_id, body, actor=caller.name)
        return json_answer(ProjectAnswer.model_validate(project))


@router.delete("/{project_id}", status_code=204)
async def remove_project(project_id: UUID, services: Services, caller: Admin) -> None:
    """Delete a project with all its scans, findings, verdicts and feedback. 409 during a scan."""
    await delete_project(services.engine, services.storage, caller.tenant_id, project_id, actor=caller.name)
