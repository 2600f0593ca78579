"""Accept the results of another tool: look at the SARIF before anything is kept, then queue the task."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from securetag.api.codeaudit.schemas import ImportForm
from securetag.api.codeaudit.service import enqueue_upload, read_form, store_upload
from securetag.api.idempotency import once
from securetag.api.receive import Incoming, incoming, receive_form
from securetag.api.services import ApiServices
from securetag.db.repositories.keys import Principal
from securetag.errors import LimitError
from securetag.records import JsonObject
from securetag.scanning.sarif.bundle import write_bundle
from securetag.scanning.sarif.read import SarifReport, read_sarif
from securetag.scanning.unpack import inspect
from securetag.wire.imports import ImportAccepted

OPERATION = "POST /findings/import"
#: Of the request, for OpenAPI.
FORM: JsonObject = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "project"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "SARIF 2.1.0."},
                        "source": {
                            "type": "string",
                            "format": "binary",
                            "description": "A zip archive of the code that the tool has read.",
                        },
                        "project": {"type": "string", "description": "Name; made where it doesn't exist."},
                        "params": {
                            "type": "string",
                            "description": 'A JSON object: {"branch": "main", "partial": false}.',
                        },
                    },
                }
            }
        },
    }
}


async def receive_import(
    services: ApiServices, caller: Principal, request: Request, key: str | None
) -> Response:
    """202 with the task's id. Raises InputError, LimitError, ArchiveError, DatabaseUnavailableError."""
    limits = services.settings.api
    with ExitStack() as files:
        report = files.enter_context(incoming(services.incoming_dir, limits.max_sarif))
        source = files.enter_context(incoming(services.incoming_dir, limits.max_upload))
        bundle = files.enter_context(incoming(services.incoming_dir, 2 * (report.limit + source.limit)))
        filename, texts = await receive_form(
            request.stream(), request.headers, ("project", "params"), report, {"source": source}
        )
        form = read_form(texts, ImportForm)
        code = source.path if source.size else None
        read = await asyncio.to_thread(_read_report, report.path, limits.max_sarif_results)
        summary = await asyncio.to_thread(inspect, code, services.archive_limits) if code else None
        await asyncio.to_thread(_pack, bundle, report.path, code)
        params = form.params.model_dump(mode="json", exclude_defaults=True)
        await store_upload(services, caller, OPERATION, key, bundle)
        async with services.tenant(caller.tenant_id) as session:

            async def work() -> ImportAccepted:
                project_id, task_id = await enqueue_upload(
                    services, session, caller, "import", bundle, filename, form.project, params
                )
                return ImportAccepted(
                    task_id=task_id,
                    project_id=project_id,
                    project=form.project,
                    sha256=report.sha256,
                    size=report.size,
                    files=summary.files if summary else 0,
                    results=len(read.results),
                    left_out=dict(read.left_out.items()),
                    tools=read.tools,
                )

            accepted = await once(
                session,
                caller.tenant_id,
                OPERATION,
                key,
                {"project": form.project, "params": params, "sha256": bundle.sha256},
                work,
                status=202,
                location=lambda body: f"/scans/{body['task_id']}",
            )
    services.metrics.uploads.inc(bundle.size)
    return accepted


def _read_report(path: Path, max_results: int) -> SarifReport:
    """Return what the file reports. Raises InputError, LimitError."""
    report = read_sarif(path.read_bytes())
    if len(report.results) > max_results:
        raise LimitError(
            f"the file has {len(report.results):,} results, and {max_results:,} are taken",
            hint="Let the tool write a file for each part of the project, or report less.",
        )
    return report


def _pack(bundle: Incoming, report: Path, source: Path | None) -> None:
    packed = bundle.path.with_suffix(".pack")
    try:
        write_bundle(packed, report, source)
        with packed.open("rb") as content:
            while piece := content.read(1 << 20):
                bundle.write(piece)
    finally:
        packed.unlink(missing_ok=True)
    bundle.flush()
