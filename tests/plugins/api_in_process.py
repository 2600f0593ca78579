"""The real api in this process, and a tenant that calls it: for annotations and for fixtures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db.repositories.keys import create_key
from securetag.db.repositories.tenants import create_tenant
from securetag.settings import LOCAL_PEPPER, Settings

TENANT_SCOPES = ("read", "scan", "feedback", "admin")


@dataclass
class Tenant:
    """A tenant with a client that holds all scopes of its own."""

    id: UUID
    key: str
    client: httpx.AsyncClient

    async def upload(
        self, content: bytes, project: str = "shop", key: str | None = None, **fields: str
    ) -> httpx.Response:
        return await self.client.post(
            "/codeaudit/upload",
            files={"file": ("shop.zip", content, "application/zip")},
            data={"project": project, **fields},
            headers={"Idempotency-Key": key} if key else {},
        )


@dataclass
class Api:
    app: FastAPI
    settings: Settings
    engine: AsyncEngine
    superuser: str
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        made = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://api",
            headers={"X-API-Key": key} if key else {},
        )
        self.clients.append(made)
        return made

    async def key(self, tenant_id: UUID, *scopes: str) -> str:
        return await create_key(self.engine, tenant_id, "test", scopes, LOCAL_PEPPER)

    async def tenant(self, *scopes: str) -> Tenant:
        tenant_id = await create_tenant(self.engine, f"tenant {uuid4()}")
        key = await self.key(tenant_id, *(scopes or TENANT_SCOPES))
        return Tenant(tenant_id, key, self.client(key))

    async def worker(self) -> httpx.AsyncClient:
        return (await self.tenant("worker")).client

    async def operator(self) -> httpx.AsyncClient:
        return (await self.tenant("admin", "worker")).client

    def rows(self) -> dict[str, int]:
        """Table → number of rows, over all tenants."""
        with psycopg.connect(self.superuser) as connection:
            tables = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'securetag' ORDER BY 1"
            ).fetchall()
            count = {}
            for (table,) in tables:
                row = connection.execute(f"SELECT count(*) FROM securetag.{table}").fetchone()  # type: ignore[arg-type]
                assert row is not None
                count[table] = row[0]
        return count

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """As superuser, past row-level security."""
        with psycopg.connect(self.superuser) as connection:
            return connection.execute(sql, values).fetchall()  # type: ignore[call-overload, no-any-return]
