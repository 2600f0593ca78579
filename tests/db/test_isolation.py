"""Row-level security: what a tenant, nobody, the harvest and the owner see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from postgres import Database
from rows import Place, make_place, make_task
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db.engine import create_engine, cross_tenant_transaction, tenant_transaction
from securetag.db.models import ApiKey, Base, Project
from securetag.settings import Settings
from securetag.settings.sections import ApiSettings

pytestmark = pytest.mark.anyio


async def test_a_tenant_sees_only_its_own(db: AsyncEngine) -> None:
    await make_place(db)
    b = await make_place(db)
    async with tenant_transaction(db, b.tenant_id) as session:
        assert (await session.scalars(text("SELECT id FROM securetag.project"))).all() == [b.project_id]
        assert (await session.scalars(text("SELECT id FROM securetag.tenant"))).all() == [b.tenant_id]
        changed = await session.scalars(text("UPDATE securetag.project SET name = 'mine' RETURNING id"))
        assert changed.all() == [b.project_id]
    async with cross_tenant_transaction(db) as session:
        for table in Base.metadata.sorted_tables:
            if table.name != "worker_heartbeat":
                assert await session.scalar(select(func.count()).select_from(table)) == 0, table


async def test_a_tenant_cannot_write_for_another(db: AsyncEngine) -> None:
    a, b = await make_place(db), await make_place(db)
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with tenant_transaction(db, b.tenant_id) as session:
            session.add(Project(tenant_id=a.tenant_id, name="planted"))


async def test_a_tenant_cannot_point_at_anothers_rows(db: AsyncEngine) -> None:
    """Foreign keys are checked without row-level security, so they carry the tenant."""
    a, b = await make_place(db), await make_place(db)
    with pytest.raises(IntegrityError, match="foreign key"):
        await make_task(db, Place(a.tenant_id, b.project_id))


@pytest.mark.parametrize(
    "table",
    [
        "task_event",
        "audit_log",
        "triage_verdict",
        "feedback",
        "feedback_withdrawal",
        "finding_note",
        "finding_occurrence",
    ],
)
async def test_history_is_append_only(db: AsyncEngine, table: str) -> None:
    place = await make_place(db)
    for statement in (
        f"UPDATE securetag.{table} SET tenant_id = tenant_id",
        f"DELETE FROM securetag.{table}",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with tenant_transaction(db, place.tenant_id) as session:
                await session.execute(text(statement.format(table)))


async def test_the_api_cannot_become_anybody_else(db: AsyncEngine) -> None:
    for role in ("securetag_owner", "securetag_gate", "securetag_harvest", "postgres"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with cross_tenant_transaction(db) as session:
                await session.execute(text(f"SET ROLE {role}"))


async def test_the_tenant_ends_with_its_transaction(pg_database: Database) -> None:
    engine = create_engine(Settings(database_url=pg_database.dsn_api, api=ApiSettings(pool_size=1)))  # type: ignore[arg-type]
    place = await make_place(engine)
    async with tenant_transaction(engine, place.tenant_id) as session:
        assert await session.scalar(text("SELECT count(*) FROM securetag.project")) == 1
    async with cross_tenant_transaction(engine) as session:
        assert await session.scalar(text("SELECT count(*) FROM securetag.project")) == 0
        assert await session.scalar(text("SELECT current_setting('app.tenant_id', true)")) == ""
    await engine.dispose()


async def test_the_owner_sees_no_tenants_rows_either(db: AsyncEngine, pg_database: Database) -> None:
    await make_place(db)
    with psycopg.connect(pg_database.dsn_owner) as connection:
        assert connection.execute("SELECT count(*) FROM securetag.project").fetchone() == (0,)


async def test_authenticate_knows_live_keys_alone(db: AsyncEngine) -> None:
    place = await make_place(db)
    past = datetime.now(UTC) - timedelta(days=1)
    prefixes = ["live", "revoked", "expired"]
    async with tenant_transaction(db, place.tenant_id) as session:
        for name, changes in zip(prefixes, ({}, {"revoked_at": past}, {"expires_at": past}), strict=True):
            session.add(
                ApiKey(
                    tenant_id=place.tenant_id,
                    name=name,
                    prefix=name.rjust(12, "-"),
                    digest=bytes(32),
                    scopes=["read"],
                    **changes,
                )
            )
    query = text("SELECT name, tenant_id FROM securetag.authenticate(:prefix)")
    async with cross_tenant_transaction(db) as session:
        rows = [
            row for name in prefixes for row in await session.execute(query, {"prefix": name.rjust(12, "-")})
        ]
    assert [tuple(row) for row in rows] == [("live", place.tenant_id)]


async def test_tenants_come_in_pages(db: AsyncEngine) -> None:
    made = {(await make_place(db)).tenant_id for _ in range(3)}
    seen, after = set(), None
    while True:
        async with cross_tenant_transaction(db) as session:
            rows = (
                await session.execute(text("SELECT id FROM securetag.tenants(:after, 2)"), {"after": after})
            ).all()
        if not rows:
            break
        assert len(rows) <= 2
        seen |= {row.id for row in rows}
        after = rows[-1].id
    assert made <= seen
