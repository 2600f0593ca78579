"""Unpack a stranger's zip archive into an empty folder, or say why not.

`inspect` reads names and declared sizes alone; the api calls it before it keeps anything. `unpack`
does the same checks and then counts the bytes that really come out. Neither follows a link, runs
anything, or opens an archive inside the archive: those stay files.

Refused: what is no zip, encrypted entries, methods other than stored and deflate (an LZMA header
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
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from securetag.errors import ArchiveError, NotFoundError
from securetag.system.zips import DAMAGED_ZIP
from securetag.wire.queue import SkippedFile, SkipReason

CHUNK = 1 << 18
#: Below this many unpacked bytes a high ratio is a file of blanks, not a bomb.
RATIO_FLOOR = 1 << 20
SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", "__macosx"})
#: Bytes that ext4, APFS and NTFS allow for one name.
MAX_COMPONENT = 255

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_AGAIN = "Pack the project's folder again as a plain zip file and upload that."


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    max_files: int
    #: Bytes of all files together.
    max_unpacked: int
    #: Unpacked bytes for each byte of the archive.
    max_ratio: int
    #: Characters of one name.
    max_path: int = 400
    #: Bytes of one file; no scanner reads a larger one.
    max_file: int = 64 << 20


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
    info: zipfile.ZipInfo
    #: Safe, relative, NFC, `/`-separated.
    name: str


def inspect(archive: Path, limits: Limits) -> ArchiveSummary:
    """Check names and declared sizes. Raises ArchiveError; reads no file's content."""
    with _opened(archive, limits) as bundle:
        return _plan(bundle, archive.stat().st_size, limits)[1]


def unpack(archive: Path, destination: Path, limits: Limits) -> ArchiveSummary:
    """Write the files (0600, folders 0700) below `destination`, which must be absent or empty.

    Raises ArchiveError, after removing what it wrote: the archive's content is checked only as it
    comes out.
    """
    with _opened(archive, limits) as bundle:
        entries, planned = _plan(bundle, archive.stat().st_size, limits)
        destination.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(destination.iterdir()):
            raise ValueError(f"{destination} is not empty")
        try:
            written = _write(bundle, entries, destination, limits)
        except BaseException:
            shutil.rmtree(destination, ignore_errors=True)
            raise
    return replace(planned, bytes=written)


def read_entry(archive: IO[bytes], path: str, limits: Limits, *, max_bytes: int) -> tuple[bytes, int]:
    """Return the first `max_bytes` bytes of one file of an archive that was inspected, and its size.

    `path` is as `unpack` writes it. Raises NotFoundError where there is no such file, ArchiveError for a
    damaged archive.
    """
    try:
        with zipfile.ZipFile(archive) as bundle:
            for info in bundle.infolist():
                if info.is_dir() or _name_of(info, limits) != path:
                    continue
                with bundle.open(info) as source:
                    return source.read(max_bytes), info.file_size
    except DAMAGED_ZIP as error:
        raise ArchiveError(f"the archive is damaged: {error}", hint=_AGAIN) from error
    raise NotFoundError("the archive has no such file", hint="Look at the newest scan of the project.")


def _name_of(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    """Return the name under which `unpack` writes an entry; None for one that it leaves out."""
    try:
        name = _safe_name(info, limits)
        _check_kind(info, name)
    except (_OddEntry, ArchiveError):
        return None
    return name


def _opened(archive: Path, limits: Limits) -> zipfile.ZipFile:
    with archive.open("rb") as raw:
        if raw.read(4) not in {b"PK\x03\x04", b"PK\x05\x06"}:
            raise ArchiveError("the file is not a zip archive", hint=_AGAIN)
        if _directory_entries(raw, limits.max_files * 2) > limits.max_files * 2:
            raise _too_many(limits)
    try:
        return zipfile.ZipFile(archive)
    except DAMAGED_ZIP as error:
        raise ArchiveError(f"the zip archive is damaged: {error}", hint=_AGAIN) from error


def _directory_entries(raw: IO[bytes], enough: int) -> int:
    """Entries of the central directory, counted up to `enough` + 1.

    `zipfile` builds an object for each one before anybody can count them; a 50 MB file can list
    a million. Layout: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.12 to 4.3.16.
    """
    size = raw.seek(0, os.SEEK_END)
    raw.seek(max(0, size - 22 - 0xFFFF))
    tail = raw.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) - end < 22:
        return 0
    length = struct.unpack_from("<I", tail, end + 12)[0]
    position = size - len(tail) + end - length
    if length == 0xFFFFFFFF or tail[max(0, end - 20) : end].startswith(b"PK\x06\x07"):
        raise ArchiveError("zip64 archives are not accepted", hint="Upload fewer or smaller files.")
    count = 0
    while position >= 0 and count <= enough:
        raw.seek(position)
        header = raw.read(46)
        if len(header) < 46 or not header.startswith(b"PK\x01\x02"):
            break
        position += 46 + sum(struct.unpack_from("<HHH", header, 28))
        count += 1
    return count


def _plan(bundle: zipfile.ZipFile, packed: int, limits: Limits) -> tuple[list[_Entry], ArchiveSummary]:
    """The files to write, checked against each other and the limits. Raises ArchiveError."""
    entries: list[_Entry] = []
    files: set[str] = set()
    folders: set[str] = set()
    left_out: list[SkippedFile] = []
    first_reason = ""
    total = skipped = 0
    for info in bundle.infolist():
        try:
            name = _safe_name(info, limits)
            _check_kind(info, name)
            _check_entry_size(info, name, limits)
        except _OddEntry as odd:
            first_reason = first_reason or str(odd)
            left_out.append(
                SkippedFile(path=_shown(info.orig_filename), reason=odd.reason, bytes=info.file_size)
            )
            continue
        if any(part.casefold() in SKIPPED_FOLDERS for part in name.split("/")):
            skipped += not info.is_dir()
            continue
        parents = list(_parents(name))
        if info.is_dir():
            folders.update([*parents, name])
        else:
            if name in files:
                raise ArchiveError(f"the archive holds {_shown(name)} twice", hint=_AGAIN)
            files.add(name)
            folders.update(parents)
            entries.append(_Entry(info, name))
            total += info.file_size
    if clash := files & folders:
        raise ArchiveError(f"{_shown(min(clash))} is both a file and a folder", hint=_AGAIN)
    if not entries:
        reason = f"the archive holds no files that can be scanned: {first_reason}" if first_reason else ""
        raise ArchiveError(reason or "the archive holds no files", hint=_AGAIN)
    if len(entries) > limits.max_files:
        raise _too_many(limits)
    _check_size(total, packed, limits)
    return entries, ArchiveSummary(len(entries), total, skipped, tuple(left_out))


def _write(bundle: zipfile.ZipFile, entries: list[_Entry], destination: Path, limits: Limits) -> int:
    """Bytes written. Raises ArchiveError on damage, or when more comes out than is allowed."""
    total = 0
    for entry in entries:
        target = destination.joinpath(*entry.name.split("/"))
        for parent in reversed(target.relative_to(destination).parents[:-1]):
            (destination / parent).mkdir(mode=0o700, exist_ok=True)
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError as error:
            raise ArchiveError(
                f"{_shown(entry.name)} differs from another name in case alone, which can't be stored here",
                hint="Rename one of them.",
            ) from error
        with os.fdopen(handle, "wb") as out:
            for piece in _content(bundle, entry):
                total += len(piece)
                if total > limits.max_unpacked:
                    raise _too_big(limits)
                out.write(piece)
    return total


def _content(bundle: zipfile.ZipFile, entry: _Entry) -> Iterator[bytes]:
    """An entry's bytes. Raises ArchiveError on damage; a full disk is the writer's error, not ours."""
    try:
        with bundle.open(entry.info) as source:
            while piece := source.read(CHUNK):
                yield piece
    except DAMAGED_ZIP as error:
        raise ArchiveError(f"{_shown(entry.name)} is damaged: {error}", hint=_AGAIN) from error


def _safe_name(info: zipfile.ZipInfo, limits: Limits) -> str:
    # `filename` is cut at a NUL; `orig_filename` is the name in the archive.
    raw = info.orig_filename
    if _CONTROL.search(raw):
        raise _OddEntry(SkipReason.NAME, f"the name {_shown(raw)} holds a control character")
    name = unicodedata.normalize("NFC", raw.replace("\\", "/"))
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise ArchiveError(f"the name {_shown(raw)} is absolute", hint=_AGAIN)
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ArchiveError(f"the name {_shown(raw)} leaves the archive's folder", hint=_AGAIN)
    if not parts and not info.is_dir():
        raise ArchiveError("the archive holds a file without a name", hint=_AGAIN)
    safe = "/".join(parts)
    try:
        longest = max((len(part.encode()) for part in parts), default=0)
    except UnicodeEncodeError as error:
        raise _OddEntry(SkipReason.NAME, f"the name {_shown(raw)} is not valid Unicode") from error
    if len(safe) > limits.max_path or longest > MAX_COMPONENT:
        raise _OddEntry(
            SkipReason.NAME,
            f"the name {_shown(raw)} is too long: {limits.max_path} characters are allowed, and "
            f"{MAX_COMPONENT} bytes between slashes",
        )
    return safe


def _check_kind(info: zipfile.ZipInfo, name: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise _OddEntry(SkipReason.LINK, f"{_shown(name)} is a symbolic link")
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise _OddEntry(SkipReason.SPECIAL, f"{_shown(name)} is neither a file nor a folder")
    if info.flag_bits & 0x41:
        raise ArchiveError(f"{_shown(name)} is encrypted", hint="Upload an archive without a password.")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ArchiveError(
            f"{_shown(name)} is packed by method {info.compress_type}",
            hint="Pack with the standard method, deflate.",
        )


def _check_entry_size(info: zipfile.ZipInfo, name: str, limits: Limits) -> None:
    size = info.file_size
    if size > limits.max_file:
        raise _OddEntry(SkipReason.TOO_LARGE, f"{_shown(name)} has more than {limits.max_file:,} bytes")
    if size > RATIO_FLOOR and size > info.compress_size * limits.max_ratio:
        raise _OddEntry(
            SkipReason.EXPANDS, f"{_shown(name)} unpacks to more than {limits.max_ratio} times its size"
        )


def _check_size(total: int, packed: int, limits: Limits) -> None:
    if total > limits.max_unpacked:
        raise _too_big(limits)
    if total > RATIO_FLOOR and total > packed * limits.max_ratio:
        raise ArchiveError(
            f"the archive unpacks to more than {limits.max_ratio} times its size",
            hint="Leave generated or empty data out.",
        )


def _too_big(limits: Limits) -> ArchiveError:
    return ArchiveError(
        f"the archive unpacks to more than {limits.max_unpacked:,} bytes",
        hint="Leave dependencies, builds and data out.",
    )


def _too_many(limits: Limits) -> ArchiveError:
    return ArchiveError(
        f"the archive holds more than {limits.max_files:,} files",
        hint="Leave dependencies, builds and data out.",
    )


def _parents(name: str) -> Iterator[str]:
    parts = name.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        yield "/".join(parts[:depth])


def _shown(name: str) -> str:
    """Return a name as a message may show it: quoted, escaped, short."""
    text = ascii(name)
    return text if len(text) <= 120 else text[:117] + "…'"
