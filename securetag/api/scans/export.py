"""A whole scan as one file: SARIF, CSV or JSON."""

from __future__ import annotations

import asyncio
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from securetag.api.findings import repository as findings
from securetag.api.findings.repository import FindingRow
from securetag.api.findings.schemas import to_finding_answer
from securetag.api.scans.service import describe_scan
from securetag.api.services import ApiServices
from securetag.db.repositories.keys import Principal
from securetag.errors import ConflictError
from securetag.scanning.sarif.reported import report_answer
from securetag.scanning.sarif.write import SarifLimits, describe_run, write_sarif
from securetag.wire.api import FindingAnswer, ScanDetail
from securetag.wire.csv import to_csv

SARIF_TYPE = "application/sarif+json"
CSV_TYPE = "text/csv; charset=utf-8"
#: Findings of one file, those of the highest rank.
MAX_EXPORTED = SarifLimits().results
_FINDINGS = TypeAdapter(list[FindingAnswer])


async def export_sarif(services: ApiServices, caller: Principal, task_id: UUID) -> Response:
    """Return the scan as SARIF 2.1.0. Raises NotFoundError, and ConflictError before it is completed."""
    async with services.tenant(caller.tenant_id) as session:
        scan, rows = await _load(session, task_id)

    def write() -> bytes:
        reported = [report_answer(to_finding_answer(row, services.settings.triage)) for row in rows]
        return write_sarif(reported, describe_run(scan), total=scan.findings)

    # Seconds of work for a large scan: beside the event loop.
    return _file(await asyncio.to_thread(write), SARIF_TYPE, f"{task_id}.sarif")


async def export_csv(services: ApiServices, caller: Principal, task_id: UUID) -> Response:
    """Return the scan's findings as CSV. Raises NotFoundError, and ConflictError before it is completed."""
    async with services.tenant(caller.tenant_id) as session:
        _, rows = await _load(session, task_id)
    triage = services.settings.triage
    text = await asyncio.to_thread(lambda: to_csv(to_finding_answer(row, triage) for row in rows))
    return _file(text.encode("utf-8", "replace"), CSV_TYPE, f"{task_id}.csv")


async def export_json(services: ApiServices, caller: Principal, task_id: UUID) -> Response:
    """Return the scan's findings as JSON. Raises NotFoundError, and ConflictError before it is completed."""
    async with services.tenant(caller.tenant_id) as session:
        _, rows = await _load(session, task_id)
    triage = services.settings.triage

    def write() -> bytes:
        return _FINDINGS.dump_json([to_finding_answer(row, triage) for row in rows], indent=2)

    return _file(await asyncio.to_thread(write), "application/json", f"{task_id}.json")


async def _load(session: AsyncSession, task_id: UUID) -> tuple[ScanDetail, list[FindingRow]]:
    scan = await describe_scan(session, task_id)
    if scan.state != "completed":
        # A file without findings would close every alert at whoever takes it.
        raise ConflictError(
            f"the scan is {scan.state}: only a completed one can be exported",
            hint=f"Wait until GET /scans/{task_id} says that it is completed.",
        )
    rows = await findings.list_scan_findings(session, task_id, after=None, limit=MAX_EXPORTED)
    return scan, list(rows[:MAX_EXPORTED])


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="securetag-{name}"'}
    return Response(content, media_type=media_type, headers=headers)
