"""A source's files on disk, verified: from a folder, a package, a mirror or the network.

Which way is taken is one setting, `fetch.mode`. Files of a package or a mirror stay where they are;
what had to be unpacked or downloaded lies under `<data>/raw/<source>`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

import httpx

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.catalog import NetworkWay, Source, Way, obtainable, package_file, spdx
from securetag.extractors.download import Downloader, Progress
from securetag.extractors.files import Failure, FetchedFile, OnFailure
from securetag.extractors.mirror import MAX_FILE, Mirror, gunzip, verify
from securetag.extractors.nvd_api import NvdApi
from securetag.scanning.unpack import DAMAGED_ZIP
from securetag.settings import Settings
from securetag.system.files import write_atomic
from securetag.system.hashing import hash_bytes, hash_file

#: Members of one archive.
MAX_MEMBERS = 100_000


def fetch(
    source: Source,
    settings: Settings,
    progress: Progress | None = None,
    on_failure: OnFailure | None = None,
    client: httpx.Client | None = None,
) -> list[FetchedFile]:
    """The files of `source`, in the order of their URLs; none where it is made of others' Records.

    Ways are tried in the order of `obtainable`; the next one only when the one before has no file
    at all. A single broken file goes to `on_failure`; without it, it raises. Raises SourceError for
    a checksum that isn't the pinned one, UnavailableError when no way leads to the source.
    """
    found = obtainable(source, settings)
    if not found:
        raise UnavailableError(
            f"{source.name} can't be had: {found.reason}",
            hint="Install the data packages (requirements-data.txt), set SECURETAG_MIRROR, or "
            "SECURETAG_FETCH__MODE=network.",
        )
    if source.records:
        return []
    last: SourceError | UnavailableError | None = None
    for way in found.ways:
        try:
            files = _take(way, source, settings, progress, on_failure, client)
        except UnavailableError as error:
            last = error
            continue
        if files:
            return sorted(files, key=lambda file: file.url)
    raise last or UnavailableError(f"{source.name}: {', '.join(found.ways)} gave no file")


def _take(
    way: Way,
    source: Source,
    settings: Settings,
    progress: Progress | None,
    on_failure: OnFailure | None,
    client: httpx.Client | None,
) -> list[FetchedFile]:
    if way == "folder":
        return _from_folder(source, on_failure)
    if way == "package":
        return _from_package(source)
    if way == "mirror":
        return _from_mirror(source, settings, progress, on_failure)
    if way == "web":
        return _from_web(source, settings, progress, on_failure)
    if client:
        return _from_network(source, settings, progress, client)
    with httpx.Client(timeout=settings.fetch.timeout_s, follow_redirects=True, max_redirects=5) as own:
        return _from_network(source, settings, progress, own)


def _fetched(source: Source, path: Path, url: str, sha256: str, licence: str = "") -> FetchedFile:
    return FetchedFile(path, url, sha256, source.edition, spdx(licence) or source.licence)


def _from_folder(source: Source, on_failure: OnFailure | None) -> list[FetchedFile]:
    """A user's files; the URL of each is the row's own with the path below the folder, on any machine."""
    way = source.folder
    assert way is not None
    root = Path(way.path).resolve()
    files = []
    for path in sorted(path for path in root.glob(way.glob) if path.is_file() or path.is_symlink()):
        below = path.relative_to(root).as_posix()
        try:
            if not path.resolve().is_relative_to(root):
                raise SourceError("a link that leads out of the folder")
            if path.is_file():
                files.append(
                    _fetched(source, path, f"{source.url.rstrip('/')}/{quote(below)}", hash_file(path))
                )
        except (OSError, RuntimeError, SourceError) as error:  # RuntimeError: links in a circle
            if on_failure:
                on_failure(Failure(below, "", str(error)))
    return files


def _from_web(
    source: Source, settings: Settings, progress: Progress | None, on_failure: OnFailure | None
) -> list[FetchedFile]:
    from securetag.extractors.web import Crawl
    from securetag.extractors.web_guard import guarded_client

    way, folder = source.web, settings.raw_dir / source.name
    assert way is not None
    with guarded_client(way.prefix, settings.fetch.timeout_s) as client:
        visits = Crawl(way, folder, client).run(progress)
    for visit in visits:
        if on_failure and visit.reason and visit.failed:
            on_failure(Failure(visit.url, "", visit.reason))
    return [
        _fetched(source, folder / "pages" / f"{visit.sha256}.html", visit.own, visit.sha256)
        for visit in visits
        if visit.sha256
    ]


def _from_package(source: Source) -> list[FetchedFile]:
    way = source.package
    assert way is not None
    path = package_file(way)
    if path is None:
        raise UnavailableError(f"the package {way.name} is not installed")
    verify(path.read_bytes(), way.sha256, f"{way.name}/{way.file}")
    url = source.network[0].url if source.network else source.url
    return [_fetched(source, path, url, way.sha256)]


def _from_mirror(
    source: Source, settings: Settings, progress: Progress | None, on_failure: OnFailure | None
) -> list[FetchedFile]:
    assert settings.mirror is not None
    mirror = Mirror.at(settings.mirror)
    entries, files = mirror.select(source.mirror), []
    for number, entry in enumerate(entries, 1):
        try:
            data = mirror.read(entry)
            inner = mirror.unpack(entry, data)
        except SourceError as error:
            if on_failure is None:
                raise
            on_failure(Failure(entry.path, "", str(error)))
            continue
        path, sha256 = mirror.folder / entry.path, entry.sha256
        if inner is not None:
            sha256 = hash_bytes(inner)
            path = _keep(settings.raw_dir / source.name, entry.archive_member or path.stem, sha256, inner)
        files.append(_fetched(source, path, entry.url, sha256, entry.licence))
        if progress:
            progress(source.name, number, len(entries))
    return files


def _from_network(
    source: Source, settings: Settings, progress: Progress | None, client: httpx.Client
) -> list[FetchedFile]:
    folder, files = settings.raw_dir / source.name, []
    folder.mkdir(parents=True, exist_ok=True)
    downloader = Downloader(settings.fetch, client)
    for way in source.network:
        if way.api == "nvd":
            pages = NvdApi(way.url, folder, settings, client).pages(progress)
            files += [_fetched(source, page, meta.url, meta.sha256) for page, meta in pages]
            continue
        path = folder / _file_name(way.url)
        meta = downloader.get(way.url, path, sha256=way.sha256, progress=progress)
        if zipfile.is_zipfile(path):
            files += _members(source, way, path, folder)
        elif path.suffix == ".gz":
            inner = gunzip(path.read_bytes())
            digest = hash_bytes(inner)
            files.append(_fetched(source, _keep(folder, path.stem, digest, inner), way.url, digest))
        else:
            files.append(_fetched(source, path, way.url, meta.sha256))
    return files


@contextmanager
def _readable(url: str) -> Iterator[None]:
    """Around reading alone: a disk that is full isn't the archive's fault."""
    try:
        yield
    except DAMAGED_ZIP as error:
        raise SourceError(f"{url}: can't be unpacked: {error}") from error


def _members(source: Source, way: NetworkWay, path: Path, folder: Path) -> list[FetchedFile]:
    """Members of a downloaded zip. Names are flattened: nothing is written where the archive says."""
    files, total = [], 0
    with _readable(way.url):
        archive = zipfile.ZipFile(path)
    with archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        if len(infos) > MAX_MEMBERS:
            raise SourceError(f"{way.url}: {len(infos):,} members")
        for info in sorted(infos, key=lambda info: info.filename):
            if way.members and not fnmatchcase(info.filename, way.members):
                continue
            with _readable(way.url), archive.open(info) as stream:
                inner = stream.read(MAX_FILE + 1 - total)
            total += len(inner)
            if total > MAX_FILE:
                raise SourceError(f"{way.url}: unpacks to more than {MAX_FILE:,} bytes")
            digest = hash_bytes(inner)
            kept = _keep(folder, Path(info.filename).name, digest, inner)
            url = way.url if way.members is None else f"{way.url}#{info.filename}"
            files.append(_fetched(source, kept, url, digest))
    return files


def _keep(folder: Path, name: str, sha256: str, data: bytes) -> Path:
    """The bytes at a path that their digest makes unique; written once, whole or not at all."""
    path = folder / "unpacked" / sha256[:16] / re.sub(r"[^\w.\- ]", "_", Path(name).name)
    if not path.is_file() or hash_file(path) != sha256:
        write_atomic(path, data, durable=False)
    return path


def _file_name(url: str) -> str:
    """A file name of one's own for a URL: its last segment, and a hash of all of it."""
    last = re.sub(r"[?#].*", "", url).rstrip("/").rsplit("/", 1)[-1]
    return f"{hash_bytes(url)[:8]}-{re.sub(r'[^A-Za-z0-9._-]', '_', last)[-80:]}"
