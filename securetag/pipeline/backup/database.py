"""The rows of the database as files of PostgreSQL's COPY, out of one snapshot and into one transaction.

Not `pg_dump`: row-level security is forced and no role of ours may bypass it, an image of the api has no
`pg_dump`, and its version would have to follow the server's. The schema comes from the migrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from securetag.db import upgrade
from securetag.db.base import SCHEMA
from securetag.db.embedded import Cluster
from securetag.db.engine import BACKUP, OWNER, create_sync_engine, dsn_for, translate_errors
from securetag.errors import ConflictError, InputError, NotFoundError
from securetag.pipeline.backup.manifest import Manifest, Progress, Table
from securetag.settings import Settings

CHUNK = 1 << 20
#: The migrations fill it themselves.
_VERSION_TABLE = "alembic_version"


@contextmanager
def owner_dsn(settings: Settings, *, must_exist: bool) -> Iterator[str]:
    """Yield the owner's address of the database: DATABASE_URL's, or the embedded one, started if need be.

    Raises NotFoundError where `must_exist` and the home has none.
    """
    if settings.database_url is not None:
        yield dsn_for(settings, OWNER)
        return
    cluster = Cluster(settings.home)
    if must_exist and not (cluster.data / "PG_VERSION").is_file():
        raise NotFoundError(
            f"{settings.home} has no database",
            hint="Set SECURETAG_HOME or DATABASE_URL to the installation's.",
        )
    try:
        cluster.start()
    except ConflictError:  # `securetag up` runs it
        yield dsn_for(settings, OWNER)
        return
    try:
        yield cluster.dsn(role=OWNER)
    finally:
        cluster.stop()


class Snapshot:
    """The database as it is at one moment, read by the role that sees every tenant's rows."""

    def __init__(self, connection: psycopg.Connection, revision: str) -> None:
        self._connection = connection
        self.revision = revision

    def table_names(self) -> list[str]:
        """Return the tables, each after those that it references."""
        rows = self._connection.execute(
            "SELECT relname, coalesce(array_agg(DISTINCT confrelid::regclass::text)"
            " FILTER (WHERE contype = 'f' AND confrelid <> conrelid), '{}')"
            " FROM pg_class LEFT JOIN pg_constraint ON conrelid = pg_class.oid"
            " WHERE relnamespace = %s::regnamespace AND relkind = 'r' AND relname <> %s"
            " GROUP BY 1 ORDER BY 1",
            [SCHEMA, _VERSION_TABLE],
        ).fetchall()
        graph = {name: {target.removeprefix(f"{SCHEMA}.") for target in targets} for name, targets in rows}
        return list(TopologicalSorter(graph).static_order())

    def write_table(self, name: str, path: Path, progress: Progress) -> Table:
        """Write a table's rows to `path`."""
        columns = [
            column
            for (column,) in self._connection.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
                [f"{SCHEMA}.{name}"],
            )
        ]
        statement = sql.SQL("COPY {} ({}) TO STDOUT").format(
            sql.Identifier(SCHEMA, name), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        done = 0
        with self._connection.cursor() as cursor, path.open("wb") as out:
            with cursor.copy(statement) as copy:
                for block in copy:
                    done += out.write(block)
                    progress(f"database: {name}", done)
            return Table(name, columns, cursor.rowcount)

    def storage_keys(self) -> list[str]:
        """Return the keys of the uploads and artifacts that rows name."""
        rows = self._connection.execute(
            "SELECT storage_key FROM securetag.codeaudit_upload"
            " UNION SELECT storage_key FROM securetag.artifact ORDER BY 1"
        )
        return [key for (key,) in rows]

    def sequences(self) -> dict[str, int]:
        """Return the last value of each sequence that was used. Later than the snapshot, so never too low."""
        rows = self._connection.execute(
            "SELECT sequencename, last_value FROM pg_sequences"
            " WHERE schemaname = %s AND last_value IS NOT NULL",
            [SCHEMA],
        )
        return dict(rows.fetchall())


@contextmanager
def snapshot(dsn: str) -> Iterator[Snapshot]:
    """Yield one snapshot of the whole database; no migration runs meanwhile.

    Raises NotFoundError for a database without our schema, DatabaseUnavailableError.
    """
    revision = upgrade.current_revision(dsn)
    if revision is None:
        raise NotFoundError("the database holds nothing of Securetag", hint="See that DATABASE_URL is right.")
    if revision != upgrade.head_revision():
        raise ConflictError(
            f"the database is at revision {revision}, this version needs {upgrade.head_revision()}",
            hint="Run `securetag db upgrade`, or back it up with the version that it belongs to.",
        )
    engine = create_sync_engine(dsn, BACKUP)
    with translate_errors(), upgrade.no_upgrade_meanwhile(dsn), _driver(engine) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield Snapshot(connection, revision)


def row_counts(dsn: str) -> dict[str, int]:
    """Return table → rows of a database, over all tenants; empty where there is no schema."""
    revision = upgrade.current_revision(dsn)
    if revision is None:
        return {}
    # Also grants the backup's role what it must see, whatever revision the database has.
    upgrade.upgrade(dsn, revision)
    with translate_errors(), _driver(create_sync_engine(dsn, BACKUP)) as connection:
        return {name: _count(connection, name) for name in Snapshot(connection, revision).table_names()}


def load(dsn: str, manifest: Manifest, folder: Path, progress: Progress) -> None:
    """Load the tables of a verified backup into an empty database: all of them, or none.

    The schema is first brought to the backup's revision and in the end to this version's. Raises
    ConflictError where the database isn't empty, InputError for rows that don't fit.
    """
    _move_to(dsn, manifest.revision)
    with translate_errors(), _driver(create_sync_engine(dsn, OWNER)) as connection:
        tables = [sql.Identifier(SCHEMA, table.name) for table in manifest.tables]
        for table in tables:
            # Lets the owner write past row-level security, and history is loaded, not made again.
            connection.execute(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(table))
            connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(table))
        refuse_rows({table.name: _count(connection, table.name) for table in manifest.tables})
        for entry in manifest.tables:
            _load_table(connection, entry, folder / f"database/{entry.name}.copy", progress)
        for name, value in manifest.sequences.items():
            connection.execute("SELECT setval(%s::regclass, %s)", [f"{SCHEMA}.{name}", value])
        forced = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relrowsecurity", [SCHEMA]
        ).fetchall()
        for table in tables:
            connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(table))
        for (name,) in forced:
            table = sql.Identifier(SCHEMA, name)
            connection.execute(sql.SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(table))
        connection.commit()
    upgrade.upgrade(dsn)


def refuse_rows(counts: dict[str, int]) -> None:
    """Raise ConflictError where a table has rows."""
    filled = [f"{name} {rows:,}" for name, rows in counts.items() if rows]
    if filled:
        raise ConflictError(
            f"the database isn't empty ({', '.join(filled)})",
            hint="Restore into a new database, or an empty SECURETAG_HOME.",
        )


def _move_to(dsn: str, revision: str) -> None:
    """Bring an empty database to a revision that this version has, up or down."""
    upgrade.upgrade(dsn)
    if revision != upgrade.head_revision():
        upgrade.downgrade(dsn, revision)


def _load_table(connection: psycopg.Connection, table: Table, path: Path, progress: Progress) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(SCHEMA, table.name), sql.SQL(", ").join(map(sql.Identifier, table.columns))
    )
    done = 0
    try:
        with connection.cursor() as cursor, path.open("rb") as source:
            with cursor.copy(statement) as copy:
                while block := source.read(CHUNK):
                    copy.write(block)
                    done += len(block)
                    progress(f"database: {table.name}", done)
            rows = cursor.rowcount
    except psycopg.DataError as error:
        raise InputError(
            f"the rows of {table.name} can't be loaded: {error.diag.message_primary}",
            hint="Nothing was loaded. Was the backup made by another program?",
        ) from error
    if rows != table.rows:
        raise InputError(f"{table.name} has {rows} rows instead of {table.rows}", hint="Use another backup.")


def _count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCHEMA, table))
    ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def _driver(engine: Engine) -> Iterator[psycopg.Connection]:
    """Yield psycopg's own connection of an engine, without limits of time; rolled back unless committed."""
    try:
        with engine.connect() as outer:
            connection = outer.connection.driver_connection
            assert isinstance(connection, psycopg.Connection)
            connection.execute("SET statement_timeout = 0")
            connection.execute("SET idle_in_transaction_session_timeout = 0")
            connection.commit()
            yield connection
    finally:
        engine.dispose()
