"""Lease tokens: what a worker shows to prove that the api itself gave it the task.

A token (`securetag.api.signing`) names task, tenant, worker and fence, signed under the lease key, which is
the pepper where none is set. It proves who claimed, never that the lease still holds: the database says that
on every write, by the fence.
"""

from __future__ import annotations

from uuid import UUID

from structlog.contextvars import bind_contextvars

from securetag.api import signing
from securetag.db.leases import Lease
from securetag.errors import PermissionDeniedError

_PURPOSE = "securetag-lease-v1"
_HINT = "Send the lease_token of POST /queue/next in X-Lease-Token."


def sign(lease: Lease, key: str) -> str:
    """Return the token of a lease."""
    return signing.sign(_PURPOSE, lease, key)


def verify(token: str | None, task_id: UUID, *keys: str) -> Lease:
    """Return the lease that a token for this task means, signed under one of `keys`.

    Raises PermissionDeniedError.
    """
    if not token:
        raise PermissionDeniedError("the call carries no lease token", hint=_HINT)
    try:
        lease = signing.read_token(_PURPOSE, token, Lease, keys)
    except signing.TokenError as error:
        raise PermissionDeniedError(f"the lease isn't known: {error}", hint=_HINT) from error
    if lease.task_id != task_id:
        raise PermissionDeniedError("the lease token is for another task", hint=_HINT)
    # For the log lines of this request.
    bind_contextvars(task_id=str(task_id))
    return lease
