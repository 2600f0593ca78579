"""`securetag delete`, which asks the api, and `securetag tenant delete`, which is an operator's."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import typer

from securetag.cli.findings.connection import ApiKey, ApiUrl, connected
from securetag.cli.output import reported

Kind = Literal["scan", "finding", "project"]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


@reported
def delete(
    kind: Annotated[Kind, typer.Argument(metavar="scan|finding|project", help="What it is.")],
    named: Annotated[UUID, typer.Argument(metavar="ID", help="Its id.")],
    yes: Yes = False,
    api: ApiUrl = None,
    key: ApiKey = None,
) -> None:
    """Delete a scan, a finding or a project for good, with all that belongs to it. The key needs `admin`."""
    _confirm(f"Delete {kind} {named} for good?", yes)
    with connected(api, key) as client:
        client.delete(kind, named)
    typer.echo(f"deleted {kind} {named}")


@reported
def delete_tenant(name: str, yes: Yes = False) -> None:
    """Delete all that a tenant has: keys, scans, findings, bytes. Releases forget it by `dataset erase`."""
    import asyncio

    from securetag.db import deletion
    from securetag.db.engine import create_engine, cross_tenant_transaction
    from securetag.db.repositories.tenants import find_tenant
    from securetag.settings import get_settings
    from securetag.storage import storage_for

    _confirm(f"Delete everything that {name} has?", yes)
    settings = get_settings()

    async def run() -> None:
        engine = create_engine(settings)
        storage = storage_for(settings.storage, settings.storage_credentials)
        try:
            async with cross_tenant_transaction(engine) as session:
                tenant_id = await find_tenant(session, name)
            await deletion.delete_tenant(engine, storage, tenant_id, actor="operator")
        finally:
            await engine.dispose()

    asyncio.run(run())
    typer.echo(f"deleted {name}; `securetag dataset erase` marks what releases hold of it")


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True)
