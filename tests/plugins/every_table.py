"""Rows in every table of any revision, made from the database's own catalog, and read back for comparison.

A new column with a check of its own needs an entry in `VALUES`: the insert names it.
"""

from __future__ import annotations

import json
from graphlib import TopologicalSorter
from uuid import UUID, uuid5

import psycopg
from psycopg import sql

NAMESPACE = UUID("018f6f00-0000-7000-8000-000000000000")
#: Text that COPY, JSON and shells each escape in their own way.
TEXT = "ñ 漢 \\N \\. \t ; ' \" \r\n -- "
#: Type → value as PostgreSQL reads it.
BY_TYPE = {
    "text": TEXT,
    "int8": "7",
    "int4": "7",
    "float8": "0.1",
    "bool": "true",
    "bytea": "\\x00ff0a",
    "timestamptz": "2026-11-27 06:00:00.123456+00",
    "date": "2026-11-01",
    "jsonb": json.dumps({"schema": 1, "text": TEXT, "list": [1, None]}),
    "_uuid": "{0193a1b2-0000-7000-8000-000000000001}",
    "_text": '{a,"b,\\"c",NULL}',
}
#: Column → value, where a check allows few.
VALUES = {
    "api_key.digest": "\\x" + "0a" * 32,
    "api_key.pepper_version": "0a1b2c3d",
    "task.priority": "1",
    "tenant.quotas": json.dumps({"open": 7}),
    "tenant.model_policy": "operator",
    "tenant.suspended_at": None,
    "task.kind": "codeaudit",
    "task.state": "queued",
    "task.attempt": "0",
    "finding.severity": "high",
    "finding.confidence": "medium",
    "triage_verdict.decision": "true_positive",
    "triage_verdict.evidence": "[[1, 2]]",
    "triage_verdict.lang": "en",
    "triage_verdict.gate": "none",
    "finding_state.state": "open",
    "finding_listing.state": "open",
    "model.gate": "production",
    "training_use.split": "train",
    "feedback.verdict": "false_positive",
    "feedback.disposition": "fix",
    "feedback.source": "person",
    "consent.withdrawn_at": None,
    "web_target.verified_by": "dns",
    "finding_occurrence.web": None,
    "finding_occurrence.path_class": "source",
    "finding_occurrence.trace": json.dumps([{"path": TEXT, "start_line": 1, "end_line": 2, "text": TEXT}]),
    "finding_occurrence.identity": None,
    "finding.matches": json.dumps(
        [{"tool": TEXT, "rule_id": TEXT, "cwe": TEXT, "kind": "shape", "start_line": 1, "end_line": 2}]
    ),
    "codeaudit_upload.storage_key": "every-table/upload",
    "artifact.storage_key": "every-table/artifact",
}

Catalog = dict[str, list[tuple[str, str, bool]]]


def fill_every_table(superuser: str, *, tenants: int = 2) -> None:
    """Insert one row a tenant into each table, with real references, unless a trigger has written it."""
    with psycopg.connect(superuser) as connection:
        catalog, references = _catalog(connection)
        graph = {
            table: {target for (source, _), (target, _) in references.items() if source == table} - {table}
            for table in catalog
        }
        for table in TopologicalSorter(graph).static_order():
            for number in range(tenants):
                row = {
                    column: _value(table, column, kind, number, references)
                    for column, kind, is_identity in catalog[table]
                    if not is_identity
                }
                connection.execute(
                    sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
                        sql.Identifier("securetag", table),
                        sql.SQL(", ").join(map(sql.Identifier, row)),
                        sql.SQL(", ").join(sql.Placeholder() * len(row)),
                    ),
                    list(row.values()),
                )


def read_every_table(superuser: str, catalog: Catalog | None = None) -> dict[str, list[str]]:
    """Return table → its rows as text, sorted; of the columns of `catalog`, by default of all."""
    with psycopg.connect(superuser) as connection:
        rows = {}
        for table, columns in (catalog or _catalog(connection)[0]).items():
            names = sql.SQL(", ").join(sql.Identifier(column) for column, _, _ in columns)
            query = sql.SQL("SELECT row({})::text FROM {} ORDER BY 1").format(
                names, sql.Identifier("securetag", table)
            )
            rows[table] = [text for (text,) in connection.execute(query)]
        return rows


def read_catalog(superuser: str) -> Catalog:
    """Return table → (column, type, whether the database fills it)."""
    with psycopg.connect(superuser) as connection:
        return _catalog(connection)[0]


def _catalog(
    connection: psycopg.Connection,
) -> tuple[Catalog, dict[tuple[str, str], tuple[str, str]]]:
    columns: Catalog = {}
    for table, column, kind, is_identity in connection.execute(
        "SELECT relname, attname, typname, attidentity <> '' OR attgenerated <> '' FROM pg_attribute"
        " JOIN pg_class ON pg_class.oid = attrelid JOIN pg_type ON pg_type.oid = atttypid"
        " WHERE relnamespace = 'securetag'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'"
        " AND attnum > 0 AND NOT attisdropped ORDER BY relname, attnum"
    ):
        columns.setdefault(table, []).append((column, kind, is_identity))
    references = {}
    for table, column, target, target_column in connection.execute(
        "SELECT source.relname, near.attname, target.relname, far.attname FROM pg_constraint"
        " CROSS JOIN LATERAL unnest(conkey, confkey) AS pair (near, far)"
        " JOIN pg_class AS source ON source.oid = conrelid JOIN pg_class AS target ON target.oid = confrelid"
        " JOIN pg_attribute AS near ON near.attrelid = conrelid AND near.attnum = pair.near"
        " JOIN pg_attribute AS far ON far.attrelid = confrelid AND far.attnum = pair.far"
        " WHERE contype = 'f' AND connamespace = 'securetag'::regnamespace"
    ):
        # `tenant_id` is part of each reference within a tenant: the tenant's own id says the same.
        references[table, column] = ("tenant", "id") if column == "tenant_id" else (target, target_column)
    return columns, references


def _value(
    table: str, column: str, kind: str, number: int, references: dict[tuple[str, str], tuple[str, str]]
) -> str | None:
    if f"{table}.{column}" in VALUES:
        return VALUES[f"{table}.{column}"]
    if table == "api_key" and column == "prefix":
        return f"prefix{number:06d}"
    if kind == "uuid":
        target, _ = references.get((table, column), (f"{table}.{column}" if column != "id" else table, ""))
        return str(uuid5(NAMESPACE, f"{target} {number}"))
    if kind not in BY_TYPE:
        raise AssertionError(f"{table}.{column} has the type {kind}: add a value to BY_TYPE")
    # Unique columns need another text for each tenant.
    return f"{BY_TYPE[kind]}{number}" if kind == "text" else BY_TYPE[kind]
