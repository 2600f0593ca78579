"""Is it alive, does the database answer, and what has it counted. Only the last asks for a key."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from securetag.api.auth import Operator
from securetag.api.errors import RESPONSES
from securetag.api.metrics import MEDIA_TYPE
from securetag.api.paging import json_answer
from securetag.api.services import Services
from securetag.errors import NotFoundError

#: Seconds after which a database that hasn't answered is called away.
CHECK_S = 0.8

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """`ok`, or the call answers a problem."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", response_model=Health)
async def check_process() -> Response:
    """The process answers. Says nothing of the database, so that its outage restarts no process."""
    return json_answer(Health())


@router.get("/healthz/db", response_model=Health, responses={503: RESPONSES[503]})
async def check_database(services: Services) -> Response:
    """PostgreSQL answers and its schema is the one that this api needs; else 503."""
    await services.check_soon(CHECK_S)
    return json_answer(Health())


@router.get(
    "/metrics",
    response_class=Response,
    responses=RESPONSES | {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def get_metrics(services: Services, _: Operator) -> Response:
    """Prometheus text format: counts alone, over all tenants. 404 where a port of its own has it."""
    if services.settings.api.metrics_port:
        raise NotFoundError("metrics are served on a port of their own", hint="Ask at api.metrics_port.")
    return Response(services.metrics.render(), media_type=MEDIA_TYPE)
