"""A database of the version before, with rows in every table: upgraded, taken back, upgraded again.

No version has been tagged yet, so the one before is the revision before the newest.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from every_table import fill_every_table, read_catalog, read_every_table
from postgres import Database
from typer.testing import CliRunner

from securetag.cli import app
from securetag.db import upgrade
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import BACKUP, OWNER, create_sync_engine
from securetag.settings import get_settings


@pytest.fixture
def older(pg_cluster: Cluster) -> Iterator[str]:
    """Name of a database at the revision before the newest, filled."""
    name = f"older_{uuid4().hex[:8]}"
    pg_cluster.create_database(name)
    upgrade.upgrade(pg_cluster.dsn(name, OWNER))
    upgrade.downgrade(pg_cluster.dsn(name, OWNER), "-1")
    fill_every_table(pg_cluster.dsn(name, SUPERUSER))
    yield name
    pg_cluster.drop_database(name)


def test_an_upgrade_keeps_every_row_and_can_be_taken_back(
    older: str, pg_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, superuser = pg_cluster.dsn(older, OWNER), pg_cluster.dsn(older, SUPERUSER)
    revision = upgrade.current_revision(owner)
    catalog, before = read_catalog(superuser), read_every_table(superuser)
    assert all(before.values()), before
    assert revision != upgrade.head_revision()

    monkeypatch.setenv("DATABASE_URL", owner)
    get_settings.cache_clear()
    done = CliRunner().invoke(app, ["db", "upgrade"])
    assert (done.exit_code, done.stdout.strip()) == (0, upgrade.head_revision())
    assert read_every_table(superuser, catalog) == before

    assert upgrade.downgrade(owner, "-1") == revision
    assert read_catalog(superuser) == catalog
    assert read_every_table(superuser) == before
    assert upgrade.upgrade(owner) == upgrade.head_revision()
    assert read_every_table(superuser, catalog) == before


def test_every_table_has_rows_at_every_revision(pg_cluster: Cluster) -> None:
    """Each step up from the first revision keeps what the one before held."""
    name = f"steps_{uuid4().hex[:8]}"
    pg_cluster.create_database(name)
    owner, superuser = pg_cluster.dsn(name, OWNER), pg_cluster.dsn(name, SUPERUSER)
    try:
        upgrade.upgrade(owner, "0001_tables")
        fill_every_table(superuser)
        while upgrade.current_revision(owner) != upgrade.head_revision():
            catalog, before = read_catalog(superuser), read_every_table(superuser)
            upgrade.upgrade(owner, "+1")
            assert read_every_table(superuser, catalog) == before
    finally:
        pg_cluster.drop_database(name)


def test_the_backups_role_reads_every_table_and_writes_none(
    clean_database: Database, pg_cluster: Cluster
) -> None:
    superuser = pg_cluster.dsn(clean_database.name, SUPERUSER)
    fill_every_table(superuser)
    engine = create_sync_engine(clean_database.dsn_owner, BACKUP)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        for table, rows in read_every_table(superuser).items():
            count = driver.execute(f"SELECT count(*) FROM securetag.{table}".encode()).fetchone()
            assert count == (len(rows),), table
        grants = driver.execute(
            "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
            " WHERE grantee = 'securetag_backup' AND privilege_type <> 'SELECT'"
        ).fetchall()
        driver.rollback()
    engine.dispose()
    assert grants == []
