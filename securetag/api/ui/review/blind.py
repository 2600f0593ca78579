"""Blind mode: what a model and other people say of a finding is hidden until the person has answered.

It is a setting of the session. The review queue is always blind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from securetag.api.feedback.repository import list_answered
from securetag.api.services import Services
from securetag.api.ui.filters import Filters
from securetag.api.ui.forms import read_form
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import COOKIE, Visitor, read_visitor, set_blind
from securetag.api.ui.sign_in import local_path
from securetag.wire.api import FindingAnswer, FindingDetail

router = APIRouter(prefix="/ui", route_class=PageRoute)
AnyFinding = TypeVar("AnyFinding", bound=FindingAnswer)


@router.post("/blind", dependencies=[Depends(read_visitor)])
async def switch(request: Request, services: Services) -> Response:
    """Switch blind mode on or off, and show the page again from which the form was sent."""
    form = await read_form(request, services, COOKIE)
    response = RedirectResponse(local_path(form.get("next", "/ui/findings")), 303)
    set_blind(response, request, services, is_on=form.get("blind") == "on")
    return response


def restrict(filters: Filters, visitor: Visitor) -> Filters:
    """Return what the list may show: in blind mode nothing that tells one verdict of a model from another."""
    if not is_blind(filters, visitor):
        return filters
    return filters.model_copy(update={"verdict": None, "disagree": None})


def is_blind(filters: Filters, visitor: Visitor) -> bool:
    """Does this list hide what others say?"""
    return visitor.is_blind or filters.queue is not None


async def list_concealed(
    session: AsyncSession, filters: Filters, visitor: Visitor, finding_ids: Sequence[UUID]
) -> frozenset[UUID]:
    """Return the findings of which this person sees no verdict: in blind mode those not answered yet."""
    if not is_blind(filters, visitor):
        return frozenset()
    answered = await list_answered(session, visitor.caller.name, finding_ids)
    return frozenset(finding_ids) - answered


def conceal(finding: AnyFinding) -> AnyFinding:
    """Return the finding without what a model and people say of it."""
    hidden: dict[str, object] = {"verdict": None, "feedback": None, "verdict_stale_task_id": None}
    if isinstance(finding, FindingDetail):
        hidden["feedback_history"] = hidden["training"] = []
    return finding.model_copy(update=hidden)
