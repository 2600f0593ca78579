"""One URL → one file on disk: resumed, revalidated, verified, and never an error page.

Beside each file lies `<name>.meta.json` with its URL, ETag, checksum and time. The file is replaced
whole or not at all. Redirects are followed only to https, or to where the first URL's host is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.mirror import MAX_FILE
from securetag.settings import FetchSettings
from securetag.system.clock import utc_timestamp
from securetag.system.files import move_file
from securetag.system.hashing import hash_file

AGENT = "securetag/0.1 (+dataset extraction; polite, conditional requests)"
#: Statuses that another try may change.
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Longest wait that a Retry-After may ask of us, seconds.
_LONGEST_WAIT = 60.0

#: (what, bytes or files done, of how many; 0 = unknown)
Progress = Callable[[str, int, int], None]


class Meta(msgspec.Struct, frozen=True):
    """The sidecar of a cached file."""

    url: str
    sha256: str
    fetched_at: str
    etag: str | None = None
    last_modified: str | None = None


def meta_path(path: Path) -> Path:
    """Where the sidecar of a cached file lies."""
    return path.with_name(path.name + ".meta.json")


def cached(path: Path, url: str) -> Meta | None:
    """The sidecar, when the cached file is whole and of this URL; None otherwise."""
    try:
        meta = msgspec.json.decode(meta_path(path).read_bytes(), type=Meta)
        whole = meta.url == url and hash_file(path) == meta.sha256
    except (OSError, msgspec.DecodeError):
        return None
    return meta if whole else None


class Downloader:
    """Downloads over one client. `wait` is how it sleeps, so that a test need not.

    `transient` are the statuses that are tried again, after `first_wait_s` at first, then twice that.
    """

    def __init__(
        self,
        settings: FetchSettings,
        client: httpx.Client,
        wait: Callable[[float], None] = time.sleep,
        *,
        transient: frozenset[int] = TRANSIENT,
        first_wait_s: float = 0.5,
    ) -> None:
        self.settings = settings
        self.client = client
        self.wait = wait
        self.transient = transient
        self.first_wait_s = first_wait_s

    def get(self, url: str, path: Path, *, sha256: str | None, progress: Progress | None = None) -> Meta:
        """The file of `url` at `path`. Raises UnavailableError when it can't be had and isn't cached,
        SourceError for an error page, a wrong checksum or one that changed upstream."""
        known = cached(path, url)
        if known and sha256 and known.sha256 == sha256:
            return known  # pinned and whole: upstream has nothing to add
        reason = ""
        for attempt in range(self.settings.attempts):
            try:
                return self._once(url, path, known, sha256, progress)
            except _Retry as retry:
                reason = str(retry)
                if attempt + 1 < self.settings.attempts:
                    backoff = self.first_wait_s * 2**attempt
                    self.wait(min(retry.after if retry.after is not None else backoff, _LONGEST_WAIT))
        if known and not sha256:
            return known  # verified when it came; offline is no reason to do without
        raise UnavailableError(
            f"{url}: {reason}",
            hint="Check the connection, or set SECURETAG_MIRROR to a folder that holds it.",
        )

    def _once(
        self, url: str, path: Path, known: Meta | None, sha256: str | None, progress: Progress | None
    ) -> Meta:
        part = path.with_name(path.name + ".part")
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        tag = part.with_name(part.name + ".etag")
        have = part.stat().st_size if part.is_file() and tag.is_file() else 0
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text()}
        elif known:
            headers |= {"If-None-Match": known.etag} if known.etag else {}
            headers |= {"If-Modified-Since": known.last_modified} if known.last_modified else {}
        try:
            with self.client.stream("GET", url, headers=headers) as answer:
                if answer.status_code == 304 and known:
                    return known
                self._check_status(answer, url)
                self._body(answer, part, tag, have if answer.status_code == 206 else 0, url, progress)
                etag, modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
                kind = answer.headers.get("Content-Type", "")
        except httpx.TransportError as error:
            raise _Retry(str(error) or type(error).__name__) from error
        meta = Meta(url, hash_file(part), utc_timestamp(), etag, modified)
        try:
            refuse_error_page(part, url, kind)
            self._refuse_change(meta, known, sha256)
        except SourceError:
            part.unlink()
            raise
        finally:
            tag.unlink(missing_ok=True)
        move_file(part, path, durable=False)
        meta_path(path).write_bytes(msgspec.json.encode(meta))
        return meta

    def _body(
        self, answer: httpx.Response, part: Path, tag: Path, have: int, url: str, progress: Progress | None
    ) -> None:
        part.parent.mkdir(parents=True, exist_ok=True)
        etag = answer.headers.get("ETag", "")
        if etag and not etag.startswith("W/"):
            tag.write_text(etag)  # a strong validator: what comes now may be resumed
        else:
            tag.unlink(missing_ok=True)
        length = int(answer.headers.get("Content-Length") or 0)
        total = have + length if length else 0
        with part.open("ab" if have else "wb") as out:
            for chunk in answer.iter_bytes(1 << 16):
                have += len(chunk)
                if have > MAX_FILE:
                    raise SourceError(f"{url}: more than {MAX_FILE:,} bytes")
                out.write(chunk)
                if progress:
                    progress(url, have, total)
        if total and have < total:
            raise _Retry(f"the connection closed after {have:,} of {total:,} bytes")

    def _check_status(self, answer: httpx.Response, url: str) -> None:
        if answer.status_code in self.transient:
            after = answer.headers.get("Retry-After", "")
            raise _Retry(f"HTTP {answer.status_code}", float(after) if after.isdigit() else None)
        if answer.status_code not in (200, 206):
            raise SourceError(f"{url}: HTTP {answer.status_code}", hint="Check the URL in the catalog.")

    def _refuse_change(self, meta: Meta, known: Meta | None, sha256: str | None) -> None:
        expected = sha256 or (known.sha256 if known and not self.settings.accept_changes else None)
        if expected and meta.sha256 != expected:
            raise SourceError(
                f"{meta.url}: the checksum changed upstream: "
                f"expected {expected[:12]}…, found {meta.sha256[:12]}…",
                hint="Nothing was replaced. Look at what changed; then pin the new sha256 in the catalog, "
                "or set SECURETAG_FETCH__ACCEPT_CHANGES=true where none is pinned.",
            )


class _Retry(Exception):
    """This try failed; another may not. `after` is what the server asked for, seconds."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


def refuse_error_page(path: Path, url: str, content_type: str = "") -> None:
    """Raises SourceError when the bytes can't be what the URL's ending promises (an HTML page, mostly)."""
    with path.open("rb") as handle:
        head = handle.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    ending = re.sub(r"[?#].*", "", url).rsplit(".", 1)[-1].lower()
    html = re.match(rb"<(!doctype\s+html|html|head|body)\b", head, re.I) is not None
    wanted = {"json": b"{[", "pdf": b"%", "zip": b"P", "gz": b"\x1f"}.get(ending)
    wrong = not head or (wanted is not None and head[:1] not in [bytes([c]) for c in wanted])
    if (html and ending not in {"html", "htm"}) or wrong:
        raise SourceError(
            f"{url}: the answer is not a {ending} file" + (f" but {content_type}" if content_type else ""),
            hint="Upstream answered with an error page; nothing was cached.",
        )
