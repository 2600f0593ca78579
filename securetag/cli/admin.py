"""`securetag tenant`, `key` and `db`: what only the operator of an installation does."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from securetag.cli.output import Json, emit, reported

tenants = typer.Typer(help="Tenants of this installation.", no_args_is_help=True)
keys = typer.Typer(help="API keys.", no_args_is_help=True)
database = typer.Typer(help="The database's schema.", no_args_is_help=True)


class Scope(StrEnum):
    """`securetag.db.models.SCOPES`, which would be slow to import for `--help`; a test compares them."""

    READ = "read"
    SCAN = "scan"
    FEEDBACK = "feedback"
    ADMIN = "admin"
    WORKER = "worker"


Scopes = Annotated[list[Scope], typer.Option("--scope", help="What the key may do; repeat for several.")]


@tenants.command("create")
@reported
def create_tenant(name: str, as_json: Json = False) -> None:
    """Make a tenant; prints its id."""
    import asyncio

    from securetag.db.engine import create_engine
    from securetag.db.repositories.tenants import create_tenant as create
    from securetag.settings import get_settings

    async def make() -> UUID:
        engine = create_engine(get_settings())
        try:
            return await create(engine, name)
        finally:
            await engine.dispose()

    tenant_id = asyncio.run(make())
    if as_json:
        emit({"tenant_id": str(tenant_id), "name": name})
    else:
        typer.echo(str(tenant_id))


@keys.command("create")
@reported
def create_key(
    tenant: Annotated[UUID, typer.Option(help="Id of the tenant.")],
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Scopes = [Scope.READ, Scope.SCAN, Scope.FEEDBACK],  # noqa: B006  # typer copies it
    as_json: Json = False,
) -> None:
    """Make an API key. It is printed once and stored only as a keyed hash."""
    import asyncio

    from securetag.db.engine import create_engine
    from securetag.db.repositories.keys import create_key as create
    from securetag.settings import get_settings

    settings = get_settings()

    async def make() -> str:
        engine = create_engine(settings)
        try:
            return await create(engine, tenant, name, scope, settings.pepper.get_secret_value())
        finally:
            await engine.dispose()

    key = asyncio.run(make())
    if as_json:
        emit({"key": key, "tenant_id": str(tenant), "name": name, "scopes": scope})
    else:
        typer.echo(key)


@database.command("upgrade")
@reported
def upgrade() -> None:
    """Create roles, and bring the schema to its newest revision."""
    from securetag.db.engine import OWNER, dsn_for
    from securetag.db.upgrade import upgrade as run
    from securetag.settings import get_settings

    typer.echo(run(dsn_for(get_settings(), OWNER)))
