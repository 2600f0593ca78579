"""Accept a scan of a web application: only of a target whose ownership is proven, and one at a time."""

from __future__ import annotations

import logging

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from securetag.api.codeaudit.service import PRIORITIES
from securetag.api.idempotency import once
from securetag.api.projects import repository as projects
from securetag.api.services import ApiServices
from securetag.api.targets import repository as targets
from securetag.api.targets.endpoints import to_target_answer
from securetag.db import queue
from securetag.db.repositories import quotas
from securetag.db.repositories.keys import Principal
from securetag.errors import ConflictError
from securetag.scanning.web.addresses import Target, parse_target
from securetag.wire.web import WebScanAccepted, WebScanBody

#: Seconds of one attempt: two scanners for `web.timeout_s` each, and the triage.
TIME_LIMIT_S = 3_600

log = logging.getLogger(__name__)


async def accept_web_scan(
    services: ApiServices, caller: Principal, body: WebScanBody, key: str | None
) -> Response:
    """202 with the task's id. Raises InputError, NotFoundError, ConflictError, DatabaseUnavailableError."""
    target = parse_target(body.url)
    async with services.tenant(caller.tenant_id) as session:

        async def work() -> WebScanAccepted:
            return await _enqueue(services, session, caller, body, target)

        return await once(
            session,
            caller.tenant_id,
            "POST /scans/web",
            key,
            body,
            work,
            status=202,
            location=lambda accepted: f"/scans/{accepted['task_id']}",
        )


async def _enqueue(
    services: ApiServices, session: AsyncSession, caller: Principal, body: WebScanBody, target: Target
) -> WebScanAccepted:
    row = await targets.lock_target(session, target.origin)
    if not to_target_answer(row, services.settings.web.proof_days).verified:
        raise ConflictError(
            f"it isn't proven, or no longer, that {row.origin} is yours",
            hint=f"POST /targets/{row.id}/verify looks for the proof; GET /targets says where it goes.",
        )
    if (open_scan := await targets.find_open_scan(session, row.origin)) is not None:
        raise ConflictError(
            f"scan {open_scan} of {row.origin} hasn't ended",
            hint=f"Wait for GET /scans/{open_scan}, or cancel it.",
        )
    project = body.project or target.host
    project_id = await projects.ensure_project(session, caller.tenant_id, project)
    params = {"url": body.url, "origin": row.origin, **({"lang": body.lang} if body.lang else {})}
    await quotas.charge_scan(session, caller.tenant_id, services.quotas, 0)
    task_id = await queue.enqueue(
        session,
        priority=PRIORITIES[body.priority],
        tenant_id=caller.tenant_id,
        project_id=project_id,
        kind="web",
        params=params,
        time_limit_s=TIME_LIMIT_S,
    )
    log.info("task %s of tenant %s: web scan of %s", task_id, caller.tenant_id, row.origin)
    return WebScanAccepted(
        task_id=task_id, project_id=project_id, project=project, target_id=row.id, url=body.url
    )
