"""Each table × verb × role, against the rows of another tenant: none is read, changed, deleted or added."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from uuid import UUID

import psycopg
import pytest
from every_table import fill_every_table, read_catalog
from postgres import Database
from psycopg import sql

from securetag.db.embedded import SUPERUSER, Cluster

#: Role, and whose tenant's transaction it is in. The harvest is of all tenants (`tests/db/test_harvest.py`).
ROLES = (
    ("securetag_api", "another tenant"),
    ("securetag_api", "no tenant"),
    ("securetag_owner", "another tenant"),
)
VERBS = {
    "SELECT": "SELECT 1 FROM {table} WHERE {column} = {tenant}",
    "UPDATE": "UPDATE {table} SET {column} = {column} WHERE {column} = {tenant}",
    "DELETE": "DELETE FROM {table} WHERE {column} = {tenant}",
    "INSERT": "INSERT INTO {table} ({column}) VALUES ({tenant})",
}


def probes(tables: dict[str, str], tenants: list[UUID]) -> Iterator[tuple[str, UUID, str, UUID, str]]:
    """(role, tenant of its transaction, verb, tenant that is probed, table)."""
    for (role, caller), verb, table in product(ROLES, VERBS, tables):
        for tenant, other in product(tenants, tenants):
            if tenant != other:
                yield role, UUID(int=0) if caller == "no tenant" else other, verb, tenant, table


def probe(
    connection: psycopg.Connection, role: str, caller: UUID, verb: str, tenant: UUID, table: str, column: str
) -> int:
    """Return how many rows a statement got, in a transaction as `caller` that is rolled back."""
    statement = sql.SQL(VERBS[verb]).format(
        table=sql.Identifier("securetag", table), column=sql.Identifier(column), tenant=sql.Literal(tenant)
    )
    # One round trip for all of it.
    whole = sql.SQL("BEGIN; SET LOCAL ROLE {}; SELECT set_config('app.tenant_id', {}, true); {}; ROLLBACK")
    try:
        results = connection.execute(whole.format(sql.Identifier(role), str(caller), statement))
        return [result.rowcount for result in results.results()][3]
    except psycopg.Error:
        connection.rollback()
        return 0


def probe_all(superuser: str, tenants: int) -> int:
    """Return how many probes got nothing; fail at those that got a row."""
    fill_every_table(superuser, tenants=tenants)
    tables = {
        name: "id" if name == "tenant" else "tenant_id"
        for name, columns in read_catalog(superuser).items()
        if name == "tenant" or "tenant_id" in {column for column, _, _ in columns}
    }
    leaks, number = [], 0
    with psycopg.connect(superuser, autocommit=True) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM securetag.tenant ORDER BY id")]
        for table, column in tables.items():
            rows = sql.SQL("SELECT count(DISTINCT {}) FROM {}").format(
                sql.Identifier(column), sql.Identifier("securetag", table)
            )
            assert connection.execute(rows).fetchone() == (len(ids),), f"{table} has nothing to probe"
        # What finds nothing here finds a tenant's own rows.
        assert probe(connection, "securetag_api", ids[0], "SELECT", ids[0], "project", "tenant_id")
        for role, caller, verb, tenant, table in probes(tables, ids):
            number += 1
            if probe(connection, role, caller, verb, tenant, table, tables[table]):
                leaks.append((role, verb, table))
    assert leaks == []
    return number


def test_no_role_reaches_another_tenants_rows(clean_database: Database, pg_cluster: Cluster) -> None:
    assert probe_all(pg_cluster.dsn(clean_database.name, SUPERUSER), tenants=2) > 500


def test_a_search_finds_the_tenants_own_findings_alone(clean_database: Database, pg_cluster: Cluster) -> None:
    superuser = pg_cluster.dsn(clean_database.name, SUPERUSER)
    fill_every_table(superuser, tenants=2)
    with psycopg.connect(superuser) as connection:
        connection.execute("UPDATE securetag.finding_listing SET words = 'a wombat'")
        listed = connection.execute(
            "SELECT tenant_id, finding_id FROM securetag.finding_listing WHERE branch = ''"
        ).fetchall()
        assert len({tenant for tenant, _ in listed}) == 2
        connection.execute("SET LOCAL ROLE securetag_api")
        for tenant in {*(tenant for tenant, _ in listed), UUID(int=0), ""}:
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant)])
            (ids,) = connection.execute("SELECT securetag.search_listing('', 'WOMBAT', 9)").fetchone() or ()
            assert sorted(ids) == sorted(finding for owner, finding in listed if owner == tenant)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_ten_thousand_probes_of_tables_get_nothing(
    clean_database: Database, pg_cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    number = probe_all(pg_cluster.dsn(clean_database.name, SUPERUSER), tenants=6)
    record_property("faults", [number, "probes of tables"])
    assert number >= 10_000
