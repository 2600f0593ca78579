"""`/tools/status`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from securetag.api.errors import RESPONSES
from securetag.api.paging import json_answer
from securetag.api.reading import Reading
from securetag.api.tools import repository as tools
from securetag.wire.api import ToolAnswer, ToolsStatus
from securetag.wire.queue import LEASE_S

router = APIRouter(prefix="/tools", tags=["tools"], responses=RESPONSES)


@router.get("/status", response_model=ToolsStatus)
async def get_tools_status(read: Reading) -> Response:
    """How the tools have been doing, what waits, and whether a worker is alive."""
    runs = await tools.count_runs(read.session)
    states = await tools.count_states(read.session)
    # An idle worker is heard of when it asks for work; two leases cover its longest wait.
    alive, seen_at = await tools.list_workers(read.session, 2 * LEASE_S)
    return json_answer(
        ToolsStatus(
            tools=[ToolAnswer.model_validate(run) for run in runs],
            tasks=states,
            workers=alive,
            worker_seen_at=seen_at,
        )
    )
