"""One transaction a call: who calls and as which tenant are found in one round trip, then the call reads.

For calls that only read. What takes a body, or waits for anything but the database, authenticates first
(`securetag.api.auth`) and holds no connection meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import psycopg
from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from structlog.contextvars import bind_contextvars

from securetag.api.auth import Key, check_scope, read_principal
from securetag.api.services import ApiServices, Services
from securetag.db.engine import AWAY_HINT, CANCEL_S, TRANSACTION_FACTOR, places_of, translate_errors
from securetag.db.places import Places
from securetag.db.plain import raise_as_sqlalchemy
from securetag.db.repositories.keys import Principal, check_key, find_prefix
from securetag.errors import DatabaseUnavailableError

#: The tenant is that of the transaction from here on; the caller compares the key's digest before it reads.
_SIGN_IN = b"""
SELECT key_id, tenant_id, name, digest, scopes, pepper_version, suspended,
    set_config('app.tenant_id', tenant_id::text, true)
FROM securetag.authenticate(%s)
"""


@dataclass
class ReadTransaction:
    """A transaction of the caller's tenant, which is rolled back at its end."""

    caller: Principal
    connection: AsyncConnection
    #: Runs plain queries (`securetag.db.plain`) in the same transaction.
    driver: psycopg.AsyncConnection

    @cached_property
    def session(self) -> AsyncSession:
        """For queries of SQLAlchemy, in the same transaction."""
        return AsyncSession(self.connection, expire_on_commit=False)


@asynccontextmanager
async def reading(
    services: ApiServices, key: str | None, scope: str = "read"
) -> AsyncIterator[ReadTransaction]:
    """Begin a transaction as the tenant of a key.

    Raises AuthenticationError, PermissionDeniedError, QuotaError and DatabaseUnavailableError.
    """
    prefix = find_prefix(key)
    is_news = prefix is None or services.key_is_news(prefix)
    if prefix is None or key is None or is_news:
        # Its use is written down, and the tenant's quotas are read.
        caller = await read_principal(services, key)
        assert key is not None
        prefix = find_prefix(key)
        assert prefix is not None
        services.note_key(prefix)
        check_scope(caller, scope)
    places = places_of(services.engine)
    async with places.take(), _connected(services, places) as (connection, driver, timeouts):
        with raise_as_sqlalchemy():
            cursor = await driver.execute(_SIGN_IN, (prefix,))
            row = await cursor.fetchone()
        caller = check_key(key, row[:7] if row is not None else None, services.peppers)
        bind_contextvars(tenant=str(caller.tenant_id))
        timeouts.extend(services.settings.api.statement_timeout_s * TRANSACTION_FACTOR)
        if not is_news and not caller.may("worker"):
            services.rates.count(caller.tenant_id)
        check_scope(caller, scope)
        yield ReadTransaction(caller, connection, driver)


async def _begin_reading(services: Services, key: Key) -> AsyncIterator[ReadTransaction]:
    async with reading(services, key) as read:
        yield read


#: The transaction of a call with the scope `read`, which ends before the answer is sent. A dependency begins
#: before the parameters are checked: without a valid key the answer is 401, whatever else is wrong.
Reading = Annotated[ReadTransaction, Depends(_begin_reading, scope="function")]


class _Timeouts:
    """At the first psycopg asks the server to cancel, and waits for it; at the second it gives up."""

    def __init__(self, seconds: float) -> None:
        self.limit, self.last = asyncio.timeout(seconds), asyncio.timeout(seconds + CANCEL_S)
        self.is_signed_in = False

    def extend(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self.is_signed_in = True
        self.limit.reschedule(now + seconds)
        self.last.reschedule(now + seconds + CANCEL_S)


@asynccontextmanager
async def _connected(
    services: ApiServices, places: Places
) -> AsyncIterator[tuple[AsyncConnection, psycopg.AsyncConnection, _Timeouts]]:
    # Every call begins here, so this is where a database that hangs is noticed soon.
    timeouts = _Timeouts(services.settings.api.connect_timeout_s)
    try:
        with translate_errors():
            async with timeouts.last, timeouts.limit:
                await services.check_revision()
                async with services.engine.connect() as connection:
                    driver = (await connection.get_raw_connection()).driver_connection
                    assert isinstance(driver, psycopg.AsyncConnection), "the engine is psycopg's"
                    try:
                        yield connection, driver, timeouts
                    except asyncio.CancelledError:
                        await connection.invalidate()
                        raise
    except TimeoutError as error:
        if not timeouts.limit.expired():
            raise
        answer = DatabaseUnavailableError("the database didn't answer in time", hint=AWAY_HINT)
        if not timeouts.is_signed_in:
            places.refuse_waiting(answer)
        raise answer from error
