"""The two kinds of archives that code comes in, as one: members with declared sizes, then their bytes.

Zip has a directory, so that a look at it reads no content. A tar.gz is decompressed each time that it is
read, and what comes out is counted: a stream that goes on for ever ends at the limit. `tarfile` holds no more
than one member, and is handed no header that is longer than a name needs.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol

from securetag.errors import ArchiveError
from securetag.system.zips import DAMAGED_ZIP
from securetag.wire.queue import SkipReason

CHUNK = 1 << 18
#: Below this many unpacked bytes a high ratio is a file of blanks, not a bomb.
RATIO_FLOOR = 1 << 20
AGAIN = "Pack the project's folder again as a plain zip or tar.gz file and upload that."
#: What `tarfile` and `gzip` raise for damaged bytes.
DAMAGED_TAR = (
    tarfile.TarError,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    IndexError,
    KeyError,
    RuntimeError,
    OverflowError,
)
#: Bytes of the headers of one member of a tar: a name of 400 characters needs 2,000.
MAX_TAR_HEADER = 32 << 10
#: Bytes of headers and padding that a member of a tar may take.
TAR_OVERHEAD = 4 << 10
#: tarfile looks for numbers in headers by an expression that takes the square of a long one's time.
_LONG_NUMBER = re.compile(rb"[0-9]{64}")


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
class Member:
    """One entry of an archive."""

    #: In the archive's order, from 0.
    number: int
    #: As the archive has it.
    raw_name: str
    #: Bytes that the archive declares.
    size: int
    is_folder: bool
    #: Bytes in the archive; None where an entry has none of its own.
    packed: int | None = None
    #: Why it can be no file: a link, a device.
    odd: tuple[SkipReason, str] | None = None
    #: Why the whole archive is refused for it: what, and what to do.
    refusal: tuple[str, str] | None = None


class Archive(Protocol):
    """An opened archive. Each method raises ArchiveError where it is damaged."""

    def list_members(self) -> Iterator[Member]:
        """Return the entries in the archive's order."""
        ...

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Return these members, in the archive's order, each with its bytes, which are to be read at once."""
        ...


@contextmanager
def open_archive(raw: IO[bytes], limits: Limits) -> Iterator[Archive]:
    """Open a zip archive or a tar.gz. Raises ArchiveError for anything else."""
    magic = raw.read(4)
    if magic.startswith(b"\x1f\x8b"):
        yield _Tar(raw, limits)
        return
    if magic not in {b"PK\x03\x04", b"PK\x05\x06"}:
        raise ArchiveError("the file is not a zip archive, and no tar.gz", hint=AGAIN)
    if _count_directory(raw, limits.max_files * 2) > limits.max_files * 2:
        raise too_many(limits)
    try:
        bundle = zipfile.ZipFile(raw)
    except DAMAGED_ZIP as error:
        raise ArchiveError(f"the zip archive is damaged: {error}", hint=AGAIN) from error
    with bundle:
        yield _Zip(bundle)


class _Zip:
    def __init__(self, bundle: zipfile.ZipFile) -> None:
        self._bundle = bundle

    def list_members(self) -> Iterator[Member]:
        for number, info in enumerate(self._bundle.infolist()):
            # `filename` is cut at a NUL; `orig_filename` is the name in the archive.
            name = info.orig_filename
            kind = stat.S_IFMT(info.external_attr >> 16)
            refusal = None
            if info.flag_bits & 0x41:
                refusal = (f"{shown(name)} is encrypted", "Upload an archive without a password.")
            elif info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                method = f"{shown(name)} is packed by method {info.compress_type}"
                refusal = (method, "Pack with the standard method, deflate.")
            yield Member(
                number,
                name,
                info.file_size,
                info.is_dir(),
                info.compress_size,
                _describe_odd(
                    name, is_link=kind == stat.S_IFLNK, is_plain=kind in {0, stat.S_IFREG, stat.S_IFDIR}
                ),
                refusal,
            )

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, Iterator[bytes]]]:
        infos = self._bundle.infolist()
        for member in members:
            yield member, self._read_one(infos[member.number])

    def _read_one(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        try:
            with self._bundle.open(info) as source:
                while piece := source.read(CHUNK):
                    yield piece
        except DAMAGED_ZIP as error:
            raise ArchiveError(f"{shown(info.orig_filename)} is damaged: {error}", hint=AGAIN) from error


class _Tar:
    def __init__(self, raw: IO[bytes], limits: Limits) -> None:
        self._raw, self._limits = raw, limits
        self._packed = raw.seek(0, os.SEEK_END)

    def list_members(self) -> Iterator[Member]:
        for number, info, _ in self._walk():
            if number >= self._limits.max_files * 2:
                raise too_many(self._limits)
            is_plain = (info.isreg() or info.isdir()) and not info.issparse()
            odd = _describe_odd(info.name, is_link=info.issym() or info.islnk(), is_plain=is_plain)
            yield Member(number, info.name, info.size, info.isdir(), odd=odd)

    def read(self, members: Sequence[Member]) -> Iterator[tuple[Member, Iterator[bytes]]]:
        wanted = {member.number: member for member in members}
        for number, info, stream in self._walk():
            if number in wanted:
                yield wanted.pop(number), self._read_one(stream, info)
            if not wanted:
                return

    def _walk(self) -> Iterator[tuple[int, tarfile.TarInfo, _Forward]]:
        self._raw.seek(0)
        number = 0
        try:
            with gzip.GzipFile(fileobj=self._raw) as unzipped:
                stream = _Forward(unzipped, self._packed, self._limits)
                with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8") as bundle:
                    while (info := bundle.next()) is not None:
                        if info.size < 0:
                            raise ValueError("a size is negative")
                        yield number, info, stream
                        # It would keep all that it has read.
                        bundle.members = []  # type: ignore[attr-defined]
                        bundle.pax_headers = {}
                        stream.header_bytes = 0
                        number += 1
        except DAMAGED_TAR as error:
            raise ArchiveError(f"the tar.gz archive is damaged: {error}", hint=AGAIN) from error

    def _read_one(self, stream: _Forward, info: tarfile.TarInfo) -> Iterator[bytes]:
        try:
            stream.seek(info.offset_data)
            left = info.size
            while left > 0:
                piece = stream.take(min(CHUNK, left))
                if not piece:
                    raise EOFError("it is cut off")
                left -= len(piece)
                yield piece
        except DAMAGED_TAR as error:
            raise ArchiveError(f"{shown(info.name)} is damaged: {error}", hint=AGAIN) from error


class _Forward(io.RawIOBase):
    """The decompressed bytes for `tarfile`, which reads headers alone; forward, but for one byte.

    Raises ArchiveError where more comes out than an archive may hold.
    """

    def __init__(self, unzipped: gzip.GzipFile, packed: int, limits: Limits) -> None:
        super().__init__()
        self._unzipped, self._packed, self._limits = unzipped, packed, limits
        self._most = limits.max_unpacked + limits.max_files * 2 * TAR_OVERHEAD
        self._position = 0
        #: tarfile steps back by one byte to see that a member's last one is there.
        self._last = b""
        self._is_back = False
        #: Of the member whose headers are being read.
        self.header_bytes = 0

    def tell(self) -> int:
        return self._position - self._is_back

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._position - 1:
            raise ValueError("the headers point back")
        self._is_back = offset == self._position - 1
        while offset > self._position and self.take(min(CHUNK, offset - self._position)):
            pass
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        self.header_bytes += size
        if size < 0 or self.header_bytes > MAX_TAR_HEADER:
            raise ValueError("the headers of a file are too large")
        start = self._last if self._is_back and size else b""
        self._is_back = self._is_back and not size
        data = start + self.take(size - len(start))
        if _LONG_NUMBER.search(data):
            raise ValueError("a header holds a number of more than 64 digits")
        return data

    def take(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        data = self._unzipped.read(size)
        self._position += len(data)
        self._last = data[-1:] or self._last
        if self._position > self._most:
            raise too_big(self._limits)
        if self._position > RATIO_FLOOR and self._position > self._packed * self._limits.max_ratio:
            raise too_dense(self._limits)
        return data


def _describe_odd(name: str, *, is_link: bool, is_plain: bool) -> tuple[SkipReason, str] | None:
    if is_link:
        return SkipReason.LINK, f"{shown(name)} is a symbolic link"
    return None if is_plain else (SkipReason.SPECIAL, f"{shown(name)} is neither a file nor a folder")


def _count_directory(raw: IO[bytes], enough: int) -> int:
    """Entries of a zip's central directory, counted up to `enough` + 1.

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


def too_big(limits: Limits) -> ArchiveError:
    """The refusal of an archive with too many bytes."""
    return ArchiveError(
        f"the archive unpacks to more than {limits.max_unpacked:,} bytes",
        hint="Leave dependencies, builds and data out.",
    )


def too_dense(limits: Limits) -> ArchiveError:
    """The refusal of an archive that unpacks to far more bytes than it has."""
    return ArchiveError(
        f"the archive unpacks to more than {limits.max_ratio} times its size",
        hint="Leave generated or empty data out.",
    )


def too_many(limits: Limits) -> ArchiveError:
    """The refusal of an archive with too many files."""
    return ArchiveError(
        f"the archive holds more than {limits.max_files:,} files",
        hint="Leave dependencies, builds and data out.",
    )


def shown(name: str) -> str:
    """Return a name as a message may show it: quoted, escaped, short."""
    text = ascii(name)
    return text if len(text) <= 120 else text[:117] + "…'"
