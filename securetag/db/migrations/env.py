"""Runs migrations over the connection that `securetag.db.upgrade` hands in.

From Alembic's own command line (`alembic revision`, `alembic check`) it connects as the settings say.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

import securetag.db.models  # noqa: F401 (fills the metadata)
from securetag.db.base import SCHEMA, Base
from securetag.db.engine import OWNER, create_sync_engine
from securetag.settings import get_settings


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """True for our schema and everything inside it: other schemas of the database aren't ours."""
    return name == SCHEMA if kind == "schema" else True


def run(connection: Connection) -> None:
    """Each revision in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=include_name,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_sync_engine(get_settings(), OWNER).connect() as ours:
        run(ours)
