"""Texts that are stored so that who reads the database alone can't read them.

A sealed text is `sealed.<version>.<token>`: the version names the key, the token is Fernet's (AES-128-CBC and
HMAC-SHA256, https://github.com/fyne-io/fernet-spec) under a key that is derived from it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from securetag.errors import SettingsError

_PREFIX = "sealed"
_KEY, _VERSION = b"securetag-sealing-key-v1", b"securetag-sealing-version-v1"


class SealError(SettingsError):
    """A text that none of the keys opens."""


class SecretBox:
    """Seals under the first of its keys and opens under each. A text from before sealing opens as it is."""

    def __init__(self, keys: Sequence[str]) -> None:
        """`keys` are secrets of any form; those after the first are the ones that it replaces."""
        self._keys = {_derive(key, _VERSION).hex()[:8]: key for key in reversed(keys)}
        self._current = _derive(keys[0], _VERSION).hex()[:8]
        #: What a text begins with that is sealed under the first key.
        self.prefix = f"{_PREFIX}.{self._current}."

    def seal(self, text: str) -> str:
        """Return the sealed text, another one each time."""
        # Here, since most processes seal nothing: it takes 8 MiB.
        from cryptography.fernet import Fernet

        token = Fernet(_encode(self._keys[self._current])).encrypt(text.encode())
        return self.prefix + token.decode()

    def open(self, stored: str) -> str:
        """Return the text. Raises SealError where its key isn't among ours, or it was changed."""
        prefix, _, rest = stored.partition(".")
        if prefix != _PREFIX:
            return stored
        from cryptography.fernet import Fernet, InvalidToken

        version, _, token = rest.partition(".")
        if version not in self._keys:
            raise SealError(
                f"it is sealed under a key that isn't set any more ({version})",
                hint="Set the key as the previous one, or make a new secret.",
            )
        try:
            return Fernet(_encode(self._keys[version])).decrypt(token.encode()).decode()
        except InvalidToken as error:
            raise SealError(
                "the sealed text was changed", hint="Make a new secret, or restore a backup."
            ) from error


def _derive(key: str, purpose: bytes) -> bytes:
    return hmac.digest(key.encode(), purpose, hashlib.sha256)


def _encode(key: str) -> bytes:
    return base64.urlsafe_b64encode(_derive(key, _KEY))
