"""Verify and unpack downloaded bytes, within bounds."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib

from securetag.errors import SourceError
from securetag.scanning.unpack import DAMAGED_ZIP
from securetag.system.hashing import hash_bytes

#: Bytes of one decompressed file; the largest publication so far is CWE's XML at 15 MB.
MAX_FILE_BYTES = 512 * 1024 * 1024


def verify_checksum(data: bytes, sha256: str, name: str) -> None:
    """Raise SourceError when the bytes don't have the pinned checksum; `name` is for the message."""
    if (actual := hash_bytes(data)) != sha256:
        raise SourceError(
            f"{name}: the checksum changed: expected {sha256[:12]}…, found {actual[:12]}…",
            hint="Either the file is damaged, or upstream published another: compare them, "
            "then pin the new sha256.",
        )


def gunzip(data: bytes) -> bytes:
    """Return the decompressed bytes. Raises SourceError for a damaged file or more than MAX_FILE_BYTES."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"not a whole gzip file: {error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise SourceError(f"a gzip file that unpacks to more than {MAX_FILE_BYTES:,} bytes")
    return content


def read_zip_member(data: bytes, name: str) -> bytes:
    """Return one member of a zip archive.

    Raises SourceError for a damaged or encrypted archive, a missing member, or more than MAX_FILE_BYTES.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(name) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except (KeyError, *DAMAGED_ZIP) as error:
        raise SourceError(f"{name}: can't be unpacked: {error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise SourceError(f"{name}: unpacks to more than {MAX_FILE_BYTES:,} bytes")
    return content
