"""Connections: who connects as which role, within which times, and as which tenant.

Roles. A DSN names whoever may log in. Where that user isn't the wanted role itself, the connection
asks for the role in its startup options (`-c role=securetag_api`): no second DSN is needed, and
`RESET ROLE` falls back to that role rather than to the user. The user must be a member of the role;
`securetag.db.upgrade.upgrade` grants that to the user it runs as. A deployment that wants the api to
be unable to become the owner hands it a user that is a member of `securetag_api` alone.

Times. `statement_timeout` ends a slow statement in the server. A frozen server never gets that far,
so each transaction has a client-side limit too, pool and connect included. A connection that the server
has closed is replaced before it is used, so that the first request after a restart of PostgreSQL succeeds.

Tenants. `tenant_transaction` sets `app.tenant_id` for one transaction; row-level security does the
rest. Without it a session sees no row at all.
"""

from __future__ import annotations

import asyncio
import json
import math
import select
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from uuid import UUID

import psycopg
import sqlalchemy
from sqlalchemy import URL, Dialect, Engine, event, exc, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from securetag.db.places import Places
from securetag.errors import DatabaseUnavailableError, SettingsError
from securetag.settings import Settings
from securetag.settings.sections import ApiSettings

OWNER, API, GATE, HARVEST = "securetag_owner", "securetag_api", "securetag_gate", "securetag_harvest"
BACKUP = "securetag_backup"

#: A transaction may take this many times the statement timeout before the client gives up on it.
TRANSACTION_FACTOR = 2
#: Seconds that the server then has to end the statement by itself.
CANCEL_S = 1.0
#: Execution option of an engine: seconds that one of its transactions may take.
_LIMIT = "securetag_limit_s"
#: Execution option of an engine: the places that its transactions wait for.
_PLACES = "securetag_places"
#: Next step for a person at the command line; the api tells its clients another one.
AWAY_HINT = "See that PostgreSQL runs and that DATABASE_URL is right, then try again."
#: SQLSTATEs of a schema that isn't there (yet): no such schema, table or function.
_NO_SCHEMA = frozenset({"3F000", "42P01", "42883"})


def dsn_for(source: Settings | str, role: str = API) -> str:
    """The libpq URL to connect with: the given one, DATABASE_URL, or the running embedded cluster's.

    Raises SettingsError when there is none.
    """
    if isinstance(source, str):
        return source
    if source.database_url is not None:
        return source.database_url.get_secret_value()
    published = source.run_dir / "postgres.json"
    try:
        dsn: str = json.loads(published.read_text())["dsn"][role]
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            "no database is configured and none of our own is running",
            hint="Set DATABASE_URL, or start the embedded PostgreSQL with `securetag up`.",
        ) from error
    return dsn


def url_for(source: Settings | str, role: str = API) -> URL:
    """SQLAlchemy's URL for psycopg 3, with the role and the session's settings in its options."""
    api = source.api if isinstance(source, Settings) else ApiSettings()
    url = parse_url(dsn_for(source, role))
    query = dict(url.query)
    given = query.get("options", ())
    options = [given] if isinstance(given, str) else list(given)
    if url.username != role:
        options.append(f"-c role={role}")
    milliseconds = int(api.statement_timeout_s * 1000)
    options.append(f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}")
    options.append(f"-c idle_in_transaction_session_timeout={milliseconds * TRANSACTION_FACTOR}")
    query["options"] = " ".join(options)
    query.setdefault("connect_timeout", str(max(1, math.ceil(api.connect_timeout_s))))
    query.setdefault("application_name", role)
    return url.set(drivername="postgresql+psycopg", query=query)


def parse_url(dsn: str) -> URL:
    """Return SQLAlchemy's form of a PostgreSQL URL. Raises SettingsError for anything else."""
    try:
        url = make_url(dsn)
    except (exc.ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise SettingsError(
            "the database's URL can't be read", hint="It looks like postgresql://user:password@host/name."
        ) from error
    if url.drivername.split("+")[0] not in {"postgresql", "postgres"}:
        raise SettingsError(
            f"{url.drivername} is no PostgreSQL URL", hint="DATABASE_URL begins with postgresql://."
        )
    return url


def create_engine(source: Settings | str, role: str = API) -> AsyncEngine:
    """An asynchronous engine whose connections act as `role`. Connects to nothing yet.

    Raises SettingsError when no database is configured.
    """
    api = source.api if isinstance(source, Settings) else ApiSettings()
    engine = create_async_engine(
        url_for(source, role),
        pool_size=api.pool_size,
        max_overflow=0,
        pool_timeout=api.connect_timeout_s,
        pool_recycle=1800,
        execution_options={
            _LIMIT: api.statement_timeout_s * TRANSACTION_FACTOR,
            _PLACES: Places(api.pool_size),
        },
    )
    event.listen(engine.sync_engine, "checkout", partial(_check_open, engine.sync_engine.dialect))
    return engine


def _check_open(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Have the pool replace its connections where the server has closed this one. Raises InvalidatePoolError.

    SQLAlchemy's `pool_pre_ping` sends a query each time. Of an idle connection that says no more than its
    socket does: there is nothing to read as long as the server runs.
    """
    driver = record.driver_connection
    assert driver is not None, "it is being handed out"
    try:
        socket = select.poll()
        socket.register(driver.fileno(), select.POLLIN)
        if not socket.poll(0):
            return
        # A notice of the server, perhaps.
        dialect.do_ping(connection)
    except (psycopg.Error, OSError) as error:
        raise exc.InvalidatePoolError("the server has closed the connection") from error


def places_of(engine: AsyncEngine) -> Places:
    """Return the places that the transactions of an engine of `create_engine` wait for."""
    places: Places = engine.sync_engine.get_execution_options()[_PLACES]
    return places


def create_sync_engine(source: Settings | str, role: str) -> Engine:
    """The same for code without an event loop: migrations, the harvest, sensors."""
    return sqlalchemy.create_engine(url_for(source, role), pool_size=1, max_overflow=0, pool_pre_ping=True)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Errors of a database that is away, too slow or not migrated become DatabaseUnavailableError."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        raise DatabaseUnavailableError("the database doesn't answer", hint=AWAY_HINT) from error
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _NO_SCHEMA:
            raise DatabaseUnavailableError(
                "the database's schema isn't the one that this version needs",
                hint="Run `securetag db upgrade`.",
            ) from error
        if error.connection_invalidated:
            raise DatabaseUnavailableError(
                "the connection to the database was lost",
                hint=AWAY_HINT,
            ) from error
        raise


@asynccontextmanager
async def tenant_transaction(
    engine: AsyncEngine, tenant_id: UUID, *, limit_s: float | None = None
) -> AsyncIterator[AsyncSession]:
    """One transaction as one tenant; commits at the end, rolls back on any error.

    `limit_s` replaces the engine's seconds for a transaction of many statements. Objects stay readable
    after the commit. Raises DatabaseUnavailableError.
    """
    async with _transaction(engine, limit_s) as session:
        await session.execute(
            text("SELECT set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant_id)}
        )
        yield session


@asynccontextmanager
async def cross_tenant_transaction(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """One transaction without a tenant: it sees no row, and may only call the gate's functions.

    Raises DatabaseUnavailableError.
    """
    async with _transaction(engine) as session:
        yield session


@asynccontextmanager
async def _transaction(engine: AsyncEngine, limit_s: float | None = None) -> AsyncIterator[AsyncSession]:
    seconds: float = limit_s or engine.sync_engine.get_execution_options()[_LIMIT]
    async with places_of(engine).take(), _placed_transaction(engine, seconds) as session:
        yield session


@asynccontextmanager
async def _placed_transaction(engine: AsyncEngine, seconds: float) -> AsyncIterator[AsyncSession]:
    async with (
        _limited(seconds),
        AsyncSession(engine, expire_on_commit=False) as session,
        session.begin(),
        _discarded_if_cancelled(session),
    ):
        yield session


@asynccontextmanager
async def plain_connection(engine: AsyncEngine) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection on which each execution of `securetag.db.plain` is a transaction and one round trip.

    Raises DatabaseUnavailableError.
    """
    seconds: float = engine.sync_engine.get_execution_options()[_LIMIT]
    async with places_of(engine).take(), _limited(seconds), engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection), "the engine is psycopg's"
        await driver.set_autocommit(True)
        try:
            yield driver
        except asyncio.CancelledError:
            await connection.invalidate()
            raise
        finally:
            if not driver.closed:
                await driver.set_autocommit(False)


@asynccontextmanager
async def _limited(seconds: float) -> AsyncIterator[None]:
    # At the first cancellation psycopg asks the server politely and waits ten seconds for a frozen
    # one; at the second it closes the connection.
    limit, last = asyncio.timeout(seconds), asyncio.timeout(seconds + CANCEL_S)
    try:
        with translate_errors():
            async with last, limit:
                yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DatabaseUnavailableError("the database didn't answer in time", hint=AWAY_HINT) from error


@asynccontextmanager
async def _discarded_if_cancelled(session: AsyncSession) -> AsyncIterator[None]:
    """Close the connection, rather than hand it on, where a statement was canceled under way.

    Psycopg sends many rows in a pipeline; canceled within one, the connection may be of no use to anybody.
    """
    try:
        yield
    except asyncio.CancelledError:
        await session.invalidate()
        raise
