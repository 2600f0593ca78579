"""`/ui/`: what there is to do, and what the model is worth."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from securetag.api.findings import repository as findings
from securetag.api.findings import statistics
from securetag.api.findings.listing import IN_THE_CODE, FindingFilter
from securetag.api.scans import repository as scans
from securetag.api.scans.service import summarize_scan
from securetag.api.ui.chart import plot
from securetag.api.ui.rendering import render
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import Acting
from securetag.db.models import ErasureRequest
from securetag.db.paging import list_rows
from securetag.db.repositories import consent
from securetag.records import JsonObject

router = APIRouter(prefix="/ui", route_class=PageRoute)
#: Scans and erasures that are listed.
LISTED: Final = 5
MAX_ERASURES: Final = 50
_IN_CODE = FindingFilter(states=IN_THE_CODE)


@router.get("/")
async def show_overview(request: Request, visitor: Acting) -> Response:
    """Findings over time and by age, the model's worth, and what consents and erasures touched."""
    series = await statistics.count_over_time(visitor.session)
    context: JsonObject = {
        "counts": await findings.count_findings(visitor.session, _IN_CODE),
        "ages": await statistics.measure_open_age(visitor.session),
        "worth": await statistics.measure_worth(visitor.session),
        "model": await statistics.find_model_in_use(visitor.session),
        "learnable": await statistics.count_learnable(visitor.session),
        "consent": await consent.get_latest_consent(visitor.session),
        "erasures": await list_rows(visitor.session, ErasureRequest, after=None, limit=MAX_ERASURES),
        "scans": [
            summarize_scan(row)
            for row in (await scans.list_scans(visitor.session, kind=None, after=None, limit=LISTED))[:LISTED]
        ],
    }
    return render(
        request,
        "overview.html",
        visitor=visitor,
        series=series,
        chart=plot(series) if series is not None else None,
        **context,
    )
