"""A section of a site → pages on disk, fetched as a polite guest would.

robots.txt is kept (RFC 9309), also its delay; requests are apart in time, conditional where a page is known,
and say who asks. Redirects are followed inside the section alone, connections go to public addresses alone
(`web_guard`), and every crawl has bounds (`catalog.WebWay`). Pages that opt out of text and data mining
are left out.

Each page that was dealt with is a line of `journal.jsonl`, written and flushed before the next is asked for.
A crawl that was killed goes on from there; one that ended keeps its journal as `last.jsonl`, and the next
asks for what changed since.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec
from protego import Protego

from securetag.errors import SecuretagError, SourceError, UnavailableError
from securetag.extractors.catalog import WebWay
from securetag.extractors.download import AGENT, Progress
from securetag.extractors.mirror import gunzip
from securetag.extractors.readers.html.markdown import text_of
from securetag.extractors.readers.html.reader import decode, read_page, says_gone
from securetag.extractors.web_guard import AddressRefusedError
from securetag.extractors.web_links import Scope, canonical, links_of, normalise, sitemap
from securetag.system.clock import utc_timestamp
from securetag.system.files import move_file, write_atomic
from securetag.system.hashing import hash_bytes

ROBOT = "securetag"
#: Longest delay that robots.txt or Retry-After may ask of us, seconds.
LONGEST_DELAY_S = 60.0
#: Redirects of one page, tries of one request, sitemaps of one site, bytes of robots.txt or a sitemap.
MAX_REDIRECTS, TRIES, MAX_SITEMAPS, MAX_PLAIN = 5, 3, 50, 50 << 20
#: Seconds that one page may take to arrive, however steadily it drips.
PAGE_S = 60.0
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_PAGE_TYPES = {"text/html", "application/xhtml+xml", "text/plain", "text/markdown", ""}
_REFUSES_MINING = re.compile(r"\bno(?:ai|imageai)\b|\bnoindex\b", re.I)


class Visit(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one address: a line of the journal."""

    url: str
    depth: int
    status: int = 0
    #: Why there is no page; empty where there is one.
    reason: str = ""
    #: The address that the page is known by.
    own: str = ""
    sha256: str = ""
    etag: str = ""
    modified: str = ""

    @property
    def failed(self) -> bool:
        """True = a page was expected here: not one that robots.txt, the site or the section leaves out."""
        return (
            bool(self.reason)
            and (self.status in (0, 200) or self.status >= 500)
            and not any(
                self.reason.startswith(known)
                for known in (
                    "robots.txt",
                    "the same page",
                    "the page opts out",
                    "not a page",
                    "a page that says",
                )
            )
        )


class _End(msgspec.Struct, frozen=True):
    """The last line of the journal of a crawl that ended."""

    ended: str


class _Answer(msgspec.Struct):
    url: str
    status: int
    body: bytes
    headers: httpx.Headers
    reason: str = ""


class Crawl:
    """One section of one site, into `folder`. `wait` is how it sleeps, so that a test need not."""

    def __init__(
        self,
        way: WebWay,
        folder: Path,
        client: httpx.Client,
        *,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.way, self.folder, self.client, self.wait, self.clock = way, folder, client, wait, clock
        self.scope = Scope(way)
        if not self.scope.prefix:
            raise SourceError(f"{way.prefix}: not an http(s) address")
        self.journal = folder / "journal.jsonl"
        self.last = folder / "last.jsonl"
        self.delay = way.delay_s
        self.asked_at: float | None = None
        self.nowhere = ""

    def run(self, progress: Progress | None = None) -> list[Visit]:
        """Every address that was dealt with, in the order in which it was.

        Raises UnavailableError when the site or its robots.txt doesn't answer; what was fetched stays, and
        the next run goes on from it.
        """
        (self.folder / "pages").mkdir(parents=True, exist_ok=True)
        done = {visit.url: visit for visit in _read(self.journal)}
        known = {visit.url: visit for visit in _read(self.last)} | {u: v for u, v in done.items() if v.sha256}
        started, total = self.clock(), 0
        robots = self._robots()
        self.nowhere = self._nowhere(robots)
        seen: dict[str, str] = {}  # digest or own address of a page → address that it was first had at
        visits: list[Visit] = []
        pages = 0
        with self.journal.open("ab") as journal:
            journal.write(b"\n")  # after a line that a kill cut off, the next begins on its own
            queue = deque((url, 0) for url in self._starts(robots))
            queued = {url for url, _ in queue}
            while queue and pages < self.way.pages and total < self.way.total_bytes:
                if self.clock() - started > self.way.seconds:
                    raise UnavailableError(
                        f"{self.way.prefix}: stopped after {self.way.seconds:g} s with {pages} pages",
                        hint="Run it again: it goes on from there.",
                    )
                url, depth = queue.popleft()
                visit = done.get(url)
                if visit is None or (visit.sha256 and not self._path(visit).is_file()):
                    visit = self._visit(url, depth, robots, known.get(url), seen)
                    journal.write(msgspec.json.encode(visit) + b"\n")
                    journal.flush()
                    os.fsync(journal.fileno())
                visits.append(visit)
                if not visit.sha256:
                    continue
                seen.setdefault(visit.sha256, visit.own)
                seen.setdefault(visit.own, visit.own)
                body = self._path(visit).read_bytes()
                pages, total = pages + 1, total + len(body)
                if progress:
                    progress(self.way.prefix, pages, self.way.pages)
                if depth < self.way.depth:
                    for link in links_of(decode(body), visit.own):
                        if link not in queued:
                            queued.add(link)
                            if not self.scope.refusal(link):
                                queue.append((link, depth + 1))
            journal.write(msgspec.json.encode(_End(utc_timestamp())) + b"\n")
        move_file(self.journal, self.last)
        return visits

    def _path(self, visit: Visit) -> Path:
        return self.folder / "pages" / f"{visit.sha256}.html"

    def _robots(self) -> Protego:
        answer = self._get(urljoin(self.scope.prefix, "/robots.txt"), None, MAX_PLAIN, anywhere=True)
        if answer.status in _TRANSIENT or answer.status >= 500 or not answer.status:
            raise UnavailableError(
                f"{answer.url}: {answer.reason or f'HTTP {answer.status}'}",
                hint="A site whose robots.txt can't be had is left alone (RFC 9309).",
            )
        text = answer.body.decode("utf-8", errors="replace") if answer.status == 200 else ""
        robots = Protego.parse(text)
        asked = robots.crawl_delay(ROBOT) or 0.0
        if rate := robots.request_rate(ROBOT):
            asked = max(asked, rate.seconds / max(rate.requests, 1))
        self.delay = max(self.way.delay_s, min(float(asked), LONGEST_DELAY_S))
        return robots

    def _nowhere(self, robots: Protego) -> str:
        """What the site answers, with 200, for a page that can't exist; empty for an honest 404."""
        url = normalise(f"{self.scope.prefix.rstrip('/')}/{hash_bytes(ROBOT)[:20]}")
        if not robots.can_fetch(url, ROBOT):
            return ""
        answer = self._get(url, None, self.way.page_bytes)
        return _gist(answer.body, url) if answer.status == 200 and not answer.reason else ""

    def _starts(self, robots: Protego) -> list[str]:
        found = [normalise(url, self.scope.prefix) for url in self.way.start] or [self.scope.prefix]
        if self.way.sitemap:
            found += self._sitemaps(robots)
        return [url for url in dict.fromkeys(found) if not self.scope.refusal(url)]

    def _sitemaps(self, robots: Protego) -> Iterator[str]:
        root = urljoin(self.scope.prefix, "/sitemap.xml")
        queue, seen = deque([normalise(url) for url in robots.sitemaps] or [root]), set[str]()
        while queue and len(seen) < MAX_SITEMAPS:
            url = queue.popleft()
            if url in seen or urlsplit(url).netloc != urlsplit(root).netloc:
                continue
            seen.add(url)
            answer = self._get(url, None, MAX_PLAIN, anywhere=True)
            if answer.status != 200 or answer.reason:
                continue
            try:
                data = gunzip(answer.body) if answer.body[:2] == b"\x1f\x8b" else answer.body
                pages, further = sitemap(data)
            except SecuretagError:
                continue  # the links are there, too
            yield from pages
            queue.extend(further)

    def _visit(
        self, url: str, depth: int, robots: Protego, known: Visit | None, seen: dict[str, str]
    ) -> Visit:
        if not robots.can_fetch(url, ROBOT):
            return Visit(url, depth, reason="robots.txt forbids it")
        answer = self._get(url, known, self.way.page_bytes)
        if answer.status == 304 and known is not None:
            return msgspec.structs.replace(known, url=url, depth=depth)
        if answer.reason or answer.status != 200:
            return Visit(url, depth, answer.status, answer.reason or f"HTTP {answer.status}")
        refused = _REFUSES_MINING.search(answer.headers.get("X-Robots-Tag", ""))
        if refused or answer.headers.get("TDM-Reservation", "").strip() == "1":
            return Visit(url, depth, 200, "the page opts out of being mined")
        sha256 = hash_bytes(answer.body)
        try:
            text = decode(answer.body)
            own = canonical(text, answer.url, self.scope.prefix)
            if _opts_out(text):
                return Visit(url, depth, 200, "the page opts out of being mined")
            if says_gone(read_page(text)) or (self.nowhere and _gist(answer.body, url) == self.nowhere):
                return Visit(url, depth, 200, "a page that says it isn't there")
        except SourceError as error:
            return Visit(url, depth, 200, str(error))
        for mark in (sha256, own):
            if mark in seen:
                return Visit(url, depth, 200, f"the same page as {seen[mark]}")
        write_atomic(self.folder / "pages" / f"{sha256}.html", answer.body, durable=False)
        return Visit(
            url, depth, 200, "", own, sha256, answer.headers.get("ETag", ""),
            answer.headers.get("Last-Modified", ""),
        )  # fmt: skip

    def _get(self, url: str, known: Visit | None, limit: int, *, anywhere: bool = False) -> _Answer:
        """The answer for `url` after redirects inside the section (`anywhere`: on the same host)."""
        host = urlsplit(url).netloc
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._patiently(url, known, limit)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            target = normalise(answer.headers.get("Location", ""), url)
            if anywhere:
                refusal = "" if urlsplit(target).netloc == host else "on another host"
            else:
                refusal = "" if target == url else self.scope.refusal(target)
            if refusal or not target:
                return _Answer(url, answer.status, b"", answer.headers, f"a redirect to what is {refusal}")
            url, known = target, None
        return _Answer(url, 0, b"", httpx.Headers(), f"more than {MAX_REDIRECTS} redirects")

    def _patiently(self, url: str, known: Visit | None, limit: int) -> _Answer:
        reason = ""
        for attempt in range(TRIES):
            self._pause()
            try:
                answer = self._once(url, known, limit)
            except AddressRefusedError as error:
                return _Answer(url, 0, b"", httpx.Headers(), str(error))
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if isinstance(error.__cause__, AddressRefusedError):
                    return _Answer(url, 0, b"", httpx.Headers(), str(error.__cause__))
                answer = _Answer(url, 0, b"", httpx.Headers(), str(error) or type(error).__name__)
            if answer.status and answer.status not in _TRANSIENT:
                return answer
            reason = answer.reason or f"HTTP {answer.status}"
            after = answer.headers.get("Retry-After", "")
            if attempt + 1 < TRIES:
                self.wait(min(float(after) if after.isdigit() else 2.0**attempt, LONGEST_DELAY_S))
        return _Answer(url, answer.status, b"", answer.headers, reason)

    def _pause(self) -> None:
        if self.asked_at is not None and (left := self.delay - (self.clock() - self.asked_at)) > 0:
            self.wait(left)
        self.asked_at = self.clock()

    def _once(self, url: str, known: Visit | None, limit: int) -> _Answer:
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity", "Accept": "text/html,*/*;q=0.1"}
        if known and known.sha256 and self._path(known).is_file():
            headers |= {"If-None-Match": known.etag} if known.etag else {}
            headers |= {"If-Modified-Since": known.modified} if known.modified else {}
        self.client.cookies.clear()
        with self.client.stream("GET", url, headers=headers) as answer:
            found = _Answer(url, answer.status_code, b"", answer.headers)
            if answer.status_code != 200:
                return found
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            plain = limit == MAX_PLAIN
            if not plain and kind not in _PAGE_TYPES:
                found.reason = f"not a page but {kind}"
            elif answer.headers.get("Content-Encoding", "identity") != "identity":
                found.reason = "packed, although it was asked for plain"
            else:
                found.body, found.reason = self._body(answer, limit)
        return found

    def _body(self, answer: httpx.Response, limit: int) -> tuple[bytes, str]:
        body, started = bytearray(), self.clock()
        for chunk in answer.iter_raw(1 << 16):
            body += chunk
            if len(body) > limit:
                return b"", f"more than {limit:,} bytes"
            if self.clock() - started > PAGE_S:
                return b"", f"a page that takes more than {PAGE_S:g} s to arrive"
        return bytes(body), "" if body else "an empty page"


def _opts_out(text: str) -> bool:
    """True = the page's own head forbids to be indexed or mined (https://www.w3.org/community/tdmrep/)."""
    head = text[: 64 << 10]
    metas = re.findall(r"<meta\b[^>]{0,500}>", head, re.I)
    for meta in metas:
        if re.search(r"name\s*=\s*[\"']?(?:robots|securetag)\b", meta, re.I) and _REFUSES_MINING.search(meta):
            return True
        if re.search(r"tdm-reservation", meta, re.I) and re.search(r"content\s*=\s*[\"']?1\b", meta, re.I):
            return True
    return False


def _gist(body: bytes, url: str) -> str:
    """A page's words without its own address, so that two answers to two addresses can be compared."""
    try:
        text = text_of(read_page(decode(body)).blocks)
    except SourceError:
        return ""
    own = urlsplit(url).path.rsplit("/", 1)[-1]
    return " ".join(re.findall(r"\w+", text.replace(url, "").replace(own, "") if own else text))


def _read(path: Path) -> list[Visit]:
    """A journal's visits; a line that was cut off when the crawl was killed is left out."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Visit))
        except msgspec.DecodeError:
            continue
    return found
