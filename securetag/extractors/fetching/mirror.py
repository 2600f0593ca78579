"""Read the files of a mirror: a folder whose manifest says which file replaces which URL."""

from __future__ import annotations

from pathlib import Path

from securetag.errors import SourceError
from securetag.extractors.catalog import MirrorEntry
from securetag.extractors.fetching.unpack import gunzip, read_zip_member, verify_checksum


def read_entry(folder: Path, entry: MirrorEntry) -> bytes:
    """Return the bytes of an entry. Raises SourceError for a wrong checksum or a path outside `folder`."""
    path = (folder / entry.path).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise SourceError(f"{entry.path}: is outside the mirror")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{entry.path}: {error.strerror}") from error
    verify_checksum(data, entry.sha256, entry.path)
    return data


def unpack_entry(entry: MirrorEntry, data: bytes) -> bytes | None:
    """Return the verified content of an archive or a compressed file; None for any other file.

    Raises SourceError for a damaged archive or a wrong checksum of its member.
    """
    if entry.archive_member:
        content = read_zip_member(data, entry.archive_member)
    elif entry.content_encoding == "gzip":
        content = gunzip(data)
    else:
        return None
    if entry.member_sha256:
        verify_checksum(content, entry.member_sha256, entry.archive_member or entry.path)
    return content
