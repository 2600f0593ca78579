"""A folder that answers for the internet: `MANIFEST.json` says which file stands for which URL.

Format: `{"files": [{"path", "url", "sha256", "bytes", "licence", "version", …}]}`; `archive_member`
marks a one-member zip and `content_encoding: gzip` a compressed file, both with `member_sha256`.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

import msgspec

from securetag.errors import SettingsError, SourceError
from securetag.scanning.unpack import DAMAGED_ZIP
from securetag.system.hashing import hash_bytes

#: Bytes of one decompressed file; the largest publication known is CWE's XML at 15 MB.
MAX_FILE = 512 * 1024 * 1024


class Entry(msgspec.Struct, frozen=True):
    """One file of the mirror."""

    path: str
    url: str
    sha256: str
    licence: str = ""
    version: str = ""
    url_pinned: str | None = None
    archive_member: str | None = None
    content_encoding: str | None = None
    member_sha256: str | None = None


class _Manifest(msgspec.Struct):
    files: list[Entry]


class Mirror:
    """The manifest of one folder, and its files."""

    def __init__(self, folder: Path, entries: list[Entry]) -> None:
        self.folder = folder
        self.entries = entries
        self._selected: dict[tuple[str, ...], list[Entry]] = {}

    @classmethod
    def at(cls, folder: Path) -> Mirror:
        """Read once per folder and change of the manifest. Raises SettingsError when there is none."""
        manifest = folder / "MANIFEST.json"
        try:
            return _load(folder, manifest.stat().st_mtime_ns)
        except (OSError, msgspec.DecodeError) as error:
            raise SettingsError(
                f"{manifest}: {error}", hint="SECURETAG_MIRROR names a folder with a MANIFEST.json."
            ) from error

    def select(self, globs: list[str]) -> list[Entry]:
        """Entries whose URL (or pinned URL) one of the globs matches, in the order of their URLs."""
        if not globs:
            return []
        if (known := self._selected.get(tuple(globs))) is not None:
            return known
        pattern = re.compile("|".join(translate(glob) for glob in globs))
        found = [
            entry for entry in self.entries
            if pattern.match(entry.url) or (entry.url_pinned and pattern.match(entry.url_pinned))
        ]  # fmt: skip
        return self._selected.setdefault(tuple(globs), found)

    def read(self, entry: Entry) -> bytes:
        """The file's bytes, verified. Raises SourceError for a wrong checksum or a path that leaves."""
        path = (self.folder / entry.path).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise SourceError(f"{entry.path}: lies outside the mirror")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SourceError(f"{entry.path}: {error.strerror}") from error
        verify(data, entry.sha256, entry.path)
        return data

    @staticmethod
    def unpack(entry: Entry, data: bytes) -> bytes | None:
        """What a container holds, verified; None where the file is none."""
        if entry.archive_member:
            inner = zip_member(data, entry.archive_member)
        elif entry.content_encoding == "gzip":
            inner = gunzip(data)
        else:
            return None
        if entry.member_sha256:
            verify(inner, entry.member_sha256, entry.archive_member or entry.path)
        return inner


@lru_cache(maxsize=4)
def _load(folder: Path, _changed: int) -> Mirror:
    manifest = msgspec.json.decode((folder / "MANIFEST.json").read_bytes(), type=_Manifest)
    return Mirror(folder, sorted(manifest.files, key=lambda entry: entry.url))


def verify(data: bytes, sha256: str, name: str) -> None:
    """Raises SourceError when the bytes aren't those that were pinned."""
    if (found := hash_bytes(data)) != sha256:
        raise SourceError(
            f"{name}: the checksum changed: expected {sha256[:12]}…, found {found[:12]}…",
            hint="Either the file is damaged, or upstream published another: compare them, "
            "then pin the new sha256.",
        )


def gunzip(data: bytes) -> bytes:
    """Raises SourceError for a bomb or a damaged file."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            inner = stream.read(MAX_FILE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"not a whole gzip file: {error}") from error
    if len(inner) > MAX_FILE:
        raise SourceError(f"a gzip file that unpacks to more than {MAX_FILE:,} bytes")
    return inner


def zip_member(data: bytes, name: str) -> bytes:
    """One member's bytes. Raises SourceError for a bomb, a damaged or an encrypted archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(name) as stream:
            inner = stream.read(MAX_FILE + 1)
    except (KeyError, *DAMAGED_ZIP) as error:
        raise SourceError(f"{name}: can't be unpacked: {error}") from error
    if len(inner) > MAX_FILE:
        raise SourceError(f"{name}: unpacks to more than {MAX_FILE:,} bytes")
    return inner
