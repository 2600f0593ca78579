"""`/ui/delete`: what the deletion of a scan, a finding or a project removes, and the deletion itself.

For keys with `admin`. A project's name is to be typed, since all of its scans and findings go with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from securetag.api.auth import check_scope
from securetag.api.services import Services
from securetag.api.ui.forms import read_form
from securetag.api.ui.rendering import render
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import COOKIE, Acting, SignedIn
from securetag.db import deletion
from securetag.db.models import Finding, FindingOccurrence, Project, Task
from securetag.errors import InputError, NotFoundError

Kind = Literal["scan", "finding", "project"]

router = APIRouter(prefix="/ui/delete", route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class Removal:
    """What a deletion removes."""

    #: Of the project, or the finding's title.
    name: str
    scans: int = 0
    findings: int = 0


@router.get("/{kind}/{subject}")
async def confirm(kind: Kind, subject: UUID, request: Request, visitor: Acting) -> Response:
    """Say what would be removed, and ask."""
    check_scope(visitor.caller, "admin")
    removal = await describe_removal(visitor.session, kind, subject)
    return render(request, "delete.html", visitor=visitor, kind=kind, subject=subject, removal=removal)


@router.post("/{kind}/{subject}")
async def delete(
    kind: Kind, subject: UUID, request: Request, services: Services, visitor: SignedIn
) -> Response:
    """Remove it for good. Raises InputError without a project's name, ConflictError during a scan."""
    form = await read_form(request, services, COOKIE)
    check_scope(visitor.caller, "admin")
    caller, engine, storage = visitor.caller, services.engine, services.storage
    if kind == "finding":
        await deletion.delete_finding(engine, caller.tenant_id, subject, actor=caller.name)
        return RedirectResponse("/ui/findings", 303)
    if kind == "scan":
        await deletion.delete_scan(engine, storage, caller.tenant_id, subject, actor=caller.name)
        return RedirectResponse("/ui/scans", 303)
    async with services.tenant(caller.tenant_id) as session:
        removal = await describe_removal(session, kind, subject)
    if form.get("name", "").strip() != removal.name:
        raise InputError("this is not the project's name", hint="Type the name as the page shows it.")
    await deletion.delete_project(engine, storage, caller.tenant_id, subject, actor=caller.name)
    return RedirectResponse("/ui/", 303)


async def describe_removal(session: AsyncSession, kind: Kind, subject: UUID) -> Removal:
    """Count what would be removed with a scan, a finding or a project. Raises NotFoundError."""
    counts: dict[str, ColumnElement[bool]]
    if kind == "scan":
        name = select(Project.name).join(Task, Task.project_id == Project.id).where(Task.id == subject)
        # What an earlier or later scan has reported too stays.
        counts = {"findings": (Finding.first_task_id == subject) & (Finding.last_task_id == subject)}
    elif kind == "finding":
        name = select(Finding.title).where(Finding.id == subject)
        counts = {"scans": FindingOccurrence.finding_id == subject}
    else:
        name = select(Project.name).where(Project.id == subject)
        counts = {"scans": Task.project_id == subject, "findings": Finding.project_id == subject}
    shown_name = await session.scalar(name)
    if shown_name is None:
        raise NotFoundError(f"there is no such {kind}", hint="It may have been deleted already.")
    numbers = {
        noun: await session.scalar(select(func.count()).where(condition)) or 0
        for noun, condition in counts.items()
    }
    return Removal(shown_name, **numbers)
