"""One decision on many findings of a list: asked for, confirmed with their number, stored as one vote."""

from __future__ import annotations

from typing import Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from securetag.api.feedback import notes
from securetag.api.feedback import repository as feedback
from securetag.api.findings import repository as findings
from securetag.api.findings.repository import FindingRow
from securetag.api.services import Services
from securetag.api.ui.filters import Filters
from securetag.api.ui.forms import read_back, read_lists, refuse, take_review_form
from securetag.api.ui.rendering import render
from securetag.api.ui.review.blind import is_blind, restrict
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import COOKIE, Acting, Visitor
from securetag.db.models import DISPOSITIONS
from securetag.errors import ConflictError, InputError
from securetag.wire.feedback import MAX_BULK, BulkFeedbackBody, Decision, ShownFinding

router = APIRouter(prefix="/ui", route_class=PageRoute)
Action = Literal["true_positive", "false_positive", "needs_review", "assign"]
ACTIONS = frozenset(get_args(Action))
#: Titles that the confirmation shows.
SHOWN = 10


@router.post("/findings/bulk")
async def ask(request: Request, services: Services, visitor: Acting) -> Response:
    """Say how many findings a decision is about, and ask whether that is meant."""
    lists = await read_lists(request, services, COOKIE)
    form = take_review_form(lists, visitor)
    filters = restrict(read_back(form), visitor)
    action = form.get("action", "")
    if action not in ACTIONS:
        raise InputError("nothing says what is to be done", hint="Go back and choose a button.")
    is_all = form.get("all") == "yes"
    rows = await _choose(visitor.session, filters, visitor, None if is_all else lists.get("pick", []))
    judged = [row for row in rows if action == "assign" or row[1].snippet]
    if not judged:
        raise InputError("no finding is selected", hint="Go back and select some, or all of the list.")
    return render(
        request,
        "bulk.html",
        visitor=visitor,
        filters=filters,
        action=action,
        is_all=is_all,
        rows=judged,
        shown=judged[:SHOWN],
        without_code=len(rows) - len(judged),
        reviewed=0
        if is_blind(filters, visitor)
        else sum(row[3] is not None and row[3].source == "person" for row in judged),
        dispositions=DISPOSITIONS,
    )


@router.post("/findings/bulk/confirm")
async def confirm(request: Request, services: Services, visitor: Acting) -> Response:
    """Store what was confirmed, unless the list has changed since."""
    lists = await read_lists(request, services, COOKIE)
    form = take_review_form(lists, visitor)
    filters = restrict(read_back(form), visitor)
    action = form.get("action", "")
    query = filters.to_query()
    if form.get("all") == "yes":
        rows = await _choose(visitor.session, filters, visitor, None)
        shown = [(row[0].id, row[1].id) for row in rows if action == "assign" or row[1].snippet]
        if str(len(shown)) != form.get("count"):
            raise ConflictError(
                f"the list has changed: it has {len(shown)} such findings now",
                hint="Nothing is stored. Go back to the list and begin again.",
            )
    else:
        shown = [_read_pair(text) for text in lists.get("pick", [])]
    if action == "assign":
        await notes.assign(
            visitor.session, visitor.caller, [finding_id for finding_id, _ in shown], form.get("assignee")
        )
    else:
        bulk_id = await feedback.add_bulk_feedback(
            visitor.session, visitor.caller, _read_body(form, action, shown)
        )
        query = filters.to_query(undo=f"bulk.{bulk_id}", done=len(shown))
    return RedirectResponse(f"/ui/findings?{query}", 303)


async def _choose(
    session: AsyncSession, filters: Filters, visitor: Visitor, picked: list[str] | None
) -> list[FindingRow]:
    """Return the findings of the list, or those that are picked. Raises InputError for too many."""
    wanted = await filters.resolve(session, visitor.caller.name)
    if picked is not None:
        ids = {_read_pair(text)[0] for text in picked}
        return list(await findings.list_by_id(session, wanted, ids))
    rows = list(await findings.list_findings(session, wanted, after=None, limit=MAX_BULK))
    if len(rows) > MAX_BULK:
        raise InputError(
            f"the list has over {MAX_BULK:,} findings, more than one decision may be about",
            hint="Narrow the list by a filter.",
        )
    return rows


def _read_pair(text: str) -> tuple[UUID, UUID]:
    """Return finding and occurrence. Raises InputError."""
    try:
        finding, occurrence = (UUID(part) for part in text.split("."))
    except ValueError as error:
        raise InputError("the selection can't be read", hint="Reload the page and try again.") from error
    return finding, occurrence


def _read_body(form: dict[str, str], action: str, shown: list[tuple[UUID, UUID]]) -> BulkFeedbackBody:
    try:
        return BulkFeedbackBody.model_validate(
            {
                "findings": [
                    ShownFinding(finding_id=finding, occurrence_id=occurrence)
                    for finding, occurrence in shown
                ],
                "verdict": action,
                "disposition": form.get("disposition"),
                "comment": form.get("comment", ""),
                "saw_model": form.get("saw_model") == "yes",
            }
        )
    except ValidationError as error:
        raise refuse(error) from error


assert set(get_args(Decision)) < ACTIONS
