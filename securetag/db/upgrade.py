"""Migrate a database, and tell whether it is at the revision that this version needs.

`securetag db upgrade` is the only way that a schema changes; the api at another revision answers 503.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy
from sqlalchemy import Connection, exc, text
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db import roles
from securetag.db.base import SCHEMA
from securetag.db.engine import (
    OWNER,
    create_sync_engine,
    cross_tenant_transaction,
    parse_url,
    translate_errors,
)
from securetag.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).with_name("migrations")
#: Key of the advisory lock that lets two upgrades run one after the other.
_UPGRADE_LOCK = 5_323_011


def upgrade(owner_dsn: str, revision: str = "head") -> str:
    """Bring the database to a revision, roles and grants included; returns the revision reached.

    The DSN's user is `securetag_owner` itself where the roles exist (the embedded cluster), or on a
    server of your own a superuser, or a CREATEROLE user that owns the database; that user becomes a
    member of the roles, so that the same DSN serves the api (`securetag.db.engine`). Idempotent.
    Raises DatabaseUnavailableError.
    """
    with translate_errors(), _provisioned(owner_dsn) as connection:
        config = _config(connection)
        from alembic import command

        command.upgrade(config, revision)
        roles.let_backup_read(connection)
        connection.commit()
        return _stands_at(connection) or "base"


def downgrade(owner_dsn: str, revision: str) -> str:
    """Take revisions back, data of their tables included; `base` empties the schema."""
    with translate_errors(), _provisioned(owner_dsn) as connection:
        config = _config(connection)
        from alembic import command

        command.downgrade(config, revision)
        return _stands_at(connection) or "base"


def current_revision(dsn: str, role: str = OWNER) -> str | None:
    """Return the revision of a database; None when it was never migrated."""
    engine = create_sync_engine(dsn, role)
    try:
        with translate_errors(), engine.connect() as connection:
            return _stands_at(connection)
    finally:
        engine.dispose()


@lru_cache(maxsize=1)
def head_revision() -> str:
    """The revision that this version of the code needs."""
    from alembic.script import ScriptDirectory

    revision = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    assert revision is not None, "the migrations are part of the package"
    return revision


async def is_at_head(engine: AsyncEngine) -> bool:
    """Is the database at the revision that this code needs?

    An engine of the api's role suffices. Raises DatabaseUnavailableError when nothing answers.
    """
    try:
        async with cross_tenant_transaction(engine) as session:
            revision = await session.scalar(text(f"SELECT version_num FROM {SCHEMA}.alembic_version"))
    except DatabaseUnavailableError as error:
        cause = error.__cause__
        if isinstance(cause, exc.ProgrammingError):
            return False
        raise
    except exc.ProgrammingError:
        # Not granted yet: a database between creation and the first migration.
        return False
    return str(revision) == head_revision()


@contextmanager
def no_upgrade_meanwhile(dsn: str) -> Iterator[None]:
    """Keep upgrades waiting while the block runs, and wait for one that is under way."""
    engine = create_sync_engine(dsn, OWNER)
    try:
        with engine.connect() as guard:
            guard.execute(text("SET statement_timeout = 0"))
            guard.execute(text("SET idle_in_transaction_session_timeout = 0"))
            guard.execute(text("SET lock_timeout = 0"))
            guard.execute(text("SELECT pg_advisory_lock_shared(:key)"), {"key": _UPGRADE_LOCK})
            guard.commit()
            yield
    finally:
        engine.dispose()


def has_revision(revision: str) -> bool:
    """Return whether this version has a revision; a newer version may have more."""
    from alembic.script import ScriptDirectory

    return revision in {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}


@contextmanager
def _provisioned(dsn: str) -> Iterator[Connection]:
    """A connection as the owner, alone among upgrades, in a database that has roles and schema."""
    plain = parse_url(dsn).set(drivername="postgresql+psycopg")
    bare = sqlalchemy.create_engine(plain, poolclass=sqlalchemy.NullPool)
    with bare.connect() as guard:
        guard.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _UPGRADE_LOCK})
        roles.provision(guard)
        guard.commit()
        owner = create_sync_engine(dsn, OWNER)
        try:
            with owner.connect() as connection:
                # A migration may take its time; only its locks are limited, by itself.
                connection.execute(text("SET statement_timeout = 0"))
                connection.execute(text("SET idle_in_transaction_session_timeout = 0"))
                connection.commit()
                yield connection
        finally:
            owner.dispose()


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _stands_at(connection: Connection) -> str | None:
    if not connection.scalar(text(f"SELECT to_regclass('{SCHEMA}.alembic_version') IS NOT NULL")):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {SCHEMA}.alembic_version"))
    return revision
