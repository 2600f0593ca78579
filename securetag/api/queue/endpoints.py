"""`/queue`: what workers call. Scope `worker`, and after the claim the lease token."""

from __future__ import annotations

import asyncio
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from securetag.api.auth import require_scope
from securetag.api.errors import RESPONSES
from securetag.api.lease import verify
from securetag.api.paging import json_answer
from securetag.api.queue import service
from securetag.api.queue.protocol import OTHER_VERSION, check_protocol
from securetag.api.queue.results import ReceivedLines
from securetag.api.queue.schemas import ArtifactName, ContentSha256, LeaseToken
from securetag.api.receive import incoming, receive_raw
from securetag.api.schemas import refer_to
from securetag.api.services import Services
from securetag.db import queue
from securetag.wire.api import ArtifactAnswer
from securetag.wire.queue import (
    SHA256_HEADER,
    FindingsAnswer,
    FindingsRequest,
    HeartbeatAnswer,
    HeartbeatRequest,
    Lease,
    NextRequest,
    ResultAnswer,
    ResultRequest,
)

router = APIRouter(
    prefix="/queue",
    tags=["queue"],
    responses=RESPONSES | OTHER_VERSION,
    dependencies=[Depends(require_scope("worker")), Depends(check_protocol)],
)

_BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FINDINGS, _RESULT = (
    {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": refer_to(kind)}},
        }
    }
    for kind in (FindingsRequest, ResultRequest)
)


@router.post("/next", response_model=Lease, responses={204: {"description": "No work within `wait_s`."}})
async def lease_task(body: NextRequest, request: Request, services: Services) -> Response:
    """Lease one task, waiting for it if wished."""
    lease = await service.next_lease(services, body, request.is_disconnected)
    return json_answer(lease) if lease is not None else Response(status_code=204)


@router.post("/heartbeat", response_model=HeartbeatAnswer)
async def send_heartbeat(body: HeartbeatRequest, services: Services, token: LeaseToken = None) -> Response:
    """Extend the lease, say what is being done, hear whether the task was canceled."""
    lease = verify(token, body.task_id, *services.lease_keys)
    async with services.tenant(lease.tenant_id) as session:
        beat = await queue.heartbeat(
            session,
            lease,
            stage=body.stage.replace("\x00", ""),
            process_group=body.process_group,
            lease_s=services.settings.api.lease_s,
        )
    return json_answer(HeartbeatAnswer(lease_until=beat.lease_until, cancelled=beat.cancelled))


@router.post("/findings", response_model=FindingsAnswer, openapi_extra=_FINDINGS)
async def send_findings(request: Request, services: Services, token: LeaseToken = None) -> Response:
    """Store what the scanners have found, before a model is asked; the result brings the verdicts.

    The body is lines of JSON like that of a result. Repeated under the same lease it changes nothing.
    """
    api = services.settings.api
    with incoming(services.incoming_dir, api.max_result) as body:
        await receive_raw(request.stream(), body)
        received = await asyncio.to_thread(ReceivedLines, FindingsRequest, body.path, max_line=api.max_body)
        lease = verify(token, received.request.task_id, *services.lease_keys)
        stored = await queue.record_findings(
            services.engine, lease, received.request, findings=received, limit_s=api.result_timeout_s
        )
    return json_answer(stored)


@router.post("/result", response_model=ResultAnswer, openapi_extra=_RESULT)
async def send_result(request: Request, services: Services, token: LeaseToken = None) -> Response:
    """End an attempt: findings, verdicts and tool executions. 409 when sent twice.

    A body that is refused leaves nothing. One that an outage cut off may be sent again: what was stored of it
    stays, and the task ends when all of it is.

    The body is one line of JSON; further findings may follow, each on a line of its own, or the verdicts on
    those that were sent before.
    """
    api = services.settings.api
    # Kept in a file: results are large, and nobody without a key should have one parsed.
    with incoming(services.incoming_dir, api.max_result) as body:
        await receive_raw(request.stream(), body)
        received = await asyncio.to_thread(ReceivedLines, ResultRequest, body.path, max_line=api.max_body)
        lease = verify(token, received.request.task_id, *services.lease_keys)
        ended = await queue.record_result(
            services.engine,
            lease,
            received.request,
            findings=received,
            verdicts=received.verdicts,
            limit_s=api.result_timeout_s,
        )
    await service.drop_orphans(services, lease)
    return json_answer(ended)


@router.get(
    "/tasks/{task_id}/upload",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def download_upload(task_id: UUID, services: Services, token: LeaseToken = None) -> Response:
    """The archive, streamed."""
    lease = verify(token, task_id, *services.lease_keys)
    key, sha256, size = await service.upload_key_of(services, lease)
    return StreamingResponse(
        services.storage.chunks(key),
        media_type="application/octet-stream",
        headers={"Content-Length": str(size), SHA256_HEADER: sha256},
    )


@router.put("/tasks/{task_id}/artifacts/{name}", response_model=ArtifactAnswer, openapi_extra=_BYTES)
async def store_artifact(
    task_id: UUID,
    name: ArtifactName,
    request: Request,
    services: Services,
    sha256: ContentSha256,
    token: LeaseToken = None,
) -> Response:
    """Store a tool's output. The same bytes again change nothing; a later attempt's replace them."""
    lease = verify(token, task_id, *services.lease_keys)
    stored = await service.is_stored(services, lease, name, sha256)
    if stored is not None:
        return json_answer(stored)
    with incoming(services.incoming_dir, services.settings.api.max_artifact) as body:
        await receive_raw(request.stream(), body)
        return json_answer(await service.store_artifact(services, lease, name, sha256, body))
