"""`/ui/review`: what a reviewer is asked to judge blind, and how far reviewers agree."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from securetag.api.feedback.agreement import measure_agreement, measure_dismissed
from securetag.api.findings import repository as findings
from securetag.api.ui.filters import Filters
from securetag.api.ui.rendering import render
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import Acting
from securetag.db.review_queue import FIRST_SHARE, SECOND_SHARE

router = APIRouter(prefix="/ui", route_class=PageRoute)


@router.get("/review")
async def show_queue(request: Request, visitor: Acting) -> Response:
    """The reviewer's queue, and agreement between reviewers."""
    filters = Filters(queue="yes")
    wanted = await filters.resolve(visitor.session, visitor.caller.name)
    due = await findings.count_findings(visitor.session, wanted)
    first = await findings.list_findings(visitor.session, wanted, after=None, limit=1)
    agreement = await measure_agreement(visitor.session)
    dismissed = await measure_dismissed(visitor.session)
    return render(
        request,
        "review.html",
        visitor=visitor,
        filters=filters,
        due=due.total,
        first=first[0][0].id if first else None,
        agreement=agreement,
        dismissed=dismissed,
        shares=(round(100 * FIRST_SHARE), round(100 * SECOND_SHARE)),
    )
