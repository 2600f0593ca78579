"""Who works on a finding, and what people note about it."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from securetag.api.feedback import notes
from securetag.api.services import Services
from securetag.api.ui.forms import read_back, read_review_form, refuse
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import Acting
from securetag.wire.feedback import FindingChanges, NoteBody

router = APIRouter(prefix="/ui", route_class=PageRoute)


@router.post("/findings/{finding_id}/assign")
async def assign(finding_id: UUID, request: Request, services: Services, visitor: Acting) -> Response:
    """Say who works on a finding; an empty field: nobody."""
    form = await read_review_form(request, services, visitor)
    filters = read_back(form)
    try:
        assignee = FindingChanges(assignee=form.get("assignee")).assignee
    except ValidationError as error:
        raise refuse(error) from error
    await notes.assign(visitor.session, visitor.caller, [finding_id], assignee)
    return RedirectResponse(f"/ui/findings/{finding_id}?{filters.to_query()}", 303)


@router.post("/findings/{finding_id}/notes")
async def add_note(finding_id: UUID, request: Request, services: Services, visitor: Acting) -> Response:
    """Note something for colleagues."""
    form = await read_review_form(request, services, visitor)
    filters = read_back(form)
    try:
        text = NoteBody(text=form.get("text", "")).text
    except ValidationError as error:
        raise refuse(error) from error
    await notes.add_note(visitor.session, visitor.caller, finding_id, text)
    return RedirectResponse(f"/ui/findings/{finding_id}?{filters.to_query()}", 303)
