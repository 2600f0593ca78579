"""Jobs that make no asset: going back to the model before, and working off erasure requests."""

# No `from __future__ import annotations` here: Dagster reads the annotations of its functions.

import asyncio

import dagster as dg

from securetag.assets.config import RollbackConfig
from securetag.assets.metadata import table
from securetag.settings import Settings


@dg.op(description="Point the alias at the model that it meant before.")
def roll_back(
    context: dg.OpExecutionContext, config: RollbackConfig, settings: dg.ResourceParam[Settings]
) -> None:
    """Roll an alias back. Raises NotFoundError, ConflictError where nothing is left to go back to."""
    from securetag.pipeline.publish import rollback as run

    entry = run(config.alias, settings)
    context.log.info(f"{config.alias} is {entry.model_id[:12]} again")
    context.add_output_metadata({"alias": config.alias, "model_id": entry.model_id})


@dg.job(
    description="Give an alias back to the model that it meant before; workers ask that one from then on."
)
def rollback() -> None:
    """Roll back."""
    roll_back()


@dg.op(description="Work off every tenant's open erasure requests, oldest first.")
def erase_requests(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    """Erase, and show the receipts. Raises DatabaseUnavailableError, ReleaseError."""
    from securetag.pipeline.erasure import erase_pending

    receipts = asyncio.run(erase_pending(settings, by="dagster"))
    context.log.info(f"{len(receipts)} requests were worked off")
    rows = [
        (receipt.id, receipt.requested_by, len(receipt.consents), len(receipt.findings))
        for receipt in receipts
    ]
    context.add_output_metadata(
        {"requests": len(receipts), "receipts": table(["request", "by", "consents", "findings"], rows)}
    )


@dg.job(
    description="Withdraw what tenants asked to erase from later releases, and mark models trained on it."
)
def erase() -> None:
    """Work off erasure requests."""
    erase_requests()
