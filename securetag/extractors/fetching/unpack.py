"""Verify and unpack downloaded bytes, within bounds."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from typing import Protocol

from securetag.errors import SourceError
from securetag.system.hashing import hash_bytes
from securetag.system.zips import DAMAGED_ZIP

#: Bytes of one decompressed file; the largest publication so far is CWE's XML at 15 MB.
MAX_FILE_BYTES = 512 * 1024 * 1024
#: From here on a file that unpacks to more than MAX_RATIO times its size is a bomb. Publications of JSON and
#: XML pack to a twentieth; zeros pack to a thousandth.
BOMB_BYTES, MAX_RATIO = 8 << 20, 200
_CHUNK_BYTES = 1 << 18


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def verify_checksum(data: bytes, sha256: str, name: str) -> None:
    """Raise SourceError when the bytes don't have the pinned checksum; `name` is for the message."""
    if (actual := hash_bytes(data)) != sha256:
        raise SourceError(
            f"{name}: the checksum changed: expected {sha256[:12]}…, found {actual[:12]}…",
            hint="Either the file is damaged, or upstream published another: compare them, "
            "then pin the new sha256.",
        )


def gunzip(data: bytes) -> bytes:
    """Return the decompressed bytes.

    Raises SourceError for a damaged file, a bomb, or more than MAX_FILE_BYTES.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return read_bounded(stream, len(data), "a gzip file")
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"not a whole gzip file: {error}") from error


def read_zip_member(data: bytes, name: str) -> bytes:
    """Return one member of a zip archive.

    Raises SourceError for a damaged or encrypted archive, a missing member, a bomb, or more than
    MAX_FILE_BYTES.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(name) as stream:
            return read_bounded(stream, archive.getinfo(name).compress_size, name)
    except (KeyError, *DAMAGED_ZIP) as error:
        raise SourceError(f"{name}: can't be unpacked: {error}") from error


def read_bounded(stream: _Readable, packed_bytes: int, name: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return all bytes of a stream that unpacks `packed_bytes`.

    Raises SourceError, as soon as it is seen, for more than `max_bytes`, and for a bomb: more than
    BOMB_BYTES that are over MAX_RATIO times what was packed.
    """
    content = bytearray()
    while chunk := stream.read(_CHUNK_BYTES):
        content += chunk
        if len(content) > max_bytes:
            raise SourceError(f"{name}: unpacks to more than {MAX_FILE_BYTES:,} bytes")
        if len(content) > max(BOMB_BYTES, MAX_RATIO * packed_bytes):
            raise SourceError(f"{name}: a bomb, which unpacks to over {MAX_RATIO} times its size")
    return bytes(content)
