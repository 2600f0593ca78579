"""Row-level security: what a tenant, nobody, the harvest and the owner see."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from securetag.db.engine import gate_transaction, tenant_transaction
from securetag.db.models import Project, Tenant

pytestmark = pytest.mark.anyio


async def tenant(db: AsyncEngine) -> UUID:
    key = uuid7()
    async with tenant_transaction(db, key) as session:
        session.add(Tenant(id=key, name=f"tenant {key}"))
    return key


async def test_a_tenant_sees_only_its_own(db: AsyncEngine) -> None:
    a, b = await tenant(db), await tenant(db)
    async with tenant_transaction(db, a) as session:
        session.add(Project(tenant_id=a, name="shop"))
    async with tenant_transaction(db, b) as session:
        assert await session.scalar(text("SELECT count(*) FROM securetag.project")) == 0
        assert await session.scalar(text("SELECT count(*) FROM securetag.tenant")) == 1
        changed = await session.execute(text("UPDATE securetag.project SET name = 'mine'"))
        assert changed.rowcount == 0
    async with gate_transaction(db) as session:
        assert await session.scalar(text("SELECT count(*) FROM securetag.project")) == 0


async def test_a_tenant_cannot_write_for_another(db: AsyncEngine) -> None:
    a, b = await tenant(db), await tenant(db)
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with tenant_transaction(db, b) as session:
            session.add(Project(tenant_id=a, name="planted"))
