"""The one form of texts and values that are hashed."""

from __future__ import annotations

import hashlib
import unicodedata

import msgspec
import rfc8785


def normalise_text(text: str) -> str:
    """NFC with LF line ends, without BOM: the form in which text is hashed and stored."""
    lf = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", lf)


def canonical_json(value: object) -> bytes:
    """RFC 8785 JSON of builtins or structs. Raises `rfc8785.CanonicalizationError` on NaN or big ints."""
    return rfc8785.dumps(msgspec.to_builtins(value))


def content_id(value: object) -> str:
    """64 hex digits: sha256 over `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
