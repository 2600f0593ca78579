"""Download a URL to a file: resumable, revalidated, verified, error pages refused.

`<name>.meta.json` next to each file holds its URL, ETag, checksum and time. A file is replaced as a whole
or not at all.
"""

from __future__ import annotations

import os
import re
import ssl
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.fetching.unpack import MAX_FILE_BYTES, gunzip
from securetag.extractors.fetching.waiting import MAX_WAIT_S, TRANSIENT_STATUSES, parse_retry_after
from securetag.settings.sections import FetchSettings
from securetag.system.clock import utc_timestamp
from securetag.system.files import move_file, write_atomic
from securetag.system.hashing import hash_file
from securetag.system.locks import FileLock
from securetag.system.version import package_version

#: Says who asks and how, so that an operator can tell it from a browser.
USER_AGENT = f"securetag/{package_version()} (dataset extraction; conditional, one connection a host)"
#: Folder below the raw files that holds one lock a host.
LOCKS = ".hosts"
#: Redirects of one request; a sixth one is a loop.
MAX_REDIRECTS = 5
#: Bytes a second, over one timeout, below which a body is given up and asked for again.
MIN_BYTES_PER_S = 1_024

#: Called with what is in progress, the bytes or files done, and their total (0 where it is unknown).
Progress = Callable[[str, int, int], None]


class Meta(msgspec.Struct, frozen=True):
    """The sidecar of a cached file."""

    url: str
    sha256: str
    fetched_at: str
    etag: str | None = None
    last_modified: str | None = None


def meta_path(path: Path) -> Path:
    """Return the path of the sidecar file of a cached file."""
    return path.with_name(path.name + ".meta.json")


def read_cached_meta(path: Path, url: str) -> Meta | None:
    """Return the sidecar when the cached file is unchanged and came from this URL, else None."""
    try:
        meta = msgspec.json.decode(meta_path(path).read_bytes(), type=Meta)
        is_valid = meta.url == url and hash_file(path) == meta.sha256
    except (OSError, msgspec.DecodeError):
        return None
    return meta if is_valid else None


class Downloader:
    """Downloads with one HTTP client, retries and a cache.

    `wait` sleeps for a number of seconds; tests replace it. A response with one of the statuses
    `transient` is requested again after `first_wait_s` seconds, which double with each attempt.
    `locks` is a folder of one lock a host, so that several processes share one connection to it.
    """

    def __init__(
        self,
        settings: FetchSettings,
        client: httpx.Client,
        wait: Callable[[float], None] = time.sleep,
        *,
        transient: frozenset[int] = TRANSIENT_STATUSES,
        first_wait_s: float = 0.5,
        locks: Path | None = None,
    ) -> None:
        self.settings = settings
        self.client = client
        self.wait = wait
        self.transient = transient
        self.first_wait_s = first_wait_s
        self.locks = locks

    def get(
        self,
        url: str,
        path: Path,
        *,
        sha256: str | None,
        is_archive: bool = False,
        progress: Progress | None = None,
    ) -> Meta:
        """Download `url` to `path` and return its sidecar; `is_archive` expects a zip archive.

        Raises UnavailableError when the server doesn't answer and nothing is cached, SourceError for an
        error page, for a checksum that isn't the pinned `sha256`, and for content that changed upstream.
        """
        if sha256 and (cached := read_cached_meta(path, url)) and cached.sha256 == sha256:
            return cached  # the pinned file: nothing newer is wanted
        with self._host_lock(url):
            # Another process may have downloaded it while this one waited for the lock.
            cached = read_cached_meta(path, url)
            if cached and sha256 and cached.sha256 == sha256:
                return cached
            retrying = Retrying(
                retry=retry_if_exception_type(_Retry),
                stop=self._is_last,
                wait=self._pause_s,
                sleep=self.wait,
                reraise=True,
            )
            download = _Download(url, path, cached, sha256, is_archive, progress)
            try:
                return retrying(self._request, download)
            except _Retry as failure:
                if cached and not sha256:
                    return cached  # verified when it was downloaded, so it serves while the server is away
                raise UnavailableError(
                    f"{url}: {failure}",
                    hint="Check the connection, or set SECURETAG_MIRROR to a folder that holds it. "
                    "The next run goes on where this one stopped.",
                ) from failure

    def _host_lock(self, url: str) -> AbstractContextManager[object]:
        if self.locks is None:
            return nullcontext()
        return FileLock(self.locks / re.sub(r"[^\w.-]", "_", urlsplit(url).hostname or ""))

    def _is_last(self, state: RetryCallState) -> bool:
        """Whether no further attempt follows; a server that asks for a long time is left alone."""
        return state.attempt_number >= self.settings.attempts or (_get_wait_s(state) or 0.0) > MAX_WAIT_S

    def _pause_s(self, state: RetryCallState) -> float:
        """Return the seconds until the next attempt: as the server asks, else twice as long each time."""
        after_s = _get_wait_s(state)
        backoff_s = self.first_wait_s * 2.0 ** (state.attempt_number - 1)
        return min(after_s if after_s is not None else backoff_s, MAX_WAIT_S)

    def _request(self, download: _Download) -> Meta:
        url, cached = download.url, download.cached
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        received = download.received
        if received:
            headers |= {"Range": f"bytes={received}-", "If-Range": download.etag_path.read_text()}
        elif cached:
            headers |= {"If-None-Match": cached.etag} if cached.etag else {}
            headers |= {"If-Modified-Since": cached.last_modified} if cached.last_modified else {}
        try:
            with self._open(url, headers) as response:
                if response.status_code == 304 and cached and not received:
                    return cached
                self._check_status(response, download)
                resumed_at = received if response.status_code == 206 else 0
                self._save_body(response, download, resumed_at)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise SourceError(f"{url}: {error}", hint="Check the URL in the catalog.") from error
        except httpx.TransportError as error:
            if _is_distrusted(error):
                raise SourceError(
                    f"{url}: {error}",
                    hint="SSL_CERT_FILE names a file with the certificates of your own authorities.",
                ) from error
            raise _Retry(str(error) or type(error).__name__) from error
        return self._commit(response, download)

    @contextmanager
    def _open(self, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """Yield the response after redirects, with its body still to be read.

        Raises SourceError for a loop, and for a redirect from https to anything else.
        """
        request = self.client.build_request("GET", url, headers=headers)
        for _ in range(MAX_REDIRECTS + 1):
            response = self.client.send(request, stream=True, follow_redirects=False)
            try:
                if response.next_request is None:
                    yield response
                    return
                target = response.next_request.url
            finally:
                response.close()
            if target.scheme not in ("https", request.url.scheme):
                raise SourceError(
                    f"{url}: redirects to {target}, which isn't https",
                    hint="What comes unencrypted could be anybody's. Check the URL in the catalog.",
                )
            request = response.next_request
        raise SourceError(
            f"{url}: more than {MAX_REDIRECTS} redirects, the last one to {request.url}",
            hint="Check the URL in the catalog.",
        )

    def _save_body(self, response: httpx.Response, download: _Download, received: int) -> None:
        """Write the body as it was sent after the `received` bytes that are there.

        Raises _Retry where the connection closes early or the body arrives too slowly.
        """
        if not received:
            download.drop_part()
        etag = response.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):
            download.etag_path.write_text(etag)  # only a strong validator allows resuming
        else:
            download.etag_path.unlink(missing_ok=True)
        length = int(response.headers.get("Content-Length") or 0)
        total = received + length if length else 0
        least = int(MIN_BYTES_PER_S * self.settings.timeout_s)
        started_s, started_at = time.monotonic(), received
        with download.part.open("ab") as out:
            for chunk in response.iter_raw():  # as it arrives, so that a cut connection loses nothing
                received += len(chunk)
                if received > MAX_FILE_BYTES:
                    raise SourceError(f"{download.url}: more than {MAX_FILE_BYTES:,} bytes")
                out.write(chunk)
                if download.progress:
                    download.progress(download.url, received, total)
                if time.monotonic() - started_s > self.settings.timeout_s:
                    if received - started_at < least:
                        raise _Retry(
                            f"{received - started_at:,} bytes in {self.settings.timeout_s:g} s: too slow"
                        )
                    started_s, started_at = time.monotonic(), received
        if total and received < total:
            raise _Retry(f"the connection closed after {received:,} of {total:,} bytes")

    def _check_status(self, response: httpx.Response, download: _Download) -> None:
        url, status = download.url, response.status_code
        if status in self.transient:
            after_s = parse_retry_after(response.headers.get("Retry-After", ""))
            asks = f", asks to wait {after_s:,.0f} s" if after_s is not None and after_s > MAX_WAIT_S else ""
            raise _Retry(f"HTTP {status}{asks}", after_s)
        if status in (206, 416) and download.received:
            start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if status == 206 and start and int(start[1]) == download.received:
                return
            download.drop_part()
            raise _Retry("the server doesn't have the rest of what was begun", 0.0)
        if status != 200:
            raise SourceError(f"{url}: HTTP {status}", hint="Check the URL in the catalog.")

    def _commit(self, response: httpx.Response, download: _Download) -> Meta:
        """Verify what was downloaded and let it replace the cached file. Raises SourceError."""
        url, part, headers = download.url, download.part, response.headers
        # It is whole: without its validator nothing is appended to it, whenever this process is killed.
        download.etag_path.unlink(missing_ok=True)
        try:
            _decode_content(part, url, headers.get("Content-Encoding", ""))
            refuse_error_page(part, url, headers.get("Content-Type", ""), is_archive=download.is_archive)
            meta = Meta(
                url, hash_file(part), utc_timestamp(), headers.get("ETag"), headers.get("Last-Modified")
            )
            self._refuse_change(meta, download.cached, download.sha256)
        except SourceError:
            download.drop_part()
            raise
        move_file(part, download.path, durable=False)
        write_atomic(meta_path(download.path), msgspec.json.encode(meta), durable=False)
        return meta

    def _refuse_change(self, meta: Meta, cached: Meta | None, sha256: str | None) -> None:
        """Raise SourceError when the file has neither the pinned nor, unless allowed, the cached checksum."""
        expected = sha256 or (cached.sha256 if cached and not self.settings.accept_changes else None)
        if expected and meta.sha256 != expected:
            raise SourceError(
                f"{meta.url}: the checksum changed upstream: "
                f"expected {expected[:12]}…, found {meta.sha256[:12]}…",
                hint="Nothing was replaced. Look at what changed; then pin the new sha256 in the catalog, "
                "or set SECURETAG_FETCH__ACCEPT_CHANGES=true where none is pinned.",
            )


class _Retry(Exception):
    """A failed attempt that may succeed later; `after_s` is the server's Retry-After in seconds."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


@dataclass(frozen=True)
class _Download:
    """One file to download: where from, where to, and what is there already."""

    url: str
    path: Path
    cached: Meta | None
    sha256: str | None
    is_archive: bool
    progress: Progress | None

    @property
    def part(self) -> Path:
        """Path of the bytes so far."""
        return self.path.with_name(self.path.name + ".part")

    @property
    def etag_path(self) -> Path:
        """Path of the strong validator of those bytes, without which they are not resumed."""
        return self.path.with_name(self.path.name + ".part.etag")

    @property
    def received(self) -> int:
        """Number of bytes from which the download can be resumed."""
        return self.part.stat().st_size if self.part.is_file() and self.etag_path.is_file() else 0

    def drop_part(self) -> None:
        """Forget the bytes so far: the validator first, which would vouch for other bytes."""
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self.etag_path.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)


def _get_wait_s(state: RetryCallState) -> float | None:
    """Return the seconds that the server asked to wait; None where it didn't."""
    failure = state.outcome.exception() if state.outcome else None
    return failure.after_s if isinstance(failure, _Retry) else None


def _is_distrusted(error: BaseException) -> bool:
    """Whether the certificate of the server was refused."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _decode_content(part: Path, url: str, encoding: str) -> None:
    """Unpack a body that was sent packed although it was asked for plain. Raises SourceError.

    A `.gz` file is often labelled as a packed body, which it isn't.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity") or (encoding in ("gzip", "x-gzip") and _get_suffix(url) == "gz"):
        return
    if encoding not in ("gzip", "x-gzip"):
        raise SourceError(f"{url}: packed as {encoding}, although it was asked for plain")
    try:
        part.write_bytes(gunzip(part.read_bytes()))
    except SourceError as error:
        raise SourceError(f"{url}: {error}", hint="Nothing was kept; try again.") from error


def _get_suffix(url: str) -> str:
    """Return the ending of the file that a URL names, without the dot; empty where it has none."""
    return PurePosixPath(urlsplit(url).path).suffix.removeprefix(".").lower()


def refuse_error_page(path: Path, url: str, content_type: str = "", *, is_archive: bool = False) -> None:
    """Raise SourceError when the content doesn't fit the suffix of the URL: an HTML page, or half a file.

    `is_archive` expects a whole zip archive whatever the suffix.
    """
    with path.open("rb") as handle:
        head = handle.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
        handle.seek(-min(path.stat().st_size, 64), os.SEEK_END)
        tail = handle.read().rstrip()
    suffix = "zip" if is_archive else _get_suffix(url)
    is_html = re.match(rb"<(!doctype\s+html|html|head|body)\b", head, re.I) is not None
    first_bytes = {"json": b"{[", "pdf": b"%", "gz": b"\x1f"}.get(suffix)
    is_wrong = not head or (first_bytes is not None and head[:1] not in [bytes([c]) for c in first_bytes])
    if (is_html and suffix not in {"html", "htm"}) or is_wrong:
        raise SourceError(
            f"{url}: the answer is not a {suffix} file" + (f" but {content_type}" if content_type else ""),
            hint="Upstream answered with an error page; nothing was cached.",
        )
    if (suffix == "zip" and not zipfile.is_zipfile(path)) or (suffix == "json" and tail[-1:] not in b"}]"):
        raise SourceError(
            f"{url}: the answer is not a whole {suffix} file",
            hint="It ends too early, or is something else; nothing was cached. Try again.",
        )
