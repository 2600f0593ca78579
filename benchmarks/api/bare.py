"""`python -m benchmarks.api.bare DSN TENANT`: two endpoints without an api around them; prints the port.

Starlette, psycopg's own pool and `json`: the queries of the finding list and of the scan detail as the api
sends them, in one transaction as the tenant, their columns as JSON. No key, no filters, no checks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import uvicorn
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from securetag.api.findings.listing import IN_THE_CODE, FindingFilter, write_ids
from securetag.api.findings.pages import find_page
from securetag.api.scans.detail import EVENTS, EXECUTIONS, SCAN
from securetag.cli.services.ports import find_free_port
from securetag.db.plain import PlainQuery


def create_bare(dsn: str, tenant_id: str) -> Starlette:
    """Return the two endpoints."""
    pool = AsyncConnectionPool(dsn, min_size=4, max_size=4, open=False)
    ids_query = write_ids(FindingFilter(states=IN_THE_CODE), is_first=True)
    page_query = find_page(None).query

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    @asynccontextmanager
    async def as_tenant() -> AsyncIterator[psycopg.AsyncConnection]:
        async with pool.connection() as connection:
            await connection.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant_id])
            yield connection

    async def fetch(
        connection: psycopg.AsyncConnection, query: PlainQuery, **values: object
    ) -> Sequence[Any]:
        cursor = await connection.execute(query.text, {**query.values, **values})
        # Columns of several tables have the same name.
        names = [f"{column.name} {i}" for i, column in enumerate(cursor.description or ())]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    def answer(body: object) -> Response:
        return Response(json.dumps(body, default=str), media_type="application/json")

    async def list_findings(_: Request) -> Response:
        async with as_tenant() as connection:
            ids = [row["finding_id 0"] for row in await fetch(connection, ids_query, most=51)]
            rows = await fetch(connection, page_query, wanted_ids=ids[:50])
        return answer({"items": rows, "next_cursor": ids[49] if len(ids) > 50 else None})

    async def get_scan(request: Request) -> Response:
        task_id = UUID(request.path_params["task_id"])
        async with as_tenant() as connection:
            scan, runs, events = [
                await fetch(connection, query, wanted_id=task_id) for query in (SCAN, EXECUTIONS, EVENTS)
            ]
        return answer({**scan[0], "tool_executions": runs, "history": events})

    routes = [Route("/findings", list_findings), Route("/scans/{task_id}", get_scan)]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    port = find_free_port("127.0.0.1")
    print(port, flush=True)
    uvicorn.run(create_bare(*sys.argv[1:]), port=port, access_log=False, log_level="warning")
