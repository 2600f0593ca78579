"""The manifest of a backup: what is in the folder, and whether it is that still."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from securetag.errors import InputError, NotFoundError
from securetag.records import content_id
from securetag.system.hashing import hash_file

FILE = "manifest.json"
#: Below the folder: the parts of a backup.
DATABASE, ARTIFACTS, MODELS = "database", "artifacts", "models"
RELEASES, ERASURES, REVIEWS = "releases", "erasures", "reviews.jsonl"
_PART = re.compile(rf"({DATABASE}|{ARTIFACTS}|{MODELS}|{RELEASES}|{ERASURES})/|{REVIEWS}$")

#: (what is being done, bytes done) → shown to a person.
Progress = Callable[[str, int], None]


class FileEntry(msgspec.Struct, frozen=True):
    """One file of the backup."""

    sha256: str
    bytes: int


class Table(msgspec.Struct, frozen=True):
    """One table, in the order in which tables are loaded."""

    name: str
    columns: list[str]
    rows: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds. `seal` is the digest of all the other fields."""

    schema: Literal[1] = 1
    created_at: str
    code_version: str
    #: Of the database's schema.
    revision: str
    tables: list[Table]
    #: Sequence → its last value.
    sequences: dict[str, int]
    files: dict[str, FileEntry]
    #: Artifacts that a row names and that were gone when they were to be copied.
    missing: list[str]
    #: Files of models outside the models folder, in a package for example, which are not in the backup.
    outside: list[str]
    seal: str = ""

    def sealed(self) -> Manifest:
        """Return the same manifest with the seal that fits it."""
        return msgspec.structs.replace(self, seal=_seal(self))


def read_manifest(folder: Path) -> Manifest:
    """Raises NotFoundError where there is no backup, InputError for one that is damaged or newer."""
    try:
        content = (folder / FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(
            f"there is no backup at {folder}", hint="`securetag backup PATH` makes one; name its folder."
        ) from error
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise _damaged(folder, f"{FILE} can't be read ({error})") from error
    if manifest.seal != _seal(manifest):
        raise _damaged(folder, f"{FILE} was changed")
    return manifest


def verify(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Check that the folder holds what its manifest says and nothing else. Raises InputError."""
    for name in manifest.files:
        if not _PART.match(name) or {"", ".", ".."} & set(name.split("/")):
            raise _damaged(folder, f"{name!r} would be outside of a backup's folders")
    present = set(_list_files(folder))
    for name in sorted(manifest.files.keys() - present):
        raise _damaged(folder, f"{name} is missing")
    for name in sorted(present - manifest.files.keys() - {FILE}):
        raise _damaged(folder, f"{name} doesn't belong to it")
    done = 0
    for name, entry in manifest.files.items():
        path = folder / name
        if path.stat().st_size != entry.bytes or hash_file(path) != entry.sha256:
            raise _damaged(folder, f"{name} has other bytes than when it was written")
        done += entry.bytes
        progress(f"checking {name}", done)


def _list_files(folder: Path) -> list[str]:
    """Return every file's path below the folder. Raises InputError for a link or a special file."""
    names = []
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place) / name
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise _damaged(folder, f"{path.relative_to(folder)} is a link or a special file")
        names += [(Path(place) / name).relative_to(folder).as_posix() for name in files]
    return names


def _seal(manifest: Manifest) -> str:
    return content_id(msgspec.to_builtins(msgspec.structs.replace(manifest, seal="")))


def _damaged(folder: Path, what: str) -> InputError:
    return InputError(
        f"the backup at {folder} is damaged: {what}", hint="Nothing was restored. Use another backup."
    )
