"""Undo: the last decision is taken back, whatever it was."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from securetag.api.feedback import repository as feedback
from securetag.api.services import Services
from securetag.api.suppressions import repository as suppressions
from securetag.api.ui.forms import read_back, read_review_form
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import Acting
from securetag.errors import InputError

router = APIRouter(prefix="/ui", route_class=PageRoute)
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: What can be undone: `verdict.<feedback>`, `bulk.<bulk decision>`, `suppression.<suppression>.<finding>`.
Undo = Annotated[str | None, Query(pattern=rf"^(?:(?:verdict|bulk)\.{_ID}|suppression\.{_ID}\.{_ID})$")]


@router.post("/undo")
async def undo(request: Request, services: Services, visitor: Acting) -> Response:
    """Take a decision back and show what it was about, to decide otherwise."""
    form = await read_review_form(request, services, visitor)
    filters = read_back(form)
    kind, _, ids = form.get("undo", "").partition(".")
    try:
        first, *others = [UUID(text) for text in ids.split(".")]
    except ValueError as error:
        raise InputError("nothing says what is to be undone", hint="Reload the page.") from error
    if kind == "bulk":
        await feedback.withdraw_bulk(visitor.session, visitor.caller, first)
        return RedirectResponse(f"/ui/findings?{filters.to_query()}", 303)
    if kind == "suppression" and others:
        await suppressions.remove_suppression(visitor.session, first, actor=visitor.caller.name)
        finding_id = others[0]
    else:
        saw_model = form.get("saw_model") == "yes"
        row = await feedback.withdraw_feedback(visitor.session, visitor.caller, first, saw_model=saw_model)
        finding_id = row.finding_id
    return RedirectResponse(f"/ui/findings/{finding_id}?{filters.to_query()}", 303)
