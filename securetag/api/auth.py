"""Who calls, by `X-API-Key`, and whether the key has the scope that the call needs.

The scopes are described in `securetag.db.repositories.keys`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader
from structlog.contextvars import bind_contextvars

from securetag.api.services import ApiServices, Services
from securetag.db.engine import places_of
from securetag.db.places import Places
from securetag.db.repositories.keys import Principal, authenticate, record_use
from securetag.db.repositories.quotas import find_quotas
from securetag.errors import AuthenticationError, DatabaseUnavailableError, PermissionDeniedError

log = logging.getLogger(__name__)

#: Part of the time limit that an answer gets beyond it, where it may have come already.
GRACE = 0.25
HEADER = "X-API-Key"
_header = APIKeyHeader(name=HEADER, auto_error=False, description="`stk_…`, from `securetag key create`.")


#: The key of a call that begins its own transaction (`securetag.api.reading`).
Key = Annotated[str | None, Security(_header)]


async def read_principal(services: Services, key: Key) -> Principal:
    """Raises AuthenticationError, QuotaError and DatabaseUnavailableError."""
    if not key:
        raise AuthenticationError(
            "the call carries no API key", hint=f"Send a key of yours in the header {HEADER}."
        )
    # Every call begins here, so this is where a database that hangs is noticed soon.
    places = places_of(services.engine)
    async with places.take():
        caller = await _promptly(_known(services, key), services.settings.api.connect_timeout_s, places)
    bind_contextvars(tenant=str(caller.tenant_id))
    if services.use_is_news(caller.key_id):
        async with services.tenant(caller.tenant_id) as session:
            await record_use(session, caller.key_id)
            quotas = await find_quotas(session, services.quotas)
        services.rates.set_limit(caller.tenant_id, quotas.calls_a_minute)
    if not caller.may("worker"):
        services.rates.count(caller.tenant_id)
    return caller


async def _known(services: ApiServices, key: str) -> Principal:
    await services.check_revision()
    return await authenticate(services.engine, key, services.peppers)


async def _promptly(looking: Coroutine[object, None, Principal], seconds: float, places: Places) -> Principal:
    """The result within so many seconds, else DatabaseUnavailableError, also for all who wait for a place.

    A canceled query waits for a frozen server to confirm it (10 s were measured), so it is left to
    end by itself, and the caller is answered now.
    """
    task = asyncio.create_task(looking)
    # The clock counts what the event loop was busy with too: what came meanwhile is read in the second wait.
    for limit in (seconds, seconds * GRACE):
        done, _ = await asyncio.wait({task}, timeout=limit)
        if done:
            break
    if done:
        return task.result()
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()
    error = DatabaseUnavailableError(
        "the database didn't answer in time", hint="Repeat the call with the same Idempotency-Key."
    )
    places.refuse_waiting(error)
    raise error


#: Held until they end: the event loop itself keeps only weak references to tasks.
_abandoned: set[asyncio.Task[Principal]] = set()


def _forget(task: asyncio.Task[Principal]) -> None:
    _abandoned.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("a look-up that was given up ended with: %s", error)


def require_scope(scope: str) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency that lets only keys with this scope through. Raises PermissionDeniedError."""

    async def allowed(caller: Annotated[Principal, Depends(read_principal)]) -> Principal:
        check_scope(caller, scope)
        return caller

    return allowed


def check_scope(caller: Principal, scope: str) -> None:
    """Raise PermissionDeniedError where the caller's key lacks this scope."""
    if not caller.may(scope):
        raise PermissionDeniedError(
            f"this key has no scope `{scope}`",
            hint=f"Use a key with `{scope}`, or have an administrator make one (POST /keys).",
        )


async def _operator(caller: Annotated[Principal, Depends(read_principal)]) -> Principal:
    if not caller.operator:
        raise PermissionDeniedError(
            "only an operator's key may do this", hint="An operator's key has both `admin` and `worker`."
        )
    return caller


Reader = Annotated[Principal, Depends(require_scope("read"))]
Scanner = Annotated[Principal, Depends(require_scope("scan"))]
Reviewer = Annotated[Principal, Depends(require_scope("feedback"))]
Admin = Annotated[Principal, Depends(require_scope("admin"))]
Operator = Annotated[Principal, Depends(_operator)]
