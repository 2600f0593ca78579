"""Leases and bytes between workers and tenants.

A worker's key says that it may work; the lease token says on what. The tenant of every row that is
read or written here is the leased task's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import bindparam, select

from securetag.api.lease import sign
from securetag.api.receive import Incoming
from securetag.api.services import ApiServices
from securetag.db import queue
from securetag.db.engine import plain_connection
from securetag.db.leases import Lease
from securetag.db.models import CodeauditUpload, Tenant
from securetag.db.plain import fetch_as_tenant, write_plain
from securetag.db.repositories import artifacts
from securetag.db.repositories.notifications import wait_for
from securetag.errors import DatabaseUnavailableError, InputError, NotFoundError
from securetag.wire.api import ArtifactAnswer
from securetag.wire.queue import MODEL_POLICY, NextRequest
from securetag.wire.queue import Lease as LeaseAnswer

log = logging.getLogger(__name__)

#: Seconds between two looks while a worker waits: retries come due without a notification.
POLL_S = 1.0
#: What a worker is told of a claimed task beside the task's row.
_CONTEXT = write_plain(
    select(
        Tenant.model_policy, CodeauditUpload.sha256, CodeauditUpload.size, CodeauditUpload.filename
    ).outerjoin_from(Tenant, CodeauditUpload, CodeauditUpload.task_id == bindparam("of_task"))
)


async def next_lease(
    services: ApiServices, request: NextRequest, gone: Callable[[], Awaitable[bool]]
) -> LeaseAnswer | None:
    """A claimed task within `asked.wait_s` seconds, else None. `gone` says that the worker hung up."""
    deadline = time.monotonic() + request.wait_s
    while not await gone():
        notification = services.notifier.next_notification()
        claim = await queue.claim(
            services.engine,
            request.worker_id,
            request.kinds,
            lease_s=services.settings.api.lease_s,
            max_running=services.quotas.running,
        )
        if claim is not None:
            services.metrics.claims.inc()
            return await _described(services, claim)
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        await wait_for(notification, min(left, POLL_S))
    return None


async def _described(services: ApiServices, claim: queue.Claim) -> LeaseAnswer:
    lease = claim.lease
    async with plain_connection(services.engine) as connection:
        ((model_policy, *upload),) = await fetch_as_tenant(
            connection, lease.tenant_id, _CONTEXT, of_task=lease.task_id
        )
    return LeaseAnswer.model_validate(
        {
            "task_id": lease.task_id,
            "kind": claim.kind,
            "attempt": claim.attempt,
            "max_attempts": claim.max_attempts,
            "fence": lease.fence,
            "lease_token": sign(lease, services.lease_keys[0]),
            "lease_s": services.settings.api.lease_s,
            "time_limit_s": claim.time_limit_s,
            "params": {**claim.params, MODEL_POLICY: model_policy},
            "upload": dict(zip(("sha256", "size", "filename"), upload, strict=True)) if upload[0] else None,
        }
    )


async def upload_key_of(services: ApiServices, lease: Lease) -> tuple[str, str, int]:
    """(storage key, sha256, bytes) of the task's archive. Raises FencedError, NotFoundError."""
    async with services.tenant(lease.tenant_id) as session:
        await queue.lock_lease(session, lease)
        upload = await artifacts.upload_of(session, lease.task_id)
    if upload is None:
        raise NotFoundError("this task came without an archive")
    return upload.storage_key, upload.sha256, upload.size


async def is_stored(services: ApiServices, lease: Lease, name: str, sha256: str) -> ArtifactAnswer | None:
    """The artifact, where this lease has stored these bytes before. Raises FencedError."""
    async with services.tenant(lease.tenant_id) as session:
        await queue.lock_lease(session, lease)
        artifact = await artifacts.find_artifact(session, lease.task_id, name)
    key = artifacts.artifact_key(lease.tenant_id, lease.task_id, lease.fence, name)
    if artifact is None or (artifact.sha256, artifact.storage_key) != (sha256, key):
        return None
    return ArtifactAnswer.model_validate(artifact)


async def drop_orphans(services: ApiServices, lease: Lease) -> None:
    """After an attempt's end: bytes below the task's folder that no row names are deleted.

    They come from attempts that died between the bytes and the row. An error here is only logged:
    the result stands.
    """
    folder = artifacts.artifact_folder(lease.tenant_id, lease.task_id)
    try:
        async with services.tenant(lease.tenant_id) as session:
            named = await artifacts.list_keys(session, lease.task_id)
        lying = await asyncio.to_thread(services.storage.keys, folder)
        for key in set(lying) - named:
            await asyncio.to_thread(services.storage.delete, key)
    except (OSError, DatabaseUnavailableError) as error:
        log.warning("leftovers of task %s stay: %s", lease.task_id, error)


async def store_artifact(
    services: ApiServices, lease: Lease, name: str, sha256: str, body: Incoming
) -> ArtifactAnswer:
    """Store the bytes in place of an earlier attempt's. Raises InputError, FencedError."""
    if body.sha256 != sha256:
        raise InputError(
            "the bytes that arrived don't have the digest of the header", hint="Send the artifact again."
        )
    key = artifacts.artifact_key(lease.tenant_id, lease.task_id, lease.fence, name)
    # Before the transaction: a slow storage must hold no connection. The fence in the key keeps the bytes of
    # an attempt that has lost its lease meanwhile out of its successor's way; the task's end removes them.
    await asyncio.to_thread(services.storage.put, key, body.chunks(), limit=body.limit)
    async with services.tenant(lease.tenant_id) as session:
        task = await queue.lock_lease(session, lease)
        before = await artifacts.find_artifact(session, lease.task_id, name)
        old_key = before.storage_key if before is not None else None
        await artifacts.replace_artifact(
            session,
            lease.tenant_id,
            task_id=lease.task_id,
            name=name,
            attempt=task.attempt,
            sha256=sha256,
            size=body.size,
            storage_key=key,
        )
    if old_key is not None and old_key != key:
        await asyncio.to_thread(services.storage.delete, old_key)
    return ArtifactAnswer(name=name, sha256=sha256, size=body.size)
