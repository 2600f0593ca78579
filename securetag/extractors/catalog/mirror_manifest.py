"""The manifest of a mirror: which file of a folder replaces which URL.

Format of `MANIFEST.json`: `{"files": [{"path", "url", "sha256", "bytes", "licence", "version", …}]}`;
`archive_member` marks a zip of one member and `content_encoding: gzip` a compressed file, both with
`member_sha256`.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

import msgspec

from securetag.errors import SettingsError


class MirrorEntry(msgspec.Struct, frozen=True):
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


class _ManifestFile(msgspec.Struct):
    files: list[MirrorEntry]


class MirrorManifest:
    """The entries of one mirror, in the order of their URLs."""

    def __init__(self, folder: Path, entries: list[MirrorEntry]) -> None:
        self.folder = folder
        self.entries = entries
        self._selections: dict[tuple[str, ...], list[MirrorEntry]] = {}

    @classmethod
    def load(cls, folder: Path) -> MirrorManifest:
        """Return the manifest of `folder`, read once per change of the file.

        Raises SettingsError where it is missing or malformed.
        """
        path = folder / "MANIFEST.json"
        try:
            return _load(folder, path.stat().st_mtime_ns)
        except (OSError, msgspec.DecodeError) as error:
            raise SettingsError(
                f"{path}: {error}", hint="SECURETAG_MIRROR names a folder with a MANIFEST.json."
            ) from error

    def select(self, globs: list[str]) -> list[MirrorEntry]:
        """Return the entries whose URL or pinned URL matches one of the globs, in the order of their URLs."""
        if not globs:
            return []
        if (selection := self._selections.get(tuple(globs))) is not None:
            return selection
        pattern = re.compile("|".join(translate(glob) for glob in globs))
        selection = [
            entry
            for entry in self.entries
            if pattern.match(entry.url) or (entry.url_pinned and pattern.match(entry.url_pinned))
        ]
        return self._selections.setdefault(tuple(globs), selection)


@lru_cache(maxsize=4)
def _load(folder: Path, _modified_ns: int) -> MirrorManifest:
    manifest = msgspec.json.decode((folder / "MANIFEST.json").read_bytes(), type=_ManifestFile)
    return MirrorManifest(folder, sorted(manifest.files, key=lambda entry: entry.url))
