"""Read a wheel or an npm tarball in memory: its source files and the license that it states.

Both are a stranger's bytes. Nothing is written to disk, no link is followed, no name becomes a path, and
what comes out is bounded: files, bytes of one, bytes of all, and the ratio of unpacked to packed bytes.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path
from typing import NamedTuple

import msgspec

from securetag.errors import SourceError
from securetag.extractors.catalog.licences import classifiers_to_spdx, name_to_spdx
from securetag.extractors.fetching.unpack import BOMB_BYTES, MAX_RATIO, read_bounded
from securetag.system.zips import DAMAGED_ZIP

#: Suffixes of the files that our rules read.
LANGUAGES = {
    **dict.fromkeys((".py",), "python"),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), "javascript"),
    **dict.fromkeys((".ts", ".tsx"), "typescript"),
}
#: Folders that hold tests, or code of others.
OTHER_FOLDERS = frozenset(
    {"test", "tests", "testing", "node_modules", "vendor", "_vendor", "third_party", "libs"}
)
MAX_MEMBERS = 100_000
#: Bytes of one source file; larger ones are bundles or data.
MAX_SOURCE_BYTES = 200_000
#: Bytes of all that an archive unpacks to.
MAX_UNPACKED_BYTES = 1 << 30
_MAX_METADATA_BYTES = 1 << 20


class Package(NamedTuple):
    """What is read of one archive."""

    #: Path inside the package, `/` as separator → text.
    sources: dict[str, str]
    #: SPDX expression; `LicenseRef-Unknown` where the package states none that has one.
    licence: str


def read_package(path: Path) -> Package:
    """Return the sources and the license of a wheel (`.whl`) or an npm tarball (`.tgz`).

    Tests, code of others and minified files are left out. Raises SourceError for a damaged archive, a bomb,
    and one with too many files.
    """
    sources: dict[str, str] = {}
    licence = ""
    members = _read_wheel(path) if path.suffix == ".whl" else _read_tarball(path)
    for name, data in members:
        if _is_metadata(name):
            licence = licence or _read_licence(name, data)
        else:
            sources[name] = data.decode("utf-8", errors="replace").replace("\0", "")
    return Package(sources, licence or name_to_spdx(""))


def _is_metadata(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return name == "package.json" or (
        file == "METADATA" and folder.endswith(".dist-info") and "/" not in folder
    )


def _is_source(name: str) -> bool:
    parts = name.split("/")
    return (
        Path(name).suffix in LANGUAGES
        and not name.endswith((".min.js", ".d.ts"))
        and not OTHER_FOLDERS.intersection(parts)
        and ".." not in parts
    )


def _limit_of(name: str) -> int:
    """Return the bytes that are read of a member; 0 for one that isn't read."""
    if _is_metadata(name):
        return _MAX_METADATA_BYTES
    return MAX_SOURCE_BYTES if _is_source(name) else 0


def _read_wheel(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise SourceError(f"{path.name}: {len(members):,} files")
            total = 0
            for info in members:
                if not 0 < info.file_size <= _limit_of(info.filename):
                    continue
                with archive.open(info) as stream:
                    data = read_bounded(stream, info.compress_size, info.filename, MAX_SOURCE_BYTES * 8)
                total += len(data)
                if total > MAX_UNPACKED_BYTES:
                    raise SourceError(f"{path.name}: unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")
                yield info.filename, data
    except DAMAGED_ZIP as error:
        raise SourceError(f"{path.name}: can't be unpacked: {error}") from error


class _Bounded:
    """A stream that refuses to unpack to far more than was packed: tar reads what it skips, too."""

    def __init__(self, stream: gzip.GzipFile, packed_bytes: int, name: str) -> None:
        self._stream, self._name, self._total = stream, name, 0
        self._max_bytes = min(MAX_UNPACKED_BYTES, max(BOMB_BYTES, MAX_RATIO * packed_bytes))

    def read(self, size: int) -> bytes:
        """Return the next bytes. Raises SourceError for a bomb."""
        data = self._stream.read(size)
        self._total += len(data)
        if self._total > self._max_bytes:
            raise SourceError(f"{self._name}: a bomb, which unpacks to more than {self._max_bytes:,} bytes")
        return data


def _read_tarball(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with gzip.open(path) as unpacked:
            stream = _Bounded(unpacked, path.stat().st_size, path.name)
            with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
                for number, member in enumerate(archive):
                    if number > MAX_MEMBERS:
                        raise SourceError(f"{path.name}: more than {MAX_MEMBERS:,} files")
                    # npm leaves the first folder out too, whatever its name.
                    name = member.name.removeprefix("./").partition("/")[2]
                    if not member.isreg() or member.issparse() or not 0 < member.size <= _limit_of(name):
                        continue
                    content = archive.extractfile(member)
                    assert content is not None
                    yield name, content.read()
    except (tarfile.TarError, *DAMAGED_ZIP) as error:
        raise SourceError(f"{path.name}: can't be unpacked: {error}") from error


class _Manifest(msgspec.Struct, frozen=True):
    """Of npm's `package.json`."""

    license: str | dict[str, str] | None = None
    #: An old form: `[{type, url}]`.
    licenses: list[dict[str, str] | str] = []


def _read_licence(name: str, data: bytes) -> str:
    """Return the license of a package's metadata; empty where it states none."""
    if name == "package.json":
        try:
            manifest = msgspec.json.decode(data, type=_Manifest, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""
        stated = [manifest.license] if manifest.license else manifest.licenses
        names = [value if isinstance(value, str) else value.get("type", "") for value in stated if value]
        return " OR ".join(name_to_spdx(name) for name in names)
    fields = BytesParser().parsebytes(data, headersonly=True)
    if expression := fields.get("License-Expression", ""):
        return name_to_spdx(str(expression))
    classifiers = [str(value) for value in fields.get_all("Classifier", [])]
    return classifiers_to_spdx(classifiers) or name_to_spdx(str(fields.get("License", "")))
