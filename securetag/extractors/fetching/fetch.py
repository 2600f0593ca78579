"""Fetch the files of a source and verify them: from a folder, a package, a mirror, the network or a site.

The setting `fetch.mode` selects the method. Files of a package or a mirror stay in place; unpacked and
downloaded files are kept under `<data>/raw/<source>`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.catalog import (
    FetchMethod,
    MirrorManifest,
    NetworkMethod,
    Source,
    check_availability,
    find_package_file,
    to_spdx,
)
from securetag.extractors.fetching.download import LOCKS, Downloader, Meta, Progress
from securetag.extractors.fetching.files import Failure, FetchedFile, OnFailure
from securetag.extractors.fetching.mirror import read_entry, unpack_entry
from securetag.extractors.fetching.nvd_api import NvdApi
from securetag.extractors.fetching.published import download_package
from securetag.extractors.fetching.unpack import (
    MAX_FILE_BYTES,
    gunzip,
    read_bounded,
    verify_checksum,
)
from securetag.settings import Settings
from securetag.system.files import write_atomic
from securetag.system.hashing import hash_bytes, hash_file
from securetag.system.locks import FileLock
from securetag.system.zips import DAMAGED_ZIP

#: Members of one archive.
MAX_MEMBERS = 100_000


def fetch(
    source: Source,
    settings: Settings,
    progress: Progress | None = None,
    on_failure: OnFailure | None = None,
    client: httpx.Client | None = None,
) -> list[FetchedFile]:
    """Return the files of `source`, sorted by URL; none for a source that is made of others' Records.

    Methods are tried in the order of `check_availability`; the next one only when the previous one gives
    no file at all. A single broken file goes to `on_failure`, or raises where that is None. `client` sends
    the requests of the method `network`; by default a new one.

    Raises SourceError for a checksum that isn't the pinned one, UnavailableError when no method works.
    """
    availability = check_availability(source, settings)
    if not availability:
        raise UnavailableError(
            f"{source.name} can't be had: {availability.reason}",
            hint="Install the data packages (requirements-data.txt), set SECURETAG_MIRROR, or "
            "SECURETAG_FETCH__MODE=network.",
        )
    if source.records:
        return []
    last_error: SourceError | UnavailableError | None = None
    reasons: list[str] = []

    def note_failure(failure: Failure) -> None:
        reasons.append(f"{failure.file}: {failure.reason}")
        if on_failure:
            on_failure(failure)

    for method in availability.methods:
        try:
            files = _fetch_by(method, source, settings, progress, on_failure and note_failure, client)
        except UnavailableError as error:
            last_error = error
            continue
        if files:
            return sorted(files, key=lambda file: file.url)
        if method == "folder" and source.folder and not reasons:
            reasons.append(f"nothing in {source.folder.path} matches {source.folder.glob}")
    why = "; ".join(reasons[:3]) or "none is listed"
    raise last_error or UnavailableError(
        f"{source.name}: {', '.join(availability.methods)} gave no file: {why}"
    )


def _fetch_by(
    method: FetchMethod,
    source: Source,
    settings: Settings,
    progress: Progress | None,
    on_failure: OnFailure | None,
    client: httpx.Client | None,
) -> list[FetchedFile]:
    if method == "folder":
        return _fetch_from_folder(source, on_failure)
    if method == "package":
        return _fetch_from_package(source)
    if method == "mirror":
        return _fetch_from_mirror(source, settings, progress, on_failure)
    if method == "web":
        return _fetch_from_web(source, settings, progress, on_failure)
    if method == "published":
        return _fetch_published(source, settings, progress, on_failure)
    if client:
        return _fetch_from_network(source, settings, progress, on_failure, client)
    with httpx.Client(timeout=settings.fetch.timeout_s) as new_client:
        return _fetch_from_network(source, settings, progress, on_failure, new_client)


def _make_file(source: Source, path: Path, url: str, sha256: str, licence: str = "") -> FetchedFile:
    return FetchedFile(path, url, sha256, source.edition, to_spdx(licence) or source.licence)


def _fetch_from_folder(source: Source, on_failure: OnFailure | None) -> list[FetchedFile]:
    """Return the files of a user's folder.

    The URL of each is the row's with the path below the folder, so that it is the same on every machine.
    """
    method = source.folder
    assert method is not None
    root = Path(method.path).resolve()
    files = []
    for path in sorted(path for path in root.glob(method.glob) if path.is_file() or path.is_symlink()):
        relative = path.relative_to(root).as_posix()
        try:
            if not path.resolve().is_relative_to(root):
                raise SourceError("a link that leads out of the folder")
            if path.is_file():
                files.append(
                    _make_file(source, path, f"{source.url.rstrip('/')}/{quote(relative)}", hash_file(path))
                )
        except (OSError, RuntimeError, SourceError) as error:  # RuntimeError: links in a circle
            if on_failure:
                on_failure(Failure(relative, "", str(error)))
    return files


def _fetch_from_web(
    source: Source, settings: Settings, progress: Progress | None, on_failure: OnFailure | None
) -> list[FetchedFile]:
    from securetag.extractors.fetching.web import Crawl
    from securetag.extractors.fetching.web_guard import create_guarded_client

    method, folder = source.web, settings.raw_dir / source.name
    assert method is not None
    host = urlsplit(method.prefix).hostname or ""
    with (
        FileLock(settings.raw_dir / LOCKS / host),
        create_guarded_client(method.prefix, settings.fetch.timeout_s) as client,
    ):
        visits = Crawl(method, folder, client).run(progress)
    for visit in visits:
        if on_failure and visit.reason and visit.is_failure:
            on_failure(Failure(visit.url, "", visit.reason))
    return [
        _make_file(source, folder / "pages" / f"{visit.sha256}.html", visit.canonical_url, visit.sha256)
        for visit in visits
        if visit.sha256
    ]


def _fetch_published(
    source: Source, settings: Settings, progress: Progress | None, on_failure: OnFailure | None
) -> list[FetchedFile]:
    """Return the archives of all versions that the row names, under their package URLs."""
    versions = {
        fix.make_url(version): (fix.ecosystem, fix.package, version)
        for fix in source.published
        for version in (fix.vulnerable, fix.fixed)
    }
    folder = settings.raw_dir / source.name
    files = []
    for number, (url, version) in enumerate(sorted(versions.items()), 1):
        try:
            path = download_package(*version, folder)
        except UnavailableError as error:
            if on_failure is None:
                raise
            on_failure(Failure(url, "", str(error)))
            continue
        files.append(_make_file(source, path, url, hash_file(path)))
        if progress:
            progress(source.name, number, len(versions))
    return files


def _fetch_from_package(source: Source) -> list[FetchedFile]:
    method = source.package
    assert method is not None
    path = find_package_file(method)
    if path is None:
        raise UnavailableError(f"the package {method.name} is not installed")
    verify_checksum(path.read_bytes(), method.sha256, f"{method.name}/{method.file}")
    url = source.network[0].url if source.network else source.url
    return [_make_file(source, path, url, method.sha256)]


def _fetch_from_mirror(
    source: Source, settings: Settings, progress: Progress | None, on_failure: OnFailure | None
) -> list[FetchedFile]:
    assert settings.mirror is not None
    entries = MirrorManifest.load(settings.mirror).select([*source.mirror, *source.mirror_companions])
    files = []
    for number, entry in enumerate(entries, 1):
        try:
            data = read_entry(settings.mirror, entry)
            content = unpack_entry(entry, data)
        except SourceError as error:
            if on_failure is None:
                raise
            on_failure(Failure(entry.path, "", str(error)))
            continue
        path, sha256 = settings.mirror / entry.path, entry.sha256
        if content is not None:
            sha256 = hash_bytes(content)
            name = entry.archive_member or path.stem
            path = _store_unpacked(settings.raw_dir / source.name, name, sha256, content)
        files.append(_make_file(source, path, entry.url, sha256, entry.licence))
        if progress:
            progress(source.name, number, len(entries))
    return files


def _fetch_from_network(
    source: Source,
    settings: Settings,
    progress: Progress | None,
    on_failure: OnFailure | None,
    client: httpx.Client,
) -> list[FetchedFile]:
    """Return the files of all URLs of the row; what one of them lacks goes to `on_failure`.

    Raises SourceError or UnavailableError where no URL gives a file, or where `on_failure` is None.
    """
    downloads = _Downloads(source, settings, progress, client)
    files: list[FetchedFile] = []
    errors: list[SourceError | UnavailableError] = []
    for method in source.network:
        try:
            files += downloads.fetch(method)
        except (SourceError, UnavailableError) as error:
            if on_failure is None:
                raise
            errors.append(error)
            on_failure(Failure(method.url, "", str(error)))
    if errors and not files:
        raise errors[0]
    return files


class _Downloads:
    """The downloads of one source: each URL once, and no further request to a host that doesn't answer."""

    def __init__(
        self, source: Source, settings: Settings, progress: Progress | None, client: httpx.Client
    ) -> None:
        self.source, self.settings, self.progress, self.client = source, settings, progress, client
        self.folder = settings.raw_dir / source.name
        self.folder.mkdir(parents=True, exist_ok=True)
        # Where an edition appears every day or week under one address, a change is what is wanted.
        changes = settings.fetch.accept_changes or source.cadence in ("daily", "weekly")
        fetch_settings = settings.fetch.model_copy(update={"accept_changes": changes})
        self.downloader = Downloader(fetch_settings, client, locks=settings.raw_dir / LOCKS)
        self.metas: dict[str, Meta] = {}
        self.unavailable: dict[str, UnavailableError] = {}

    def fetch(self, method: NetworkMethod) -> list[FetchedFile]:
        """Return the files of one URL. Raises SourceError, UnavailableError."""
        source, folder, host = self.source, self.folder, urlsplit(method.url).netloc
        if host in self.unavailable:
            raise UnavailableError(f"{method.url}: not asked for: {self.unavailable[host]}")
        try:
            if method.api == "nvd":
                api = NvdApi(method.url, folder, self.settings, self.client)
                pages = api.fetch_pages(self.progress)
                return [_make_file(source, path, meta.url, meta.sha256) for path, meta in pages]
            path, meta = self._download(method)
        except UnavailableError as error:
            self.unavailable[host] = error
            raise
        if zipfile.is_zipfile(path):
            files = _unpack_members(source, method, path, folder)
            if not files:
                raise SourceError(
                    f"{method.url}: no member of the archive is like {method.members or '*'}",
                    hint="Upstream moved its files: correct `members` in the catalog.",
                )
            return files
        if path.suffix == ".gz":
            content = gunzip(path.read_bytes())
            digest = hash_bytes(content)
            return [
                _make_file(source, _store_unpacked(folder, path.stem, digest, content), method.url, digest)
            ]
        return [_make_file(source, path, method.url, meta.sha256)]

    def _download(self, method: NetworkMethod) -> tuple[Path, Meta]:
        """Return the file of a URL and its sidecar; several methods of a row may name one archive."""
        path = _make_path(self.folder, method.url)
        if method.url not in self.metas:
            self.metas[method.url] = self.downloader.get(
                method.url,
                path,
                sha256=method.sha256,
                is_archive=method.members is not None,
                progress=self.progress,
            )
        return path, self.metas[method.url]


@contextmanager
def _reading_archive(url: str) -> Iterator[None]:
    """Turn errors of a damaged archive into SourceError.

    It surrounds reading only: an error while writing (a full disk) isn't the archive's fault.
    """
    try:
        yield
    except DAMAGED_ZIP as error:
        raise SourceError(f"{url}: can't be unpacked: {error}") from error


def _unpack_members(source: Source, method: NetworkMethod, path: Path, folder: Path) -> list[FetchedFile]:
    """Unpack the members of a downloaded zip archive under names of our choice, never the archive's paths."""
    files, total = [], 0
    with _reading_archive(method.url):
        archive = zipfile.ZipFile(path)
    with archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        if len(infos) > MAX_MEMBERS:
            raise SourceError(f"{method.url}: {len(infos):,} members")
        for info in sorted(infos, key=lambda info: info.filename):
            if method.members and not fnmatchcase(info.filename, method.members):
                continue
            with _reading_archive(method.url), archive.open(info) as stream:
                content = read_bounded(stream, info.compress_size, method.url, MAX_FILE_BYTES - total)
            total += len(content)
            digest = hash_bytes(content)
            unpacked = _store_unpacked(folder, Path(info.filename).name, digest, content)
            url = method.url if method.members is None else _locate_member(method.url, info.filename)
            files.append(_make_file(source, unpacked, url, digest))
    return files


def _store_unpacked(folder: Path, name: str, sha256: str, data: bytes) -> Path:
    """Write the bytes to a path that contains their digest, unless they are there, and return it."""
    path = folder / "unpacked" / sha256[:16] / re.sub(r"[^\w.\- ]", "_", Path(name).name)
    if not path.is_file() or hash_file(path) != sha256:
        write_atomic(path, data, durable=False)
    return path


def _make_path(folder: Path, url: str) -> Path:
    """Return the path of a downloaded file: a folder of its URL's own, and the name that the publisher uses.

    Keys of Records may hold that name, which is the same wherever the bytes came from.
    """
    segment = re.sub(r"[?#].*", "", url).rstrip("/").rsplit("/", 1)[-1]
    return folder / hash_bytes(url)[:8] / re.sub(r"[^A-Za-z0-9._-]", "_", segment)[-80:]


def _locate_member(url: str, member: str) -> str:
    """Return the address of a member of an archive: of GitHub's, that of the file itself."""
    archive = re.fullmatch(r"https://codeload\.github\.com/([^/]+/[^/]+)/zip/([^/]+)", url)
    if archive is None:
        return f"{url}#{member}"
    path = member.partition("/")[2]  # the first folder is the repository's name and the commit
    return f"https://raw.githubusercontent.com/{archive[1]}/{archive[2]}/{quote(path)}"
