"""`securetag dataset erase`: withdraw a tenant's data or a source, and say what held it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from securetag.cli.output import Json, emit, reported, show

if TYPE_CHECKING:
    from securetag.pipeline.withdrawals import Receipt


@reported
def erase(
    source: Annotated[str | None, typer.Option(help="Name of a source that may not be trained on.")] = None,
    tenant: Annotated[UUID | None, typer.Option(help="Id of a tenant that wants to be forgotten.")] = None,
    project: Annotated[UUID | None, typer.Option(help="With --tenant: only this project of it.")] = None,
    finding: Annotated[UUID | None, typer.Option(help="With --tenant: only this finding of it.")] = None,
    as_json: Json = False,
) -> None:
    """Work off a withdrawal: next build, models, receipt.

    What is withdrawn stays out of the next build, the models that were trained on it are marked.

    Without options it works off what tenants sent to POST /erasure. Releases that exist aren't changed.
    """
    import asyncio

    import msgspec

    from securetag.errors import InputError
    from securetag.pipeline.withdrawals import FOLDER, erase_source
    from securetag.settings import get_settings

    settings = get_settings()
    if source is not None and tenant is not None:
        raise InputError("a source and a tenant are two withdrawals", hint="Run the command twice.")
    if tenant is None and (project or finding):
        raise InputError("whose project or finding is it?", hint="Name the tenant with --tenant.")
    if source is not None:
        receipts = [erase_source(source, settings)]
    else:
        from securetag.pipeline.erasure import erase_pending, request_erasure

        if tenant is not None:
            asyncio.run(request_erasure(settings, tenant, project_id=project, finding_id=finding))
        receipts = asyncio.run(erase_pending(settings))
    if as_json:
        emit(msgspec.to_builtins(receipts))
        return
    show(
        ["erasure", "of", "releases that held it", "rows", "models marked"],
        [_row(receipt) for receipt in receipts],
    )
    typer.echo(f"Receipts: {settings.data / FOLDER}")


def _row(receipt: Receipt) -> list[object]:
    return [
        receipt.id,
        f"{receipt.subject.kind} {receipt.subject.id}",
        ", ".join(release.release for release in receipt.releases) or "none",
        sum(release.examples for release in receipt.releases),
        ", ".join(model.model_id[:12] for model in receipt.models) or "none",
    ]
