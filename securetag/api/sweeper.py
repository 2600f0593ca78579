"""Remove what nothing names any more, and what has been kept as long as the settings say.

Every process of the api does so once an hour; two at once do no harm. Nothing younger than STALE_S is
touched, so that bytes whose row is still to come stay.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from securetag.api.receive import STALE_S, sweep
from securetag.api.services import ApiServices
from securetag.db.deletion import delete_bytes
from securetag.db.engine import cross_tenant_transaction
from securetag.db.models import Artifact, CodeauditUpload, IdempotencyKey, Task
from securetag.db.repositories import tenants
from securetag.db.repositories.webhooks import expire_deliveries, renew_seals
from securetag.db.states import TERMINAL
from securetag.errors import DatabaseUnavailableError
from securetag.settings.sections import RetentionKind
from securetag.storage import PART

log = logging.getLogger(__name__)

T = TypeVar("T")
#: Seconds between two sweeps.
SWEEP_S = 3_600.0
#: Days after which an Idempotency-Key may be used anew.
IDEMPOTENCY_DAYS = 7
#: Days that messages to webhooks are kept.
MESSAGE_DAYS = 30
#: Keys that one statement names.
CHUNK = 1_000
#: Name of the artifact that holds what a model was asked and has answered.
TRANSCRIPT = "triage.stdout.jsonl"


async def sweep_for_ever(services: ApiServices) -> None:
    """Sweep at once and then every SWEEP_S."""
    while True:
        try:
            swept = await sweep_all(services)
        except (DatabaseUnavailableError, OSError) as error:
            log.warning("the sweep was cut off: %s", error)
        except Exception:
            # Whatever it is, a process that no longer sweeps would fill the disk.
            log.exception("the sweep failed")
        else:
            if any(swept.values()):
                log.info("swept: %s", ", ".join(f"{count} {what}" for what, count in swept.items() if count))
        await asyncio.sleep(SWEEP_S)


async def sweep_all(services: ApiServices) -> dict[str, int]:
    """Sweep once; what → how many were removed. Raises DatabaseUnavailableError, OSError."""
    swept = {"half-received bodies": await asyncio.to_thread(sweep, services.incoming_dir)}
    swept["stored files without a row"] = await _sweep_storage(services)
    async with cross_tenant_transaction(services.engine) as session:
        tenant_ids = [row.id for row in await tenants.list_tenants(session, after=None, limit=None)]
    for tenant_id in tenant_ids:
        for what, count in (await _sweep_tenant(services, tenant_id)).items():
            swept[what] = swept.get(what, 0) + count
    return swept


async def _sweep_storage(services: ApiServices) -> int:
    """Delete old files that no row names, and those that were never written to their end."""
    storage = services.storage
    stale = await asyncio.to_thread(storage.list_stale, time.time() - STALE_S)
    of_tenant: dict[UUID, list[str]] = defaultdict(list)
    removed = 0
    for key in stale:
        folder, _, rest = key.partition("/")
        if PART in key:
            await asyncio.to_thread(storage.delete, key)
            removed += 1
        elif folder in {"uploads", "artifacts"}:
            try:
                of_tenant[UUID(rest.partition("/")[0])].append(key)
            except ValueError:
                continue  # not of the api's making
    for tenant_id, keys in of_tenant.items():
        for chunk in _batched(keys):
            removed += await delete_bytes(services.engine, storage, tenant_id, chunk)
    return removed


async def _sweep_tenant(services: ApiServices, tenant_id: UUID) -> dict[str, int]:
    """Delete a tenant's expired Idempotency-Keys, and bytes that were kept long enough."""
    removed: dict[str, int] = {}
    keys: list[str] = []
    async with services.tenant(tenant_id) as session:
        expired = delete(IdempotencyKey).where(IdempotencyKey.created_at < _days_ago(IDEMPOTENCY_DAYS))
        ids = await session.scalars(expired.returning(IdempotencyKey.id))
        removed["expired idempotency keys"] = len(ids.all())
        await renew_seals(session, services.secret_box)
        removed["messages to webhooks"] = await expire_deliveries(session, MESSAGE_DAYS)
        for kind, days in services.settings.api.retention_days.items():
            deleted = await _expire(session, kind, days)
            removed[f"{kind} past their retention"] = len(deleted)
            keys += deleted
    for chunk in _batched(keys):
        await delete_bytes(services.engine, services.storage, tenant_id, chunk)
    return removed


async def _expire(session: AsyncSession, kind: RetentionKind, days: int) -> Sequence[str]:
    """Delete the rows of one kind of bytes of ended scans; return the keys that they named."""
    table = CodeauditUpload if kind == "uploads" else Artifact
    ended = select(Task.id).where(Task.id == table.task_id, Task.state.in_(TERMINAL))
    expired = delete(table).where(table.created_at < _days_ago(days), ended.exists())
    if kind != "uploads":
        expired = expired.where((Artifact.name == TRANSCRIPT) == (kind == "transcripts"))
    return (await session.scalars(expired.returning(table.storage_key))).all()


def _days_ago(days: int) -> ColumnElement[object]:
    return func.clock_timestamp() - func.make_interval(0, 0, 0, days)


def _batched(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
