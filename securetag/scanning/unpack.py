"""Unpack a stranger's archive, zip or tar.gz, into an empty folder, or say why not.

`inspect` reads names and declared sizes alone; the api calls it before it keeps anything. `unpack`
does the same checks and then counts the bytes that really come out. Neither follows a link, runs
anything, or opens an archive inside the archive: those stay files.

Refused: what is neither, encrypted entries, methods other than stored and deflate (an LZMA header
may claim 4 GB of memory), absolute names, drive letters, `..`, names that differ only in Unicode
form, a file that is also a folder, too many files, too many bytes. Names that differ in case alone
are two files, as on the system that packed them; where the file system disagrees, writing fails
instead of overwriting.

Left out and reported, since one odd file says nothing of the others: links and devices, names with
control characters or too long, huge files, files that unpack to far more bytes than they were packed
in. An archive in which nothing else is left is refused.

Skipped and counted: version-control folders and macOS's shadows. A `.git/config` may name programs
that `git` runs, so none ever reaches the disk beside a scanner.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from securetag.errors import ArchiveError, NotFoundError
from securetag.scanning.archives import (
    AGAIN,
    RATIO_FLOOR,
    Archive,
    Limits,
    Member,
    open_archive,
    shown,
    too_big,
    too_dense,
    too_many,
)
from securetag.wire.queue import SkippedFile, SkipReason

SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", "__macosx"})
#: Bytes that ext4, APFS and NTFS allow for one name.
MAX_COMPONENT = 255

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

__all__ = ["ArchiveSummary", "Limits", "inspect", "read_entry", "unpack"]


@dataclass(frozen=True)
class ArchiveSummary:
    """What an archive holds, without what is skipped."""

    files: int
    bytes: int
    #: Files of version control.
    skipped: int = 0
    left_out: tuple[SkippedFile, ...] = ()


class _OddEntry(Exception):
    """An entry that is left out: why, in code and in words."""

    def __init__(self, reason: SkipReason, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(frozen=True)
class _Entry:
    member: Member
    #: Safe, relative, NFC, `/`-separated.
    name: str


def inspect(archive: Path, limits: Limits) -> ArchiveSummary:
    """Check names and declared sizes. Raises ArchiveError; keeps no file's content."""
    with archive.open("rb") as raw, open_archive(raw, limits) as opened:
        return _plan(opened, archive.stat().st_size, limits)[1]


def unpack(archive: Path, destination: Path, limits: Limits) -> ArchiveSummary:
    """Write the files (0600, folders 0700) below `destination`, which must be absent or empty.

    Raises ArchiveError, after removing what it wrote: the archive's content is checked only as it
    comes out.
    """
    with archive.open("rb") as raw, open_archive(raw, limits) as opened:
        entries, planned = _plan(opened, archive.stat().st_size, limits)
        destination.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(destination.iterdir()):
            raise ValueError(f"{destination} is not empty")
        try:
            written = _write(opened, entries, destination, limits)
        except BaseException:
            shutil.rmtree(destination, ignore_errors=True)
            raise
    return replace(planned, bytes=written)


def read_entry(archive: IO[bytes], path: str, limits: Limits, *, max_bytes: int) -> tuple[bytes, int]:
    """Return the first `max_bytes` bytes of one file of an archive that was inspected, and its size.

    `path` is as `unpack` writes it. Raises NotFoundError where there is no such file, ArchiveError for a
    damaged archive.
    """
    with open_archive(archive, limits) as opened:
        for member in opened.list_members():
            if member.is_folder or _name_of(member, limits) != path:
                continue
            content = bytearray()
            for _, pieces in opened.read([member]):
                for piece in pieces:
                    content += piece
                    if len(content) >= max_bytes:
                        break
            return bytes(content[:max_bytes]), member.size
    raise NotFoundError("the archive has no such file", hint="Look at the newest scan of the project.")


def _name_of(member: Member, limits: Limits) -> str | None:
    """Return the name under which `unpack` writes an entry; None for one that it leaves out."""
    try:
        name = _safe_name(member, limits)
        _check_kind(member)
    except (_OddEntry, ArchiveError):
        return None
    return name


def _plan(archive: Archive, packed: int, limits: Limits) -> tuple[list[_Entry], ArchiveSummary]:
    """The files to write, checked against each other and the limits. Raises ArchiveError."""
    entries: list[_Entry] = []
    files: set[str] = set()
    folders: set[str] = set()
    left_out: list[SkippedFile] = []
    first_reason = ""
    total = skipped = 0
    for member in archive.list_members():
        try:
            name = _safe_name(member, limits)
            _check_kind(member)
            _check_entry_size(member, limits)
        except _OddEntry as odd:
            first_reason = first_reason or str(odd)
            left_out.append(SkippedFile(path=shown(member.raw_name), reason=odd.reason, bytes=member.size))
            continue
        if any(part.casefold() in SKIPPED_FOLDERS for part in name.split("/")):
            skipped += not member.is_folder
            continue
        parents = list(_parents(name))
        if member.is_folder:
            folders.update([*parents, name])
        else:
            if name in files:
                raise ArchiveError(f"the archive holds {shown(name)} twice", hint=AGAIN)
            files.add(name)
            folders.update(parents)
            entries.append(_Entry(member, name))
            total += member.size
    if clash := files & folders:
        raise ArchiveError(f"{shown(min(clash))} is both a file and a folder", hint=AGAIN)
    if not entries:
        reason = f"the archive holds no files that can be scanned: {first_reason}" if first_reason else ""
        raise ArchiveError(reason or "the archive holds no files", hint=AGAIN)
    if len(entries) > limits.max_files:
        raise too_many(limits)
    _check_size(total, packed, limits)
    return entries, ArchiveSummary(len(entries), total, skipped, tuple(left_out))


def _write(archive: Archive, entries: list[_Entry], destination: Path, limits: Limits) -> int:
    """Bytes written. Raises ArchiveError on damage, or when more comes out than is allowed."""
    total = 0
    names = {entry.member.number: entry.name for entry in entries}
    for member, pieces in archive.read([entry.member for entry in entries]):
        name = names[member.number]
        target = destination.joinpath(*name.split("/"))
        for parent in reversed(target.relative_to(destination).parents[:-1]):
            (destination / parent).mkdir(mode=0o700, exist_ok=True)
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError as error:
            raise ArchiveError(
                f"{shown(name)} differs from another name in case alone, which can't be stored here",
                hint="Rename one of them.",
            ) from error
        with os.fdopen(handle, "wb") as out:
            for piece in pieces:
                total += len(piece)
                if total > limits.max_unpacked:
                    raise too_big(limits)
                out.write(piece)
    return total


def _safe_name(member: Member, limits: Limits) -> str:
    raw = member.raw_name
    if _CONTROL.search(raw):
        raise _OddEntry(SkipReason.NAME, f"the name {shown(raw)} holds a control character")
    name = unicodedata.normalize("NFC", raw.replace("\\", "/"))
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise ArchiveError(f"the name {shown(raw)} is absolute", hint=AGAIN)
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ArchiveError(f"the name {shown(raw)} leaves the archive's folder", hint=AGAIN)
    if not parts and not member.is_folder:
        raise ArchiveError("the archive holds a file without a name", hint=AGAIN)
    safe = "/".join(parts)
    try:
        longest = max((len(part.encode()) for part in parts), default=0)
    except UnicodeEncodeError as error:
        raise _OddEntry(SkipReason.NAME, f"the name {shown(raw)} is not valid Unicode") from error
    if len(safe) > limits.max_path or longest > MAX_COMPONENT:
        raise _OddEntry(
            SkipReason.NAME,
            f"the name {shown(raw)} is too long: {limits.max_path} characters are allowed, and "
            f"{MAX_COMPONENT} bytes between slashes",
        )
    return safe


def _check_kind(member: Member) -> None:
    if member.odd is not None:
        raise _OddEntry(*member.odd)
    if member.refusal is not None:
        raise ArchiveError(member.refusal[0], hint=member.refusal[1])


def _check_entry_size(member: Member, limits: Limits) -> None:
    size, packed = member.size, member.packed
    if size > limits.max_file:
        raise _OddEntry(
            SkipReason.TOO_LARGE, f"{shown(member.raw_name)} has more than {limits.max_file:,} bytes"
        )
    if packed is not None and size > RATIO_FLOOR and size > packed * limits.max_ratio:
        raise _OddEntry(
            SkipReason.EXPANDS,
            f"{shown(member.raw_name)} unpacks to more than {limits.max_ratio} times its size",
        )


def _check_size(total: int, packed: int, limits: Limits) -> None:
    if total > limits.max_unpacked:
        raise too_big(limits)
    if total > RATIO_FLOOR and total > packed * limits.max_ratio:
        raise too_dense(limits)


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        yield "/".join(parts[:depth])
