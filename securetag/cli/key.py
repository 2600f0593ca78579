"""`securetag key`: API keys, made by the operator of an installation."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
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


@app.command("peppers")
@reported
def show_peppers(as_json: Json = False) -> None:
    """List the keys that a rotation of the pepper hasn't moved yet: they end with the previous pepper."""
    import asyncio

    from securetag.cli.output import show
    from securetag.db.engine import create_engine
    from securetag.db.repositories.peppers import KeyVersion, Peppers, list_versions, pepper_version
    from securetag.settings import get_settings
    from securetag.system.clock import format_utc

    settings = get_settings()
    peppers = Peppers.of(settings)

    async def read() -> list[KeyVersion]:
        engine = create_engine(settings)
        try:
            return list(await list_versions(engine))
        finally:
            await engine.dispose()

    current = pepper_version(peppers.current)
    previous = pepper_version(peppers.previous) if peppers.previous else None
    until = format_utc(peppers.previous_until) if previous and peppers.previous_until else None
    keys = asyncio.run(read())
    pending = [key for key in keys if key.version != current]
    moved = len(keys) - len(pending)
    if as_json:
        previous_pepper = {"version": previous, "until": until} if previous else None
        emit(
            {
                "current": {"version": current, "keys": moved},
                "previous": previous_pepper,
                "pending": [asdict(key) for key in pending],
            }
        )
        return
    typer.echo(f"Current pepper {current}: {moved} keys.")
    if previous:
        typer.echo(f"Previous pepper {previous}: its keys open until {until}.")
    if pending:
        show(
            ["tenant", "key", "prefix", "pepper", "last used"],
            [
                [
                    key.tenant,
                    key.name,
                    key.prefix,
                    key.version or "not recorded",
                    format_utc(key.last_used_at) if key.last_used_at else "never",
                ]
                for key in pending
            ],
        )


@app.command("keep")
@reported
def keep_key(
    file: Annotated[Path, typer.Argument(help="Where the key is kept, readable by this user alone.")],
    tenant: Annotated[str, typer.Option(help="Name of the tenant, which is made where it is missing.")],
    scope: Scopes = [Scope.READ, Scope.SCAN, Scope.FEEDBACK],  # noqa: B006  # typer copies it
) -> None:
    """Make an API key and keep it in FILE; leave a FILE that has a key as it is.

    For the first start of a deployment, which may be repeated.
    """
    from securetag.cli.services.platform import make_tenant
    from securetag.settings import get_settings
    from securetag.system.files import PRIVATE, write_atomic

    if file.is_file() and file.stat().st_size:
        typer.echo(f"kept {file}")
        return
    write_atomic(file, make_tenant(get_settings(), tenant, [*scope]).key, mode=PRIVATE)
    typer.echo(f"made {file}")
