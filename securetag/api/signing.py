"""Tokens that the api signs and later recognizes: leases of workers, sessions of the page.

`<payload>.<mac>`, both base64url. The payload is JSON that the bearer can read; the MAC is HMAC-SHA256 of a
purpose and the payload, so that a token for one purpose is none for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from securetag.errors import InputError

T = TypeVar("T")
#: Longer than any token that is signed here: a lease names its worker in up to 200 characters of 4 bytes.
MAX_TOKEN = 2_000


class TokenError(InputError):
    """A token that this api didn't sign, or that is damaged."""


def compute_mac(purpose: str, text: str, key: str) -> str:
    """Return what proves that the holder of `key` has written `text` for this purpose."""
    mac = hmac.digest(key.encode(), f"{purpose}:{text}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def is_signed(purpose: str, text: str, mac: str, keys: Iterable[str]) -> bool:
    """Say whether `mac` proves `text` under one of the keys."""
    macs = [compute_mac(purpose, text, key) for key in keys]
    return mac.isascii() and any(hmac.compare_digest(candidate, mac) for candidate in macs)


def sign(purpose: str, value: object, key: str) -> str:
    """Return a token that holds `value`."""
    payload = base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()
    return f"{payload}.{compute_mac(purpose, payload, key)}"


def read_token(purpose: str, token: str, kind: type[T], keys: Iterable[str]) -> T:
    """Return what a token holds that was signed for this purpose under one of the keys. Raises TokenError."""
    payload, _, mac = token.partition(".")
    if len(token) > MAX_TOKEN or not token.isascii() or not is_signed(purpose, payload, mac, keys):
        raise TokenError("the token is not one that this api gave")
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=kind)
    except (binascii.Error, msgspec.DecodeError) as error:
        raise TokenError("the token is damaged") from error
