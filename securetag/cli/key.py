"""`securetag key`: API keys, made by the operator of an installation."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from securetag.cli.output import Json, emit, reported

app = typer.Typer(help="API keys.", no_args_is_help=True)


class Scope(StrEnum):
    """`securetag.db.models.SCOPES`, which would be slow to import for `--help`; a test compares them."""

    READ = "read"
    SCAN = "scan"
    FEEDBACK = "feedback"
    ADMIN = "admin"
    WORKER = "worker"


Scopes = Annotated[list[Scope], typer.Option("--scope", help="What the key may do; repeat for several.")]


@app.command("create")
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
            return await create(engine, tenant, name, scope, settings.require_pepper())
        finally:
            await engine.dispose()

    key = asyncio.run(make())
    if as_json:
        emit({"key": key, "tenant_id": str(tenant), "name": name, "scopes": scope})
    else:
        typer.echo(key)
