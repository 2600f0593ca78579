"""The output of a fetch and the input of a reader: files, and failures to get them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec


class FetchedFile(msgspec.Struct, frozen=True):
    """One file of a source, unpacked and verified."""

    path: Path
    #: The address that the publisher serves the file at, wherever these bytes came from.
    url: str
    #: Checksum of the bytes at `path`.
    sha256: str
    edition: str
    licence: str


class Failure(msgspec.Struct, frozen=True):
    """A file or an item that couldn't be fetched or read, and the reason. Other files are unaffected."""

    file: str
    locator: str
    reason: str


OnFailure = Callable[[Failure], None]
