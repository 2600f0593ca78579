"""`/codeaudit`: upload an archive, list the scans of archives."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from securetag.api.auth import Scanner
from securetag.api.codeaudit.schemas import ProjectFilter, UploadForm
from securetag.api.codeaudit.service import accept, read_form
from securetag.api.errors import RESPONSES
from securetag.api.idempotency import IdempotencyKey
from securetag.api.paging import Cursor, Limit, json_answer
from securetag.api.projects import repository as projects
from securetag.api.reading import Reading
from securetag.api.receive import incoming, receive_form
from securetag.api.scans import repository as scans
from securetag.api.scans.service import describe_scan, list_page
from securetag.api.services import Services
from securetag.errors import NotFoundError
from securetag.wire.api import ScanAnswer, ScanDetail, UploadAccepted
from securetag.wire.base import Page

router = APIRouter(prefix="/codeaudit", tags=["codeaudit"], responses=RESPONSES)

_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "project"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "A zip or a tar.gz.",
                        },
                        "project": {"type": "string", "description": "Name; made where it doesn't exist."},
                        "params": {
                            "type": "string",
                            "description": 'A JSON object: {"lang": "es", "branch": "main", "commit": "…"}.',
                        },
                    },
                }
            }
        },
    }
}


@router.post("/upload", response_model=UploadAccepted, status_code=202, openapi_extra=_FORM)
async def upload_archive(
    request: Request, services: Services, caller: Scanner, key: IdempotencyKey = None
) -> Response:
    """Upload a zip archive or a tar.gz to be scanned. The Location header says where the scan stands."""
    # No UploadFile: it would spool the whole body before this line runs.
    with incoming(services.incoming_dir, services.settings.api.max_upload) as body:
        filename, texts = await receive_form(request.stream(), request.headers, ("project", "params"), body)
        return await accept(services, caller, body, filename, read_form(texts, UploadForm), key)


@router.get("/index", response_model=Page[ScanAnswer])
async def list_archive_scans(
    read: Reading,
    limit: Limit = 50,
    cursor: Cursor = None,
    project: ProjectFilter = None,
) -> Response:
    """The tenant's code audits, newest first."""
    return await list_page(read.session, "codeaudit", limit=limit, cursor=cursor, project=project)


@router.get("/latest", response_model=ScanDetail)
async def get_latest_archive_scan(read: Reading, project: ProjectFilter = None) -> Response:
    """The newest code audit, of one project or of all."""
    project_id = await projects.find_project(read.session, project) if project is not None else None
    rows = await scans.list_scans(read.session, kind="codeaudit", after=None, limit=1, project_id=project_id)
    if not rows:
        raise NotFoundError("nothing was uploaded yet", hint="POST /codeaudit/upload begins a scan.")
    return json_answer(await describe_scan(read.session, rows[0][0].id))


@router.get("/{task_id:uuid}", response_model=ScanDetail)
async def get_archive_scan(task_id: UUID, read: Reading) -> Response:
    """One code audit."""
    return json_answer(await describe_scan(read.session, task_id, kind="codeaudit"))
