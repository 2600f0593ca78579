"""Queries that psycopg runs without SQLAlchemy's execution, for what is read most.

SQLAlchemy writes a query once; what it does at each execution costs more than PostgreSQL's answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from sqlalchemy import BindParameter, ClauseElement, exc
from sqlalchemy.dialects import registry
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = registry.load("postgresql.psycopg")()

#: A row as its columns.
PlainRow: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PlainQuery:
    """Text for psycopg, with the values of its own."""

    text: bytes
    values: Mapping[str, object]


def write_plain(query: ClauseElement) -> PlainQuery:
    """Return a query of SQLAlchemy as text; parameters without a value are those of each call."""
    compiled = query.compile(dialect=_DIALECT)
    assert isinstance(compiled, SQLCompiler)
    # A list is written with its values, for which SQLAlchemy asks for those of each call too.
    of_each_call = {
        item.key: None
        for item in visitors.iterate(query)
        if isinstance(item, BindParameter) and item.required
    }
    expanded = compiled.construct_expanded_state(of_each_call)
    return PlainQuery(expanded.statement.encode(), expanded.parameters)


async def fetch_plain(
    connection: psycopg.AsyncConnection, query: PlainQuery, *, prepare: bool | None = None, **values: object
) -> Sequence[PlainRow]:
    """Return the rows of a query, each as its columns. Raises what SQLAlchemy would.

    `prepare=False` is for a query whose best plan depends on its values: PostgreSQL plans it each time.
    """
    with raise_as_sqlalchemy():
        cursor = await connection.execute(query.text, {**query.values, **values}, prepare=prepare)
        return await cursor.fetchall()


async def fetch_planned(session: AsyncSession, query: PlainQuery, **values: object) -> Sequence[PlainRow]:
    """Return the rows of a query that PostgreSQL plans for these values, in a session's transaction.

    SQLAlchemy's own executions are prepared after a few times, and then share one plan whatever the values.
    """
    await session.flush()
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    assert isinstance(driver, psycopg.AsyncConnection), "the engine is psycopg's"
    return await fetch_plain(driver, query, prepare=False, **values)


async def fetch_as_tenant(
    connection: psycopg.AsyncConnection, tenant_id: UUID, query: PlainQuery, **values: object
) -> Sequence[PlainRow]:
    """Return the rows of a query in a transaction of a tenant's own, of one round trip.

    `connection` is a `securetag.db.engine.plain_connection`. Raises what SQLAlchemy would.
    """
    tenant = psycopg.sql.SQL("SELECT set_config('app.tenant_id', {}, true); ").format(str(tenant_id))
    with raise_as_sqlalchemy():
        # Binds values itself, since PostgreSQL takes several statements at once only without any.
        cursor = psycopg.AsyncClientCursor(connection)
        await cursor.execute(tenant.as_bytes(connection) + query.text, {**query.values, **values})
        cursor.nextset()
        return await cursor.fetchall()


@contextmanager
def raise_as_sqlalchemy() -> Iterator[None]:
    """Errors of psycopg become those of SQLAlchemy, which the handlers know."""
    try:
        yield
    except psycopg.Error as error:
        kind = next(
            getattr(exc, name)
            for name in (base.__name__ for base in type(error).__mro__)
            if issubclass(getattr(exc, name, object), exc.DBAPIError)
        )
        raise kind("a plain query", None, error) from error
