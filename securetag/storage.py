"""Bytes by key: a local folder by default, `s3://…` by setting, through fsspec.

Keys are relative, `/`-separated, and can't leave the root. This module knows no tenant and no
database: whoever calls it has checked both. What is stored here is customers' code, so a local file is
readable by its owner alone (0600 in folders of 0700), whatever the umask.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from securetag.errors import InputError, LimitError, NotFoundError, SettingsError
from securetag.system.extras import require_packages

_KEY = re.compile(r"[A-Za-z0-9_\-.]+(/[A-Za-z0-9_\-.]+)*")
CHUNK = 1 << 20
#: In the name of a file that is being written, and of one whose writer was killed.
PART = ".part-"


class Storage:
    """Files under one root."""

    def __init__(self, url: str, credentials: Mapping[str, str] | None = None) -> None:
        options = dict(credentials or {}) if url.startswith("s3://") else {"auto_mkdir": True}
        self._fs, self._root = url_to_fs(url, **options)
        self._is_local = isinstance(self._fs, LocalFileSystem)

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key) or any(part in {".", ".."} for part in key.split("/")):
            raise InputError(f"{key!r} is not a storage key")
        return f"{self._root.rstrip('/')}/{key}"

    def put(self, key: str, chunks: Iterable[bytes], *, limit: int) -> tuple[str, int]:
        """Write a file whole or not at all; returns (sha256 hex, bytes). Raises LimitError over `limit`."""
        path = self._path(key)
        digest, size = hashlib.sha256(), 0
        temporary = f"{path}{PART}{id(chunks):x}"
        try:
            with self._create(temporary) as out:
                for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise LimitError(f"more than {limit:,} bytes")
                    digest.update(chunk)
                    out.write(chunk)
            self._fs.mv(temporary, path)
        except BaseException:
            if self._fs.exists(temporary):
                self._fs.rm(temporary)
            raise
        return digest.hexdigest(), size

    def _create(self, path: str) -> IO[bytes]:
        if self._is_local:
            for folder in reversed(Path(path).parents):
                folder.mkdir(mode=0o700, exist_ok=True)
            return open(path, "wb", opener=_open_private)
        handle: IO[bytes] = self._fs.open(path, "wb")
        return handle

    def open(self, key: str) -> IO[bytes]:
        """Raises NotFoundError."""
        try:
            handle: IO[bytes] = self._fs.open(self._path(key), "rb")
        except FileNotFoundError as error:
            raise NotFoundError(f"nothing is stored under {key}") from error
        return handle

    def chunks(self, key: str) -> Iterator[bytes]:
        """The file in pieces of `CHUNK` bytes. Raises NotFoundError before the first."""
        handle = self.open(key)

        def read() -> Iterator[bytes]:
            with handle:
                while piece := handle.read(CHUNK):
                    yield piece

        return read()

    def sign(self, key: str, method: Literal["get", "put"], *, expires_s: int) -> str:
        """Return a URL that reads or writes one key of an S3 bucket without credentials, for so long.

        Raises SettingsError for a root that isn't s3://.
        """
        path = self._path(key)
        if self._is_local or not hasattr(self._fs, "url"):
            raise SettingsError(
                f"{self._root} has no URLs that another machine could open",
                hint="Set SECURETAG_STORAGE_URL to s3://BUCKET/FOLDER.",
            )
        url = self._fs.url(path, expires=expires_s, client_method=f"{method}_object")
        return str(url)

    def all_keys(self) -> list[str]:
        """Every key, in order; none where the root doesn't exist."""
        root = self._root.rstrip("/")
        if not self._fs.isdir(root):
            return []
        return sorted(str(path).removeprefix(f"{root}/") for path in self._fs.find(root))

    def list_stale(self, before: float) -> list[str]:
        """Every key whose file was written before a time (seconds since the epoch), in order."""
        root = self._root.rstrip("/")
        if not self._fs.isdir(root):
            return []
        files = self._fs.find(root, detail=True)
        return sorted(
            str(path).removeprefix(f"{root}/") for path, info in files.items() if _written_at(info) < before
        )

    def exists(self, key: str) -> bool:
        return bool(self._fs.exists(self._path(key)))

    def keys(self, folder: str) -> list[str]:
        """Every key below a folder, in order; none where the folder doesn't exist."""
        root = self._path(folder)
        if not self._fs.isdir(root):
            return []
        return sorted(f"{folder}{str(path)[len(root) :]}" for path in self._fs.find(root))

    def delete(self, key: str) -> None:
        """Delete a file; one that isn't there is not an error."""
        path = self._path(key)
        if self._fs.exists(path):
            self._fs.rm(path)


def _written_at(info: Mapping[str, object]) -> float:
    """Return when a file was written, by what fsspec says of it: S3 gives a time, a local file seconds."""
    at = info.get("LastModified") or info["mtime"]
    if isinstance(at, datetime):
        return at.timestamp()
    assert isinstance(at, int | float), "fsspec gives a time or seconds"
    return float(at)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def storage_for(url: str, credentials: Mapping[str, str] | None = None) -> Storage:
    """A Storage at an fsspec URL; raises ValueError for an unknown protocol.

    `credentials` are s3fs's `key` and `secret`, and go to s3:// alone. Raises ModuleNotFoundError for s3://
    without the extra `s3`.
    """
    if url.startswith("s3://"):
        require_packages(["s3fs"])  # fsspec's own error has no name, so that no extra could be advised
    fsspec.get_filesystem_class(url.split("://", 1)[0] if "://" in url else "file")
    return Storage(url, credentials)
