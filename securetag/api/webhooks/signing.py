"""Signatures of messages, as https://www.standardwebhooks.com has them.

What is signed is `<webhook-id>.<webhook-timestamp>.<body>`. The header holds a signature for each secret that
is valid, so that a receiver may change its own at any time of a rotation's overlap.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return `v1,<base64>`; `timestamp` is in Unix seconds."""
    key = base64.b64decode(secret.rpartition("_")[2])
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def make_headers(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a message."""
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: " ".join(sign(secret, message_id, timestamp, body) for secret in secrets),
    }
