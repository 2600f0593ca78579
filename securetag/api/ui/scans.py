"""`/ui/scans`: the newest scans, one scan with its coverage, its files, and stopping it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from securetag.api.auth import check_scope
from securetag.api.scans import repository as scans
from securetag.api.scans.export import export_csv, export_json, export_sarif
from securetag.api.scans.service import describe_scan, summarize_scan
from securetag.api.services import Services
from securetag.api.ui.forms import read_form
from securetag.api.ui.rendering import render
from securetag.api.ui.route import PageRoute
from securetag.api.ui.session import COOKIE, SignedIn
from securetag.db import queue

PAGE_SIZE = 50
#: States in which a scan still changes.
UNFINISHED = frozenset({"queued", "running", "retrying"})
_EXPORTS = {"sarif": export_sarif, "csv": export_csv, "json": export_json}

router = APIRouter(prefix="/ui", route_class=PageRoute)


@router.get("/")
async def begin() -> Response:
    """Where work begins: the findings."""
    return RedirectResponse("/ui/findings", 303)


@router.get("/scans")
async def list_scans(
    request: Request, services: Services, visitor: SignedIn, cursor: UUID | None = None
) -> Response:
    """The tenant's scans, newest first."""
    async with services.tenant(visitor.caller.tenant_id) as session:
        rows = await scans.list_scans(session, kind=None, after=cursor, limit=PAGE_SIZE)
    items = [summarize_scan(row) for row in rows[:PAGE_SIZE]]
    next_page = items[-1].task_id if len(rows) > PAGE_SIZE else None
    return render(request, "scans.html", visitor=visitor, items=items, next_page=next_page)


@router.get("/scans/{task_id}")
async def show_scan(task_id: UUID, request: Request, services: Services, visitor: SignedIn) -> Response:
    """One scan; while it runs, the page asks for its state again."""
    async with services.tenant(visitor.caller.tenant_id) as session:
        scan = await describe_scan(session, task_id)
    return render(request, "scan.html", visitor=visitor, scan=scan, is_running=scan.state in UNFINISHED)


@router.get("/scans/{task_id}/export/{form}")
async def export_scan(
    task_id: UUID, form: Literal["sarif", "csv", "json"], services: Services, visitor: SignedIn
) -> Response:
    """The findings of a scan as a file."""
    return await _EXPORTS[form](services, visitor.caller, task_id)


@router.post("/scans/{task_id}/cancel")
async def cancel_scan(task_id: UUID, request: Request, services: Services, visitor: SignedIn) -> Response:
    """Stop a scan. The worker hears of it at its next heartbeat."""
    await read_form(request, services, COOKIE)
    check_scope(visitor.caller, "scan")
    async with services.tenant(visitor.caller.tenant_id) as session:
        await scans.get_scan(session, task_id)
        await queue.cancel(session, task_id)
    return RedirectResponse(f"/ui/scans/{task_id}", 303)
