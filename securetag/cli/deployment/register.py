"""`securetag key register`: a key that was made before the machines that it opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from securetag.cli.output import reported


@reported
def register_key(
    file: Annotated[Path, typer.Argument(help="File that holds the key.")],
    tenant: Annotated[str, typer.Option(help="Name of the tenant, which is made where it is missing.")],
) -> None:
    """Register the key in FILE, which was made elsewhere; one that is registered already stays as it is.

    It may read, scan and give feedback.
    """
    import asyncio

    from securetag.cli.services.platform import USER_SCOPES
    from securetag.db.engine import create_engine
    from securetag.db.repositories.keys import register_key as register
    from securetag.db.repositories.tenants import ensure_tenant
    from securetag.settings import get_settings

    settings = get_settings()

    async def run() -> bool:
        engine = create_engine(settings)
        try:
            tenant_id = await ensure_tenant(engine, tenant, model_policy=settings.api.model_policy)
            pepper = settings.require_pepper()
            return await register(engine, tenant_id, tenant, USER_SCOPES, pepper, file.read_text().strip())
        finally:
            await engine.dispose()

    typer.echo("registered" if asyncio.run(run()) else "registered already")
