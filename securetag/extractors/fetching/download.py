"""Download a URL to a file: resumable, revalidated, verified, error pages refused.

`<name>.meta.json` next to each file holds its URL, ETag, checksum and time. A file is replaced as a whole
or not at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.fetching.unpack import MAX_FILE_BYTES
from securetag.settings.sections import FetchSettings
from securetag.system.clock import utc_timestamp
from securetag.system.files import move_file
from securetag.system.hashing import hash_file

USER_AGENT = "securetag/0.1 (+dataset extraction; polite, conditional requests)"
#: HTTP statuses of errors that may pass, so that the request is tried again.
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Upper limit of a wait that Retry-After asks for, seconds.
_MAX_WAIT_S = 60.0

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
    """

    def __init__(
        self,
        settings: FetchSettings,
        client: httpx.Client,
        wait: Callable[[float], None] = time.sleep,
        *,
        transient: frozenset[int] = TRANSIENT_STATUSES,
        first_wait_s: float = 0.5,
    ) -> None:
        self.settings = settings
        self.client = client
        self.wait = wait
        self.transient = transient
        self.first_wait_s = first_wait_s

    def get(self, url: str, path: Path, *, sha256: str | None, progress: Progress | None = None) -> Meta:
        """Download `url` to `path` and return its sidecar.

        Raises UnavailableError when the server doesn't answer and nothing is cached, SourceError for an
        error page, for a checksum that isn't the pinned `sha256`, and for content that changed upstream.
        """
        cached = read_cached_meta(path, url)
        if cached and sha256 and cached.sha256 == sha256:
            return cached  # the pinned file: nothing newer is wanted
        retrying = Retrying(
            retry=retry_if_exception_type(_Retry),
            stop=stop_after_attempt(self.settings.attempts),
            wait=self._pause_s,
            sleep=self.wait,
            reraise=True,
        )
        try:
            return retrying(self._request, url, path, cached, sha256, progress)
        except _Retry as failure:
            if cached and not sha256:
                return cached  # verified when it was downloaded, so it serves while the server is away
            raise UnavailableError(
                f"{url}: {failure}",
                hint="Check the connection, or set SECURETAG_MIRROR to a folder that holds it.",
            ) from failure

    def _pause_s(self, state: RetryCallState) -> float:
        """Return the seconds until the next attempt: as the server asks, else twice as long each time."""
        failure = state.outcome.exception() if state.outcome else None
        after_s = failure.after_s if isinstance(failure, _Retry) else None
        backoff_s = self.first_wait_s * 2.0 ** (state.attempt_number - 1)
        return min(after_s if after_s is not None else backoff_s, _MAX_WAIT_S)

    def _request(
        self, url: str, path: Path, cached: Meta | None, sha256: str | None, progress: Progress | None
    ) -> Meta:
        part = path.with_name(path.name + ".part")
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        etag_path = part.with_name(part.name + ".etag")
        received = part.stat().st_size if part.is_file() and etag_path.is_file() else 0
        if received:
            headers |= {"Range": f"bytes={received}-", "If-Range": etag_path.read_text()}
        elif cached:
            headers |= {"If-None-Match": cached.etag} if cached.etag else {}
            headers |= {"If-Modified-Since": cached.last_modified} if cached.last_modified else {}
        try:
            with self.client.stream("GET", url, headers=headers) as response:
                if response.status_code == 304 and cached:
                    return cached
                self._check_status(response, url)
                resumed_at = received if response.status_code == 206 else 0
                self._save_body(response, part, etag_path, resumed_at, url, progress)
                etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
                content_type = response.headers.get("Content-Type", "")
        except httpx.TransportError as error:
            raise _Retry(str(error) or type(error).__name__) from error
        meta = Meta(url, hash_file(part), utc_timestamp(), etag, modified)
        try:
            refuse_error_page(part, url, content_type)
            self._refuse_change(meta, cached, sha256)
        except SourceError:
            part.unlink()
            raise
        finally:
            etag_path.unlink(missing_ok=True)
        move_file(part, path, durable=False)
        meta_path(path).write_bytes(msgspec.json.encode(meta))
        return meta

    def _save_body(
        self,
        response: httpx.Response,
        part: Path,
        etag_path: Path,
        received: int,
        url: str,
        progress: Progress | None,
    ) -> None:
        """Write the body to `part`, after the `received` bytes that it holds."""
        part.parent.mkdir(parents=True, exist_ok=True)
        etag = response.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):
            etag_path.write_text(etag)  # only a strong validator allows resuming
        else:
            etag_path.unlink(missing_ok=True)
        length = int(response.headers.get("Content-Length") or 0)
        total = received + length if length else 0
        with part.open("ab" if received else "wb") as out:
            for chunk in response.iter_bytes(1 << 16):
                received += len(chunk)
                if received > MAX_FILE_BYTES:
                    raise SourceError(f"{url}: more than {MAX_FILE_BYTES:,} bytes")
                out.write(chunk)
                if progress:
                    progress(url, received, total)
        if total and received < total:
            raise _Retry(f"the connection closed after {received:,} of {total:,} bytes")

    def _check_status(self, response: httpx.Response, url: str) -> None:
        if response.status_code in self.transient:
            after = response.headers.get("Retry-After", "")
            raise _Retry(f"HTTP {response.status_code}", float(after) if after.isdigit() else None)
        if response.status_code not in (200, 206):
            raise SourceError(f"{url}: HTTP {response.status_code}", hint="Check the URL in the catalog.")

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


def refuse_error_page(path: Path, url: str, content_type: str = "") -> None:
    """Raise SourceError when the content doesn't fit the suffix of the URL (mostly an HTML page)."""
    with path.open("rb") as handle:
        head = handle.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    suffix = re.sub(r"[?#].*", "", url).rsplit(".", 1)[-1].lower()
    is_html = re.match(rb"<(!doctype\s+html|html|head|body)\b", head, re.I) is not None
    first_bytes = {"json": b"{[", "pdf": b"%", "zip": b"P", "gz": b"\x1f"}.get(suffix)
    is_wrong = not head or (first_bytes is not None and head[:1] not in [bytes([c]) for c in first_bytes])
    if (is_html and suffix not in {"html", "htm"}) or is_wrong:
        raise SourceError(
            f"{url}: the answer is not a {suffix} file" + (f" but {content_type}" if content_type else ""),
            hint="Upstream answered with an error page; nothing was cached.",
        )
