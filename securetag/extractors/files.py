"""What a fetch hands to a reader: one file of a source, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec


class FetchedFile(msgspec.Struct, frozen=True):
    """One file of a source, as its readers see it: unpacked and verified."""

    path: Path
    #: What production would download.
    url: str
    #: Of the bytes at `path`.
    sha256: str
    edition: str
    licence: str


class Failure(msgspec.Struct, frozen=True):
    """A file or an item that couldn't be had or read, and why. It costs no other."""

    file: str
    locator: str
    reason: str


OnFailure = Callable[[Failure], None]
