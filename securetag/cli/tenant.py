"""`securetag tenant`: the tenants of an installation, made by its operator."""

from __future__ import annotations

from uuid import UUID

import typer

from securetag.cli.output import Json, emit, reported

app = typer.Typer(help="Tenants of this installation.", no_args_is_help=True)


@app.command("create")
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
