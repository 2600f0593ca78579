"""`/scans`: state, findings, canceling; scans of web applications."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from securetag.api.auth import Admin, Reader, Scanner
from securetag.api.codeaudit.schemas import ProjectFilter
from securetag.api.errors import RESPONSES
from securetag.api.findings import repository as findings
from securetag.api.findings.listing import FindingFilter
from securetag.api.findings.schemas import RuleFilter, SeverityFilter, VerdictFilter, to_finding_answer
from securetag.api.idempotency import IdempotencyKey, once
from securetag.api.paging import Cursor, Limit, json_answer, make_page
from securetag.api.queue.schemas import ArtifactName
from securetag.api.reading import Reading
from securetag.api.scans import repository as scans
from securetag.api.scans.artifacts import send_artifact
from securetag.api.scans.detail import encode_detail
from securetag.api.scans.export import CSV_TYPE, SARIF_TYPE, export_csv, export_sarif
from securetag.api.scans.following import follow_scan
from securetag.api.scans.repository_scan import accept_git_scan
from securetag.api.scans.service import list_page, summarize_scan
from securetag.api.scans.web import accept_web_scan
from securetag.api.services import Services
from securetag.api.streams import EVENT_STREAM
from securetag.db import queue
from securetag.db.deletion import delete_scan
from securetag.wire.api import ArtifactAnswer, FindingAnswer, ScanAnswer, ScanDetail
from securetag.wire.base import Page
from securetag.wire.repositories import GitScanAccepted, GitScanBody
from securetag.wire.web import WebScanAccepted, WebScanBody

router = APIRouter(prefix="/scans", tags=["scans"], responses=RESPONSES)


@router.post("/web", response_model=WebScanAccepted, status_code=202)
async def start_web_scan(
    body: WebScanBody, services: Services, caller: Scanner, key: IdempotencyKey = None
) -> Response:
    """Scan a web application. It must be a target whose ownership is proven (`/targets`).

    409 where it isn't, or where a scan of it hasn't ended.
    """
    return await accept_web_scan(services, caller, body, key)


@router.post("/git", response_model=GitScanAccepted, status_code=202)
async def start_git_scan(
    body: GitScanBody, services: Services, caller: Scanner, key: IdempotencyKey = None
) -> Response:
    """Scan a commit of a git repository that everybody may read. A worker fetches it by https.

    The Location header says where the scan stands.
    """
    return await accept_git_scan(services, caller, body, key)


@router.get("/web", response_model=Page[ScanAnswer])
async def list_web_scans(
    read: Reading,
    limit: Limit = 50,
    cursor: Cursor = None,
    project: ProjectFilter = None,
) -> Response:
    """The tenant's web scans, newest first."""
    return await list_page(read.session, "web", limit=limit, cursor=cursor, project=project)


@router.get("/{task_id}", response_model=ScanDetail)
async def get_scan(task_id: UUID, read: Reading) -> Response:
    """A scan: its state, what ran, what it found by severity and verdict."""
    return Response(await encode_detail(read, task_id), media_type="application/json")


@router.get(
    "/{task_id}/events",
    responses={200: {"content": EVENT_STREAM}},
    response_class=Response,
)
async def follow_scan_events(task_id: UUID, services: Services, caller: Reader) -> Response:
    """The scan as server-sent events: an event `scan` with its state at each change, then `end`.

    A stream that breaks may be opened again: each event is the whole scan, as `GET /scans/{task_id}` has it.
    """
    async with services.tenant(caller.tenant_id) as session:
        await scans.get_scan(session, task_id)
    events = follow_scan(services, caller, task_id, lambda scan, _: scan.model_dump_json())
    return services.streams.answer(caller.tenant_id, events)


@router.get("/{task_id}/artifacts", response_model=Page[ArtifactAnswer])
async def list_artifacts(task_id: UUID, read: Reading) -> Response:
    """What the tools of the scan have written, by name."""
    await scans.get_scan(read.session, task_id)
    rows = await scans.list_artifacts(read.session, task_id)
    return json_answer(Page(items=[ArtifactAnswer.model_validate(row) for row in rows]))


@router.get(
    "/{task_id}/artifacts/{name}",
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}},
    response_class=Response,
)
async def get_artifact(task_id: UUID, name: ArtifactName, services: Services, caller: Reader) -> Response:
    """One of them, as the tool wrote it. It may quote the scanned code."""
    return await send_artifact(services, caller, task_id, name)


@router.get(
    "/{task_id}/sarif",
    responses={200: {"content": {SARIF_TYPE: {"schema": {"type": "object"}}}}},
    response_class=Response,
)
async def get_scan_sarif(task_id: UUID, services: Services, caller: Reader) -> Response:
    """The scan as SARIF 2.1.0, within the limits of GitHub code scanning. 409 before it is completed."""
    return await export_sarif(services, caller, task_id)


@router.get(
    "/{task_id}/findings",
    response_model=Page[FindingAnswer],
    responses={200: {"content": {CSV_TYPE: {"schema": {"type": "string"}}}}},
)
async def get_scan_findings(
    task_id: UUID,
    services: Services,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    severity: SeverityFilter = None,
    verdict: VerdictFilter = None,
    rule_id: RuleFilter = None,
    form: Annotated[
        Literal["json", "csv"],
        Query(alias="format", description="`csv`: the whole scan by rank, without filters and pages."),
    ] = "json",
) -> Response:
    """What this scan found, each with the model's verdict in this scan and the feedback that stands.

    While the scan runs, those that a model is asked about are `being_triaged`.
    """
    if form == "csv":
        return await export_csv(services, caller, task_id)
    async with services.tenant(caller.tenant_id) as session:
        await scans.get_scan(session, task_id)
        wanted = FindingFilter(severity=severity, decision=verdict, rule_id=rule_id)
        rows = await findings.list_scan_findings(session, task_id, wanted, after=cursor, limit=limit)
        awaiting = await scans.list_awaiting(session, task_id)
    items = [to_finding_answer(row, services.settings.triage, awaiting) for row in rows]
    return json_answer(make_page(items, limit, [item.occurrence.id for item in items]))


@router.post("/{task_id}/cancel", response_model=ScanAnswer)
async def cancel_scan(
    task_id: UUID, services: Services, caller: Scanner, key: IdempotencyKey = None
) -> Response:
    """Stop a scan. The worker hears of it at its next heartbeat. 409 where it has already ended."""
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> ScanAnswer:
            await scans.get_scan(session, task_id)
            await queue.cancel(session, task_id)
            session.expire_all()
            return summarize_scan(await scans.get_scan(session, task_id))

        return await once(
            session, caller.tenant_id, f"POST /scans/{task_id}/cancel", key, None, work, status=200
        )


@router.delete("/{task_id}", status_code=204)
async def remove_scan(task_id: UUID, services: Services, caller: Admin) -> None:
    """Delete a scan that has ended: its bytes, and the findings that no other scan has reported."""
    await delete_scan(services.engine, services.storage, caller.tenant_id, task_id, actor=caller.name)
