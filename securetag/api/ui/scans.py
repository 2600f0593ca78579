"""`/ui/scans`: the newest scans, one scan as it goes on, its coverage, its files, and stopping it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from securetag.api.auth import check_scope
from securetag.api.findings import repository as findings
from securetag.api.findings.schemas import to_finding_answer
from securetag.api.queue.schemas import ArtifactName
from securetag.api.scans import repository as scans
from securetag.api.scans.artifacts import send_artifact
from securetag.api.scans.export import export_csv, export_json, export_sarif
from securetag.api.scans.following import follow_scan
from securetag.api.scans.service import describe_scan, summarize_scan
from securetag.api.services import Services
from securetag.api.ui.filters import Filters
from securetag.api.ui.forms import read_form
from securetag.api.ui.rendering import load_texts, render, render_text
from securetag.api.ui.review.blind import conceal, list_concealed
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import COOKIE, Acting, SignedIn, Visitor
from securetag.db import queue
from securetag.db.models import Artifact
from securetag.db.states import TERMINAL
from securetag.records import JsonObject
from securetag.wire.api import ScanDetail

PAGE_SIZE = 50
#: Findings of one scan on a page.
FINDINGS_PAGE_SIZE = 200
#: A stage that counts: `triage 3/10`.
_COUNT = re.compile(r"\b(\d{1,9})/(\d{1,9})\b")
_EXPORTS = {"sarif": export_sarif, "csv": export_csv, "json": export_json}

router = APIRouter(prefix="/ui", route_class=PageRoute)


@router.get("/scans")
async def list_scans(request: Request, visitor: Acting, cursor: UUID | None = None) -> Response:
    """The tenant's scans, newest first."""
    rows = await scans.list_scans(visitor.session, kind=None, after=cursor, limit=PAGE_SIZE)
    items = [summarize_scan(row) for row in rows[:PAGE_SIZE]]
    next_page = items[-1].task_id if len(rows) > PAGE_SIZE else None
    return render(request, "scans.html", visitor=visitor, items=items, next_page=next_page)


@router.get("/scans/{task_id}")
async def show_scan(task_id: UUID, request: Request, visitor: Acting) -> Response:
    """One scan; while it runs, the page follows it."""
    scan = await describe_scan(visitor.session, task_id)
    artifacts = await scans.list_artifacts(visitor.session, task_id)
    return render(request, "scan.html", **_context(visitor, scan), artifacts=artifacts)


@router.get("/scans/{task_id}/findings")
async def show_findings(
    task_id: UUID, request: Request, services: Services, visitor: Acting, cursor: UUID | None = None
) -> Response:
    """What a scan has found so far, the highest rank first, while a model may still be asked about it.

    `cursor` is the occurrence that the page before ended with.
    """
    scan = await describe_scan(visitor.session, task_id)
    rows = await findings.list_scan_findings(visitor.session, task_id, after=cursor, limit=FINDINGS_PAGE_SIZE)
    on_page = rows[:FINDINGS_PAGE_SIZE]
    awaiting = await scans.list_awaiting(visitor.session, task_id)
    shown = [row[0].id for row in on_page]
    concealed = await list_concealed(visitor.session, Filters(), visitor, shown)
    triage = services.settings.triage
    items = [to_finding_answer(row, triage, awaiting) for row in on_page]
    items = [conceal(item) if item.id in concealed else item for item in items]
    next_page = items[-1].occurrence.id if len(rows) > FINDINGS_PAGE_SIZE else None
    return render(
        request,
        "scan_findings.html",
        visitor=visitor,
        scan=scan,
        items=items,
        cursor=cursor,
        next_page=next_page,
    )


@router.get("/scans/{task_id}/events")
async def follow(task_id: UUID, request: Request, services: Services, visitor: SignedIn) -> Response:
    """The changing part of that page, as server-sent events."""
    async with services.tenant(visitor.caller.tenant_id) as session:
        await scans.get_scan(session, task_id)
    show = partial(_render_part, request, visitor)
    return services.streams.answer(
        visitor.caller.tenant_id, follow_scan(services, visitor.caller, task_id, show)
    )


def _render_part(request: Request, visitor: Visitor, scan: ScanDetail, artifacts: Sequence[Artifact]) -> str:
    return render_text(request, "scan_part.html", **_context(visitor, scan), artifacts=artifacts)


def _context(visitor: Visitor, scan: ScanDetail) -> JsonObject:
    """What the templates of a scan need beside its artifacts."""
    word, _, rest = scan.stage.partition(" ")
    rest = rest if any(map(str.isdigit, rest)) else ""
    counted = _COUNT.search(scan.stage)
    return {
        "visitor": visitor,
        "scan": scan,
        "is_running": scan.state not in TERMINAL,
        #: The stage's words, translated where they are known.
        "stage_key": f"stage_{word}" if f"stage_{word}" in load_texts() else None,
        "stage_rest": rest,
        "done": (int(counted[1]), int(counted[2])) if counted else None,
    }


@router.get("/scans/{task_id}/artifacts/{name}")
async def get_artifact(task_id: UUID, name: ArtifactName, services: Services, visitor: SignedIn) -> Response:
    """What a tool has written, as a file."""
    return await send_artifact(services, visitor.caller, task_id, name)


@router.get("/scans/{task_id}/export/{form}")
async def export_scan(
    task_id: UUID, form: Literal["sarif", "csv", "json"], services: Services, visitor: SignedIn
) -> Response:
    """The findings of a scan as a file."""
    return await _EXPORTS[form](services, visitor.caller, task_id)


@router.post("/scans/{task_id}/cancel")
async def cancel_scan(task_id: UUID, request: Request, services: Services, visitor: Acting) -> Response:
    """Stop a scan. The worker hears of it at its next heartbeat."""
    await read_form(request, services, COOKIE)
    check_scope(visitor.caller, "scan")
    await scans.get_scan(visitor.session, task_id)
    await queue.cancel(visitor.session, task_id)
    return RedirectResponse(f"/ui/scans/{task_id}", 303)
