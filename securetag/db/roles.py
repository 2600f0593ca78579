"""The five roles, and what must exist before the first migration.

- `securetag_owner` owns the schema and migrates it; row-level security binds it too.
- `securetag_api` reads and writes as one tenant at a time.
- `securetag_gate` can't log in; it owns the SECURITY DEFINER functions that look over tenants.
- `securetag_harvest` reads what consenting tenants have.
- `securetag_backup` can't log in; the owner becomes it to read every row, and nothing can write as it.

None is a superuser and none bypasses row-level security.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

from securetag.db.base import SCHEMA
from securetag.db.engine import API, BACKUP, GATE, HARVEST, OWNER

#: Role → attributes. NOINHERIT on the owner: it may become the gate (to hand it functions), but
#: doesn't see what the gate sees.
ATTRIBUTES = {
    OWNER: "LOGIN NOINHERIT",
    API: "LOGIN",
    GATE: "NOLOGIN",
    HARVEST: "LOGIN",
    BACKUP: "NOLOGIN",
}


def provision(connection: Connection, passwords: Mapping[str, str] | None = None) -> None:
    """Create what is missing of roles, memberships, grants and schema in the connected database.

    `connection` runs as a superuser, or as a user with CREATEROLE that owns the database; as
    `securetag_owner` itself it suffices that everything exists. `passwords` (role → password) are
    set each time; without them the roles are reached through the connecting user (`engine`).
    Idempotent; the caller commits.
    """
    existing_roles = set(
        connection.scalars(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'securetag%'"))
    )
    for role, attributes in ATTRIBUTES.items():
        if role not in existing_roles:
            connection.execute(text(f"CREATE ROLE {role} {attributes}"))
    for role, password in (passwords or {}).items():
        literal = connection.scalar(text("SELECT quote_literal(:word)"), {"word": password})
        connection.exec_driver_sql(f"ALTER ROLE {role} PASSWORD {literal}")
    _join(connection, OWNER, GATE)
    _join(connection, OWNER, BACKUP)
    user = connection.scalar(text("SELECT session_user"))
    if user not in ATTRIBUTES and not connection.scalar(
        text("SELECT rolsuper FROM pg_roles WHERE rolname = session_user")
    ):
        for role in (OWNER, API, HARVEST):
            _join(connection, str(user), role)
    database = connection.scalar(text("SELECT quote_ident(current_database())"))
    if not connection.scalar(
        text("SELECT has_database_privilege(:role, current_database(), 'CREATE')"), {"role": OWNER}
    ):
        connection.exec_driver_sql(f"GRANT CREATE ON DATABASE {database} TO {OWNER}")
    if not connection.scalar(text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": SCHEMA}):
        connection.execute(text(f"SET ROLE {OWNER}"))
        connection.execute(text(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {OWNER}"))
        connection.execute(text("RESET ROLE"))


def let_backup_read(connection: Connection) -> None:
    """Let `securetag_backup` read every table of the schema, over all tenants. Idempotent; as the owner.

    After each upgrade rather than in a revision, so that no new table can be forgotten.
    """
    connection.execute(text(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {BACKUP}"))
    connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {BACKUP}"))
    connection.execute(text(f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {BACKUP}"))
    unseen = connection.scalars(
        text(
            "SELECT relname FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace)"
            " AND relkind = 'r' AND relrowsecurity AND NOT EXISTS"
            " (SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND polname = 'backup')"
        ),
        {"schema": SCHEMA},
    )
    for table in unseen.all():
        connection.execute(
            text(f'CREATE POLICY backup ON {SCHEMA}."{table}" FOR SELECT TO {BACKUP} USING (true)')
        )


def _join(connection: Connection, member: str, role: str) -> None:
    """`GRANT role TO member`, unless it may already become it."""
    # From PostgreSQL 16 on, whoever creates a role administers it without being able to become it.
    recent = connection.dialect.server_version_info or (0,)
    able = connection.scalar(
        text("SELECT pg_has_role(:member, :role, :how)"),
        {"member": member, "role": role, "how": "SET" if recent >= (16,) else "MEMBER"},
    )
    if not able:
        quoted = connection.scalar(text("SELECT quote_ident(:name)"), {"name": member})
        connection.exec_driver_sql(f"GRANT {role} TO {quoted}")
