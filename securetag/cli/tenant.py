"""`securetag tenant`: the tenants of an installation, made by its operator."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import typer

from securetag.cli.output import Json, emit, reported

#: `securetag.records.ModelLocation`; that module is too slow to import for `--help`.
Policy = Literal["local", "operator", "third_party"]

app = typer.Typer(help="Tenants of this installation.", no_args_is_help=True)


@app.command("create")
@reported
def create_tenant(
    name: str,
    model_policy: Annotated[
        Policy | None,
        typer.Option(help="How far its code may go to a model; SECURETAG_API__MODEL_POLICY by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a tenant; prints its id."""
    import asyncio

    from securetag.db.engine import create_engine
    from securetag.db.repositories.tenants import create_tenant as create
    from securetag.settings import get_settings

    async def make() -> UUID:
        settings = get_settings()
        engine = create_engine(settings)
        try:
            return await create(engine, name, model_policy=model_policy or settings.api.model_policy)
        finally:
            await engine.dispose()

    tenant_id = asyncio.run(make())
    if as_json:
        emit({"tenant_id": str(tenant_id), "name": name})
    else:
        typer.echo(str(tenant_id))


@app.command("policy")
@reported
def set_policy(
    name: str,
    policy: Annotated[
        Policy, typer.Argument(help="How far the tenant's code may go to be judged by a model.")
    ],
    as_json: Json = False,
) -> None:
    """Say whose models may be shown a tenant's code: these machines', the operator's, or third parties'."""
    import asyncio

    from securetag.db.engine import create_engine, cross_tenant_transaction, tenant_transaction
    from securetag.db.repositories.tenants import change_tenant, find_tenant
    from securetag.settings import get_settings
    from securetag.wire.tenants import TenantChanges

    async def change() -> UUID:
        engine = create_engine(get_settings())
        try:
            async with cross_tenant_transaction(engine) as session:
                tenant_id = await find_tenant(session, name)
            async with tenant_transaction(engine, tenant_id) as session:
                changes = TenantChanges(model_policy=policy)
                await change_tenant(session, tenant_id, changes, actor="operator")
            return tenant_id
        finally:
            await engine.dispose()

    tenant_id = asyncio.run(change())
    if as_json:
        emit({"tenant_id": str(tenant_id), "name": name, "model_policy": policy})
    else:
        typer.echo(f"code of {name} may go as far as: {policy}")
