"""Crawl a section of a site politely and store its pages.

robots.txt is obeyed (RFC 9309) with its delay. Requests keep a minimum distance in time, are conditional for
a page of the last crawl, and name their sender. Redirects are followed inside the section only, connections
go to public addresses only (`web_guard`), and every crawl has limits (`catalog.WebMethod`). Pages that
opt out of text and data mining are left out.

Each visited address is a line of `journal.jsonl`, flushed to disk before the next request. A crawl that was
killed resumes from the journal. When a crawl ends its journal becomes `last.jsonl`, and the next crawl
requests the changes since then.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec
from protego import Protego
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from securetag.errors import SecuretagError, SourceError, UnavailableError
from securetag.extractors.catalog import WebMethod
from securetag.extractors.fetching.download import USER_AGENT, Progress
from securetag.extractors.fetching.unpack import gunzip
from securetag.extractors.fetching.waiting import MAX_WAIT_S, TRANSIENT_STATUSES, parse_retry_after
from securetag.extractors.fetching.web_guard import AddressRefusedError
from securetag.extractors.fetching.web_links import (
    Scope,
    find_canonical_url,
    list_links,
    normalize_url,
    parse_sitemap,
)
from securetag.extractors.text.html_markdown import join_blocks
from securetag.extractors.text.html_page import decode_page, is_soft_404, parse_page
from securetag.system.clock import utc_timestamp
from securetag.system.files import move_file, write_atomic
from securetag.system.hashing import hash_bytes

#: Name of this crawler in robots.txt.
ROBOT_NAME = "securetag"
#: Redirects of one page.
MAX_REDIRECTS = 5
#: Attempts of one request.
MAX_ATTEMPTS = 3
#: Sitemaps of one site.
MAX_SITEMAPS = 50
#: Bytes of robots.txt or of one sitemap.
MAX_PLAIN_BYTES = 50 << 20
#: Seconds that the body of one page may take to arrive; a timeout between two bytes doesn't limit that.
MAX_PAGE_SECONDS = 60.0
#: Encodings of a body that are unpacked; plain is asked for, and not every server listens.
_ENCODINGS = {"identity", "gzip", "deflate"}
_PAGE_TYPES = {"text/html", "application/xhtml+xml", "text/plain", "text/markdown", ""}
_OPT_OUT = re.compile(r"\bno(?:ai|imageai)\b|\bnoindex\b", re.I)


class Visit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of one address: a line of the journal."""

    url: str
    depth: int
    status: int = 0
    #: Why no page was stored; empty where one was.
    reason: str = ""
    #: The address that the page names as its canonical one, else the one it was served at.
    canonical_url: str = msgspec.field(default="", name="own")
    sha256: str = ""
    etag: str = ""
    modified: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether a page is missing that neither robots.txt nor the site nor the section leaves out."""
        left_out = ("robots.txt", "the same page", "the page opts out", "not a page", "a page that says")
        return (
            bool(self.reason)
            and (self.status in (0, 200) or self.status >= 500)
            and not self.reason.startswith(left_out)
        )


class _End(msgspec.Struct, frozen=True):
    """The last line of the journal of a crawl that ended."""

    ended: str


class _Response(msgspec.Struct):
    """A response whose body was read; `reason` says why there is no body."""

    url: str
    status: int
    body: bytes
    headers: httpx.Headers
    reason: str = ""


class _TransientError(Exception):
    """A response that may be another one later."""

    def __init__(self, response: _Response) -> None:
        super().__init__(response.reason)
        self.response = response


def _pause_s(state: RetryCallState) -> float:
    """Return the seconds until the next attempt: as the server asks, else twice as long each time."""
    failure = state.outcome.exception() if state.outcome else None
    header = failure.response.headers.get("Retry-After", "") if isinstance(failure, _TransientError) else ""
    after_s = parse_retry_after(header)
    return min(after_s if after_s is not None else 2.0 ** (state.attempt_number - 1), MAX_WAIT_S)


class Crawl:
    """A crawl of one section of one site into `folder`.

    `wait` sleeps for a number of seconds and `clock` returns seconds; tests replace both.
    """

    def __init__(
        self,
        method: WebMethod,
        folder: Path,
        client: httpx.Client,
        *,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.method, self.folder, self.client = method, folder, client
        self.wait, self.clock = wait, clock
        self.scope = Scope(method)
        if not self.scope.prefix:
            raise SourceError(f"{method.prefix}: not an http(s) address")
        self.journal = folder / "journal.jsonl"
        self.last_journal = folder / "last.jsonl"
        self.delay_s = method.delay_s
        self.requested_at: float | None = None
        self.soft_404_words = ""

    def run(self, progress: Progress | None = None) -> list[Visit]:
        """Visit all addresses and return the visits in their order.

        Raises UnavailableError when the site or its robots.txt doesn't answer, or when the time is over; the
        pages so far are kept, and the next run resumes.
        """
        (self.folder / "pages").mkdir(parents=True, exist_ok=True)
        done = {visit.url: visit for visit in _read_journal(self.journal)}
        previous = {visit.url: visit for visit in _read_journal(self.last_journal)}
        previous |= {url: visit for url, visit in done.items() if visit.sha256}
        started, total = self.clock(), 0
        robots = self._fetch_robots()
        self.soft_404_words = self._probe_soft_404(robots)
        seen: dict[str, str] = {}  # digest or canonical address of a page → address of its first visit
        visits: list[Visit] = []
        pages = 0
        with self.journal.open("ab") as journal:
            journal.write(b"\n")  # ends a line that a kill cut off
            queue = deque((url, 0) for url in self._list_start_pages(robots))
            queued = {url for url, _ in queue}
            while queue and pages < self.method.pages and total < self.method.total_bytes:
                if self.clock() - started > self.method.seconds:
                    raise UnavailableError(
                        f"{self.method.prefix}: stopped after {self.method.seconds:g} s with {pages} pages",
                        hint="Run it again: it goes on from there.",
                    )
                url, depth = queue.popleft()
                visit = done.get(url)
                if visit is None or (visit.sha256 and not self._get_path(visit).is_file()):
                    visit = self._visit(url, depth, robots, previous.get(url), seen)
                    journal.write(msgspec.json.encode(visit) + b"\n")
                    journal.flush()
                    os.fsync(journal.fileno())
                visits.append(visit)
                if not visit.sha256:
                    continue
                seen.setdefault(visit.sha256, visit.canonical_url)
                seen.setdefault(visit.canonical_url, visit.canonical_url)
                body = self._get_path(visit).read_bytes()
                pages, total = pages + 1, total + len(body)
                if progress:
                    progress(self.method.prefix, pages, self.method.pages)
                if depth < self.method.depth:
                    for link in list_links(decode_page(body), visit.canonical_url):
                        if link not in queued:
                            queued.add(link)
                            if not self.scope.refuse(link):
                                queue.append((link, depth + 1))
            journal.write(msgspec.json.encode(_End(utc_timestamp())) + b"\n")
        move_file(self.journal, self.last_journal)
        return visits

    def _get_path(self, visit: Visit) -> Path:
        return self.folder / "pages" / f"{visit.sha256}.html"

    def _fetch_robots(self) -> Protego:
        """Return the rules of robots.txt and set the delay. Raises UnavailableError where it can't be had."""
        url = urljoin(self.scope.prefix, "/robots.txt")
        response = self._get(url, None, MAX_PLAIN_BYTES, within="internet")
        is_away = response.status in TRANSIENT_STATUSES or response.status >= 500 or not response.status
        is_unreadable = response.status == 200 and response.reason not in ("", "an empty page")
        if is_away or is_unreadable:
            raise UnavailableError(
                f"{response.url}: {response.reason or f'HTTP {response.status}'}",
                hint="A site whose robots.txt can't be had is left alone (RFC 9309).",
            )
        text = response.body.decode("utf-8", errors="replace") if response.status == 200 else ""
        robots = Protego.parse(text)
        robots_delay_s = robots.crawl_delay(ROBOT_NAME) or 0.0
        if rate := robots.request_rate(ROBOT_NAME):
            robots_delay_s = max(robots_delay_s, rate.seconds / max(rate.requests, 1))
        self.delay_s = max(self.method.delay_s, min(float(robots_delay_s), MAX_WAIT_S))
        return robots

    def _probe_soft_404(self, robots: Protego) -> str:
        """Return the words of the page that answers, with status 200, an address that can't exist.

        Empty where the site answers with an error status, as it should.
        """
        url = normalize_url(f"{self.scope.prefix.rstrip('/')}/{hash_bytes(ROBOT_NAME)[:20]}")
        if not robots.can_fetch(url, ROBOT_NAME):
            return ""
        response = self._get(url, None, self.method.page_bytes)
        return _extract_words(response.body, url) if response.status == 200 and not response.reason else ""

    def _list_start_pages(self, robots: Protego) -> list[str]:
        urls = [normalize_url(url, self.scope.prefix) for url in self.method.start] or [self.scope.prefix]
        if self.method.sitemap:
            urls += self._list_sitemap_pages(robots)
        return [url for url in dict.fromkeys(urls) if not self.scope.refuse(url)]

    def _list_sitemap_pages(self, robots: Protego) -> Iterator[str]:
        root = urljoin(self.scope.prefix, "/sitemap.xml")
        queue, seen = deque([normalize_url(url) for url in robots.sitemaps] or [root]), set[str]()
        while queue and len(seen) < MAX_SITEMAPS:
            url = queue.popleft()
            if url in seen or urlsplit(url).netloc != urlsplit(root).netloc:
                continue
            seen.add(url)
            response = self._get(url, None, MAX_PLAIN_BYTES, within="host")
            if response.status != 200 or response.reason:
                continue
            try:
                data = gunzip(response.body) if response.body[:2] == b"\x1f\x8b" else response.body
                pages, sitemaps = parse_sitemap(data)
            except SecuretagError:
                continue  # the crawl still follows the links of the pages
            yield from pages
            queue.extend(sitemaps)

    def _visit(
        self, url: str, depth: int, robots: Protego, previous: Visit | None, seen: dict[str, str]
    ) -> Visit:
        """Fetch one address and store its page, unless it is refused, unchanged or stored already."""
        if not robots.can_fetch(url, ROBOT_NAME):
            return Visit(url, depth, reason="robots.txt forbids it")
        response = self._get(url, previous, self.method.page_bytes)
        if response.status == 304 and previous is not None:
            return msgspec.structs.replace(previous, url=url, depth=depth)
        if response.reason or response.status != 200:
            return Visit(url, depth, response.status, response.reason or f"HTTP {response.status}")
        opts_out = _OPT_OUT.search(response.headers.get("X-Robots-Tag", ""))
        if opts_out or response.headers.get("TDM-Reservation", "").strip() == "1":
            return Visit(url, depth, 200, "the page opts out of being mined")
        sha256 = hash_bytes(response.body)
        try:
            text = decode_page(response.body)
            canonical_url = find_canonical_url(text, response.url, self.scope.prefix)
            if _opts_out(text):
                return Visit(url, depth, 200, "the page opts out of being mined")
            if is_soft_404(parse_page(text)) or (
                self.soft_404_words and _extract_words(response.body, url) == self.soft_404_words
            ):
                return Visit(url, depth, 200, "a page that says it isn't there")
        except SourceError as error:
            return Visit(url, depth, 200, str(error))
        for identity in (sha256, canonical_url):
            if identity in seen:
                return Visit(url, depth, 200, f"the same page as {seen[identity]}")
        write_atomic(self.folder / "pages" / f"{sha256}.html", response.body, durable=False)
        return Visit(
            url,
            depth,
            200,
            canonical_url=canonical_url,
            sha256=sha256,
            etag=response.headers.get("ETag", ""),
            modified=response.headers.get("Last-Modified", ""),
        )

    def _get(
        self,
        url: str,
        previous: Visit | None,
        limit: int,
        *,
        within: Literal["section", "host", "internet"] = "section",
    ) -> _Response:
        """Return the response for `url` after redirects inside what `within` says.

        `limit` is the maximum size of the body in bytes. robots.txt may be on another host (RFC 9309).
        """
        host = urlsplit(url).netloc
        for _ in range(MAX_REDIRECTS + 1):
            response = self._request_with_retries(url, previous, limit)
            if response.status not in (301, 302, 303, 307, 308):
                return response
            target = normalize_url(response.headers.get("Location", ""), url)
            if within != "section":
                is_refused = within == "host" and urlsplit(target).netloc != host
                refusal = "on another host" if is_refused else ""
            else:
                refusal = "" if target == url else self.scope.refuse(target)
            if refusal or not target:
                reason = f"a redirect to what is {refusal}"
                return _Response(url, response.status, b"", response.headers, reason)
            url, previous = target, None
        return _Response(url, 0, b"", httpx.Headers(), f"more than {MAX_REDIRECTS} redirects")

    def _request_with_retries(self, url: str, previous: Visit | None, limit: int) -> _Response:
        retrying = Retrying(
            retry=retry_if_exception_type(_TransientError),
            stop=stop_after_attempt(MAX_ATTEMPTS),
            wait=_pause_s,
            sleep=self.wait,
            reraise=True,
        )
        try:
            return retrying(self._request_once, url, previous, limit)
        except _TransientError as failure:
            last = failure.response
            return _Response(url, last.status, b"", last.headers, last.reason or f"HTTP {last.status}")

    def _request_once(self, url: str, previous: Visit | None, limit: int) -> _Response:
        """Return the response, or why the address is refused. Raises _TransientError."""
        self._wait_for_turn()
        try:
            response = self._request(url, previous, limit)
        except AddressRefusedError as error:
            return _Response(url, 0, b"", httpx.Headers(), str(error))
        except (httpx.TransportError, httpx.DecodingError, httpx.InvalidURL) as error:
            if isinstance(error.__cause__, AddressRefusedError):
                return _Response(url, 0, b"", httpx.Headers(), str(error.__cause__))
            response = _Response(url, 0, b"", httpx.Headers(), str(error) or type(error).__name__)
        if not response.status or response.status in TRANSIENT_STATUSES:
            after_s = parse_retry_after(response.headers.get("Retry-After", "")) or 0.0
            if after_s > MAX_WAIT_S:
                raise UnavailableError(
                    f"{url}: HTTP {response.status}, asks to wait {after_s:,.0f} s",
                    hint="Run it again after that time: it goes on from there.",
                )
            raise _TransientError(response)
        return response

    def _wait_for_turn(self) -> None:
        """Wait until the delay since the last request is over."""
        if self.requested_at is not None:
            remaining_s = self.delay_s - (self.clock() - self.requested_at)
            if remaining_s > 0:
                self.wait(remaining_s)
        self.requested_at = self.clock()

    def _request(self, url: str, previous: Visit | None, limit: int) -> _Response:
        """Send one request, conditional where the page of `previous` is stored."""
        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Accept": "text/html,*/*;q=0.1"}
        if previous and previous.sha256 and self._get_path(previous).is_file():
            headers |= {"If-None-Match": previous.etag} if previous.etag else {}
            headers |= {"If-Modified-Since": previous.modified} if previous.modified else {}
        self.client.cookies.clear()
        with self.client.stream("GET", url, headers=headers) as stream:
            response = _Response(url, stream.status_code, b"", stream.headers)
            if stream.status_code != 200:
                return response
            content_type = stream.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            is_plain = limit == MAX_PLAIN_BYTES
            if not is_plain and content_type not in _PAGE_TYPES:
                response.reason = f"not a page but {content_type}"
            elif stream.headers.get("Content-Encoding", "identity").lower() not in _ENCODINGS:
                response.reason = "packed, although it was asked for plain"
            else:
                response.body, response.reason = self._read_body(stream, limit)
        return response

    def _read_body(self, stream: httpx.Response, limit: int) -> tuple[bytes, str]:
        """Return the body and "", or no body and the reason why it was refused."""
        body, started = bytearray(), self.clock()
        for chunk in stream.iter_raw():
            body += chunk
            if len(body) > limit:
                return b"", f"more than {limit:,} bytes"
            if self.clock() - started > MAX_PAGE_SECONDS:
                return b"", f"a page that takes more than {MAX_PAGE_SECONDS:g} s to arrive"
        if stream.headers.get("Content-Encoding", "identity").lower() != "identity":
            return _unpack_body(bytes(body), limit)
        return bytes(body), "" if body else "an empty page"


def _unpack_body(body: bytes, limit: int) -> tuple[bytes, str]:
    """Return the unpacked body and "", or no body and the reason why it was refused."""
    unpacker = zlib.decompressobj(wbits=47)  # gzip or zlib, as the header of the data says
    try:
        page = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        return b"", f"damaged, and packed although it was asked for plain: {error}"
    if len(page) > limit:
        return b"", f"more than {limit:,} bytes"
    return (page, "") if unpacker.eof else (b"", "cut off, and packed although it was asked for plain")


def _opts_out(text: str) -> bool:
    """Whether the head of the page forbids indexing or mining (https://www.w3.org/community/tdmrep/)."""
    head = text[: 64 << 10]
    metas = re.findall(r"<meta\b[^>]{0,500}>", head, re.I)
    for meta in metas:
        if re.search(r"name\s*=\s*[\"']?(?:robots|securetag)\b", meta, re.I) and _OPT_OUT.search(meta):
            return True
        if re.search(r"tdm-reservation", meta, re.I) and re.search(r"content\s*=\s*[\"']?1\b", meta, re.I):
            return True
    return False


def _extract_words(body: bytes, url: str) -> str:
    """Return the words of a page without its address, to compare the pages of two addresses."""
    try:
        text = join_blocks(parse_page(decode_page(body)).blocks)
    except SourceError:
        return ""
    segment = urlsplit(url).path.rsplit("/", 1)[-1]
    return " ".join(re.findall(r"\w+", text.replace(url, "").replace(segment, "") if segment else text))


def _read_journal(path: Path) -> list[Visit]:
    """Return the visits of a journal, without a line that was cut off when the crawl was killed."""
    if not path.is_file():
        return []
    visits = []
    for line in path.read_bytes().splitlines():
        try:
            visits.append(msgspec.json.decode(line, type=Visit))
        except msgspec.DecodeError:
            continue
    return visits
