"""Lease tokens: what a worker shows to prove that the api itself gave it the task.

`<payload>.<mac>`, both base64url. The payload names task, tenant, worker and fence; the MAC is
HMAC-SHA256 under the lease key, which is the pepper where none is set. The token proves who claimed,
never that the lease still holds: the database says that on every write, by the fence.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

import msgspec

from securetag.db.leases import Lease
from securetag.errors import PermissionDeniedError

_DOMAIN = b"securetag-lease-v1:"
#: Longer than any token that `sign` makes for a worker id of 200 characters of 4 bytes.
_MAX_TOKEN = 2_000
_HINT = "Send the lease_token of POST /queue/next in X-Lease-Token."


def sign(lease: Lease, key: str) -> str:
    """The token of a lease."""
    payload = base64.urlsafe_b64encode(msgspec.json.encode(lease)).rstrip(b"=")
    return f"{payload.decode()}.{_mac(payload, key)}"


def verify(token: str | None, task_id: UUID, *keys: str) -> Lease:
    """Return the lease that a token for this task means, signed under one of `keys`.

    Raises PermissionDeniedError.
    """
    if not token or len(token) > _MAX_TOKEN or not token.isascii():
        raise PermissionDeniedError("the call carries no lease token", hint=_HINT)
    payload, _, mac = token.partition(".")
    if not any(hmac.compare_digest(_mac(payload.encode(), key), mac) for key in keys):
        raise PermissionDeniedError("the lease token is not one that this api gave", hint=_HINT)
    try:
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        lease = msgspec.json.decode(raw, type=Lease)
    except (binascii.Error, msgspec.DecodeError) as error:
        raise PermissionDeniedError("the lease token is damaged", hint=_HINT) from error
    if lease.task_id != task_id:
        raise PermissionDeniedError("the lease token is for another task", hint=_HINT)
    return lease


def _mac(payload: bytes, key: str) -> str:
    mac = hmac.new(key.encode(), _DOMAIN + payload, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
