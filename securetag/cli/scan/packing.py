"""Pack a project for the upload, and say what stays behind."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from securetag.errors import InputError
from securetag.scanning.exclusion import Exclusion
from securetag.scanning.languages import COPIED_SUFFIXES, SCANNED_SUFFIXES, language_of
from securetag.wire.api import LeftOutFile
from securetag.wire.queue import SkipReason

#: Folders that hold no code of the project's own.
SKIPPED = frozenset({".git", ".venv", "node_modules", "__pycache__", ".mypy_cache", ".tox"})
#: Folders of builds, some of which hold sources: of these the code is packed, unless it was generated.
BUILDS = frozenset({"dist", "build"})
#: Entries that `Packed.left_out` and `Packed.named` name, and characters of the latter.
MAX_LISTED, MAX_NAMED = 200, 50_000
#: Names that a line of text gives for each reason.
EXAMPLES = 3
#: Bytes of one file; no scanner reads a larger one.
MAX_FILE = 20_000_000
#: Bytes from which binary data is left out: weights, images, databases.
DATA_BYTES = 1_000_000
#: Bytes at the beginning of a file in which NUL means that it is binary.
HEAD_BYTES = 8_192
#: Bytes a line, on average, that code written by people doesn't reach.
MAX_LINE_BYTES = 400
#: Characters of a path and bytes of a name that an upload may have.
MAX_PATH, MAX_COMPONENT = 400, 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CODE = SCANNED_SUFFIXES.keys() | COPIED_SUFFIXES.keys()

Reason = Literal[
    "folder", "link", "unreadable", "special", "name", "too_large", "data", "minified", "build", "excluded"
]
_TEXTS: dict[Reason, str] = {
    "link": "links",
    "unreadable": "unreadable files",
    "special": "sockets, pipes and devices",
    "name": "files with a name that can't be uploaded",
    "too_large": f"files over {MAX_FILE // 1_000_000} MB",
    "data": "files of binary data over 1 MB",
    "minified": "minified files of builds",
    "build": "other files of builds",
    "excluded": "excluded files",
}


#: Where not all can be named: those first in which a finding may be.
_PRIORITIES: tuple[Reason, ...] = (
    "too_large",
    "unreadable",
    "name",
    "link",
    "folder",
    "data",
    "minified",
    "build",
    "special",
    "excluded",
)


class LeftOut(TypedDict):
    """A path that is not uploaded, and why."""

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
    #: Those that a scan's coverage names: first the ones that may hold code.
    named: list[LeftOutFile]

    def describe(self) -> str:
        """Return one line: `folders .git, node_modules; 2 links; 1 files over 20 MB (dump.sql)`."""
        names = sorted({Path(item["path"]).name for item in self.left_out if item["reason"] == "folder"})
        counts = self.left_out_by_reason
        counted = [
            f"{n} {_TEXTS[name]}{self._examples(name, n)}" for name, n in counts.items() if name != "folder"
        ]
        return "; ".join([f"folders {', '.join(names)}", *counted] if names else counted)

    def _examples(self, reason: Reason, count: int) -> str:
        """Return ` (a.py, b.py, …)` for a reason for which code may be missing, else nothing."""
        if reason not in {"too_large", "unreadable", "name"}:
            return ""
        names = [file.path for file in self.named if file.reason == reason][:EXAMPLES]
        return f" ({', '.join(names)}{', …' if len(names) < count else ''})"

    def count_by_reason(self) -> dict[SkipReason, int]:
        """Return the counts as a scan's coverage states them."""
        counts: Counter[SkipReason] = Counter()
        for reason, count in self.left_out_by_reason.items():
            counts[_to_skip_reason(reason)] += count
        return dict(counts)


def _to_skip_reason(reason: Reason) -> SkipReason:
    return SkipReason.FOLDER if reason == "build" else SkipReason(reason)


def _name_some(left_out: Sequence[LeftOut], paths: Sequence[Path]) -> list[LeftOutFile]:
    """Return at most MAX_LISTED of the files, and no more than MAX_NAMED characters of them."""
    named: list[LeftOutFile] = []
    characters = 0
    for item, path in sorted(
        zip(left_out, paths, strict=True), key=lambda pair: _PRIORITIES.index(pair[0]["reason"])
    ):
        characters += len(item["path"])
        if len(named) == MAX_LISTED or characters > MAX_NAMED:
            break
        try:
            size = path.lstat().st_size
        except OSError:
            size = 0
        named.append(
            LeftOutFile(path=item["path"][:4_096], reason=_to_skip_reason(item["reason"]), bytes=size)
        )
    return named


def pack(folder: Path, archive: Path, *, exclude: Sequence[str] = ()) -> Packed:
    """Zip a project's files, without links, odd files, and what `exclude` names.

    Members are sorted and carry a fixed time, so that the same project gives the same bytes.
    Raises InputError when there is nothing to scan, or for a pattern that can't be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", hint="Name the folder of a project.")
    exclusion = Exclusion(exclude)
    count = 0
    left_out: list[LeftOut] = []
    paths: list[Path] = []
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path, kind in sorted(_walk(folder), key=lambda item: item[0]):
            name = path.relative_to(folder).as_posix()
            reason = kind or _find_reason(path, name, exclusion)
            content = b""
            if reason is None:
                reason, content = _read(path, name)
            if reason is not None:
                left_out.append(LeftOut(path=_shown(name), reason=reason))
                paths.append(path)
                continue
            member = zipfile.ZipInfo(name, date_time=(2020, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o600 << 16
            out.writestr(member, content)
            count += 1
    by_reason = dict(Counter(item["reason"] for item in left_out))
    packed = Packed(count, left_out[:MAX_LISTED], by_reason, _name_some(left_out, paths))
    if not count:
        raise InputError(
            f"{folder} holds no files to scan" + (f"; left out: {packed.describe()}" if left_out else ""),
            hint="Name the folder that holds the project's code.",
        )
    return packed


def _find_reason(path: Path, name: str, exclusion: Exclusion) -> Reason | None:
    """Return why a file is left out without being read; None where it isn't."""
    if _CONTROL.search(name) or len(name) > MAX_PATH or not _has_valid_parts(name):
        return "name"
    if exclusion.excludes(name):
        return "excluded"
    try:
        if path.stat().st_size > MAX_FILE:
            return "too_large"
    except OSError:
        return "unreadable"
    if _is_in_build(name) and language_of(name) not in _CODE:
        return "build"
    return None


def _has_valid_parts(name: str) -> bool:
    try:
        return all(len(part.encode()) <= MAX_COMPONENT for part in name.split("/"))
    except UnicodeEncodeError:
        return False


def _read(path: Path, name: str) -> tuple[Reason | None, bytes]:
    try:
        content = path.read_bytes()
    except OSError:
        return "unreadable", b""
    if len(content) > DATA_BYTES and b"\0" in content[:HEAD_BYTES]:
        return "data", b""
    if _is_in_build(name) and len(content) > MAX_LINE_BYTES * (content.count(b"\n") + 1):
        return "minified", b""
    return None, content


def _is_in_build(name: str) -> bool:
    return not BUILDS.isdisjoint(name.split("/")[:-1])


def _shown(name: str) -> str:
    """Return a name as JSON and a terminal can show it."""
    return name if name.isprintable() else ascii(name)[1:-1]


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
            yield path, _kind(path)
    for path in unreadable:
        yield path, "unreadable"


def _kind(path: Path) -> Reason | None:
    """Return why a path is no regular file; None where it is one."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return "unreadable"
    if stat.S_ISLNK(mode):
        return "link"
    return None if stat.S_ISREG(mode) else "special"
