"""Pack a project for the upload, and say what stays behind."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from securetag.errors import InputError

#: Folders that hold no code of the project's own.
SKIPPED = frozenset({".git", ".venv", "node_modules", "__pycache__", ".mypy_cache", ".tox", "dist", "build"})
#: Entries that `Packed.left_out` names.
MAX_LISTED = 200

Reason = Literal["folder", "link", "unreadable", "special"]


class LeftOut(TypedDict):
    """A path that is not uploaded: a skipped folder, a link, what can't be read, or no file at all."""

    path: str
    reason: Reason


@dataclass(frozen=True)
class Packed:
    """What an archive holds and what it does not."""

    files: int
    #: The first MAX_LISTED of them, in order.
    left_out: list[LeftOut]
    #: How many of each kind, all counted.
    left_out_by_reason: dict[Reason, int]

    def describe(self) -> str:
        """Return one line: `folders .git, node_modules; 2 links`."""
        names = sorted({Path(item["path"]).name for item in self.left_out if item["reason"] == "folder"})
        texts = {"link": "links", "unreadable": "unreadable files", "special": "sockets, pipes and devices"}
        counted = [f"{n} {texts[name]}" for name, n in self.left_out_by_reason.items() if name != "folder"]
        return "; ".join([f"folders {', '.join(names)}", *counted] if names else counted)


def pack(folder: Path, archive: Path) -> Packed:
    """Zip a project's files, without links and without the folders that `SKIPPED` names.

    Members are sorted and carry a fixed time, so that the same project gives the same bytes.
    Raises InputError when there is nothing to scan.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", hint="Name the folder of a project.")
    count = 0
    left_out: list[LeftOut] = []
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path, kind in sorted(_walk(folder), key=lambda item: item[0]):
            reason, content = (kind, b"") if kind is not None else _read(path)
            name = path.relative_to(folder).as_posix()
            if reason is not None:
                left_out.append(LeftOut(path=name, reason=reason))
                continue
            member = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o600 << 16
            out.writestr(member, content)
            count += 1
    packed = Packed(count, left_out[:MAX_LISTED], dict(Counter(item["reason"] for item in left_out)))
    if not count:
        raise InputError(
            f"{folder} holds no files to scan" + (f"; left out: {packed.describe()}" if left_out else ""),
            hint="Name the folder that holds the project's code.",
        )
    return packed


def _read(path: Path) -> tuple[Reason | None, bytes]:
    try:
        return None, path.read_bytes()
    except OSError:
        return "unreadable", b""


def _walk(folder: Path) -> Iterator[tuple[Path, Reason | None]]:
    """Yield every file, and what is left out with the reason. No link is followed."""
    unreadable: list[Path] = []

    def note(error: OSError) -> None:
        unreadable.append(Path(error.filename))

    for parent, folders, names in os.walk(folder, onerror=note):
        kept = []
        for name in folders:
            path = Path(parent, name)
            if path.is_symlink():
                yield path, "link"
            elif name in SKIPPED:
                yield path, "folder"
            else:
                kept.append(name)
        folders[:] = kept
        for name in names:
            path = Path(parent, name)
            if path.is_symlink():
                yield path, "link"
            else:
                yield path, None if path.is_file() else "special"
    for path in unreadable:
        yield path, "unreadable"
