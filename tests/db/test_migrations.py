"""The migrations make what the models say, can be taken back, and work without a superuser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from postgres import TEMPLATE, Database
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import Connection, make_url, text

from securetag.db import upgrade
from securetag.db.base import SCHEMA, Base
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import (
    API,
    BACKUP,
    HARVEST,
    OWNER,
    create_engine,
    create_sync_engine,
    cross_tenant_transaction,
)
from securetag.errors import DatabaseUnavailableError


@pytest.fixture
def empty(pg_cluster: Cluster) -> Iterator[str]:
    """Name of a database without a schema."""
    name = f"empty_{uuid4().hex[:8]}"
    pg_cluster.create_database(name)
    yield name
    pg_cluster.drop_database(name)


@contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    engine = create_sync_engine(dsn, OWNER)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def constraints(connection: Connection) -> set[tuple[str, str, str]]:
    """(table, name, definition) of every constraint; Alembic's comparison leaves checks out."""
    rows = connection.execute(
        text(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'securetag'::regnamespace AND conrelid::regclass::text !~ 'alembic'"
        )
    )
    return {(table, name, definition) for table, name, definition in rows}


def test_up_down_up_equals_the_models(pg_cluster: Cluster, empty: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    dsn = pg_cluster.dsn(empty, OWNER)
    assert upgrade.current_revision(dsn) is None
    assert upgrade.upgrade(dsn) == upgrade.head_revision()
    with connected(dsn) as connection:
        first = constraints(connection)
    assert upgrade.downgrade(dsn, "base") == "base"
    with connected(dsn) as connection:
        left = connection.scalars(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'securetag'::regnamespace"
                " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'securetag'::regnamespace"
            )
        )
        assert {name for name in left if not name.startswith("alembic")} == set()
    assert upgrade.upgrade(dsn) == upgrade.upgrade(dsn) == upgrade.head_revision()
    with connected(dsn) as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "version_table_schema": SCHEMA,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
            },
        )
        assert compare_metadata(context, Base.metadata) == []
        assert constraints(connection) == first


def test_checks_equal_the_models(pg_cluster: Cluster, empty: str, pg_database: Database) -> None:
    with connected(pg_cluster.dsn(empty, OWNER)) as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        for extension in ("pg_trgm", "btree_gin"):
            connection.execute(text(f"CREATE EXTENSION {extension} SCHEMA {SCHEMA}"))
        Base.metadata.create_all(connection)
        by_models = constraints(connection)
        connection.rollback()
    with connected(pg_database.dsn_owner) as connection:
        assert constraints(connection) == by_models


def test_a_server_without_a_superuser(pg_cluster: Cluster) -> None:
    """As on a managed server: one user with CREATEROLE that owns the database, one DSN for everything.

    The roles exist in the cluster already, made by its superuser, so this user is given what it
    would have had from making them itself.
    """
    name, user, password = f"managed_{uuid4().hex[:8]}", f"deploy_{uuid4().hex[:8]}", "secret"
    superuser = pg_cluster.dsn("postgres", SUPERUSER)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(
            SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(Identifier(user), Literal(password))
        )
        for role in (OWNER, API, HARVEST):
            connection.execute(
                SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE").format(
                    Identifier(role), Identifier(user)
                )
            )
    pg_cluster.create_database(name, owner=user)
    url = make_url(pg_cluster.dsn(name)).set(username=user, password=password)
    dsn = url.render_as_string(hide_password=False)
    try:
        assert upgrade.upgrade(dsn) == upgrade.head_revision()
        for role in (OWNER, API, HARVEST, BACKUP):
            engine = create_sync_engine(dsn, role)
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT current_user")) == role
                connection.execute(text("RESET ROLE"))
                assert connection.scalar(text("SELECT current_user")) == role
            engine.dispose()
    finally:
        pg_cluster.drop_database(name)
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(SQL("DROP ROLE {}").format(Identifier(user)))


@pytest.mark.anyio
async def test_the_api_knows_the_revision_it_needs(pg_cluster: Cluster, empty: str) -> None:
    engine = create_engine(pg_cluster.dsn(empty, API))
    dsn = pg_cluster.dsn(empty, OWNER)
    assert not await upgrade.is_at_head(engine)
    with pytest.raises(DatabaseUnavailableError, match="schema"):
        async with cross_tenant_transaction(engine) as session:
            await session.execute(text("SELECT * FROM securetag.authenticate('x')"))
    upgrade.upgrade(dsn, "0001_tables")
    assert not await upgrade.is_at_head(engine)
    upgrade.upgrade(dsn)
    assert await upgrade.is_at_head(engine)
    await engine.dispose()


def test_every_tenants_table_is_forced_and_no_role_bypasses(pg_database: Database) -> None:
    with psycopg.connect(pg_database.dsn_api) as connection:
        open_tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'securetag'::regnamespace AND relkind = 'r'"
            " AND NOT (relrowsecurity AND relforcerowsecurity)"
        ).fetchall()
        assert {name for (name,) in open_tables} == {"alembic_version", "model", "worker_heartbeat"}
        assert (
            connection.execute(
                "SELECT rolname FROM pg_roles WHERE rolname LIKE 'securetag%'"
                " AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
            ).fetchall()
            == []
        )
        definers = connection.execute(
            "SELECT proname, pg_get_userbyid(proowner), proconfig,"
            " has_function_privilege('public', oid, 'EXECUTE')"
            " FROM pg_proc WHERE pronamespace = 'securetag'::regnamespace AND prosecdef ORDER BY 1"
        ).fetchall()
    fixed = ["search_path=pg_catalog, pg_temp"]
    deleting = [f"delete_{what}" for what in ("findings", "project", "scan", "tenant")]
    webhooks = ("claim_deliveries", "count_webhooks", "task_webhooks")
    names = ("authenticate", "claim", *deleting, "open_tasks", "reap", "search_listing", "tenants", *webhooks)
    assert [(name, owner, config[:1], public) for name, owner, config, public in definers] == [
        (name, "securetag_gate", fixed, False) for name in sorted(names)
    ]


def test_the_template_is_at_head(pg_cluster: Cluster) -> None:
    assert upgrade.current_revision(pg_cluster.dsn(TEMPLATE, OWNER)) == upgrade.head_revision()
