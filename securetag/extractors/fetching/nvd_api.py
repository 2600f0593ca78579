"""Fetch the pages of NVD's CVE API 2.0: first all CVEs, then the changes, within the published limits.

https://nvd.nist.gov/developers/start-here and https://nvd.nist.gov/developers/vulnerabilities: at most
5 requests in any 30 seconds (50 with a key), 2,000 items a page, changes in windows of at most 120 days,
and at most one update in two hours. Every page is stored, so that an interrupted load resumes. Delete the
folder to start again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.download import (
    LOCKS,
    Downloader,
    Meta,
    Progress,
    meta_path,
    read_cached_meta,
)
from securetag.extractors.fetching.waiting import TRANSIENT_STATUSES
from securetag.settings import Settings
from securetag.system.clock import utc_now
from securetag.system.files import write_atomic
from securetag.system.hashing import hash_bytes

#: Maximum number of requests in any `PERIOD_S` seconds: without a key, with a key.
MAX_REQUESTS = (5, 50)
PERIOD_S = 30.0
#: Additional seconds of a wait, since the clocks of the server and of this machine differ.
MARGIN_S = 0.5
PAGE_SIZE = 2_000
#: Maximum length of one window of changes.
MAX_WINDOW = timedelta(days=120)
#: Minimum age of the last window before changes are requested.
MIN_UPDATE_AGE = timedelta(hours=2)
#: The firewall of the API answers 403 to a client that sends requests too fast.
_RETRIED_STATUSES = TRANSIENT_STATUSES | {403}
#: First wait after a refusal; it doubles, so that four attempts take longer than the period.
_FIRST_WAIT_S = 8.0


class Window(msgspec.Struct, frozen=True):
    """The changes from `start` to `end`, ISO 8601; without a start all CVEs until `end`."""

    end: str
    start: str | None = None


class _State(msgspec.Struct):
    """The windows that were started, in order; all but the last `open` of them are complete."""

    url: str
    windows: list[Window] = []
    open: int = 0


class _Envelope(msgspec.Struct, rename="camel", frozen=True):
    total_results: int
    start_index: int
    results_per_page: int
    vulnerabilities: list[msgspec.Raw]


class RateLimiter:
    """Delays each call so that at most `limit` calls return in any `PERIOD_S` seconds."""

    def __init__(
        self,
        limit: int,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sent: deque[float] = deque(maxlen=limit)
        self._wait, self._clock = wait, clock

    def __call__(self) -> None:
        if len(self._sent) == self._sent.maxlen:
            remaining = self._sent[0] + PERIOD_S + MARGIN_S - self._clock()
            if remaining > 0:
                self._wait(remaining)
        self._sent.append(self._clock())


class NvdApi:
    """One load or update; the query of `url` may hold a filter of the API."""

    def __init__(
        self,
        url: str,
        folder: Path,
        settings: Settings,
        client: httpx.Client,
        *,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.url = httpx.URL(url)
        self.folder = folder / f"nvd-{hash_bytes(url)[:8]}"
        self._key = settings.nvd_api_key.get_secret_value() if settings.nvd_api_key else ""
        self._limit_rate = RateLimiter(MAX_REQUESTS[bool(self._key)], wait, clock)
        self._client, self._now = client, now
        self._downloader = Downloader(
            settings.fetch,
            client,
            wait,
            transient=_RETRIED_STATUSES,
            first_wait_s=_FIRST_WAIT_S,
            locks=settings.raw_dir / LOCKS,
        )

    def fetch_pages(self, progress: Progress | None = None) -> list[tuple[Path, Meta]]:
        """Download the missing pages and return all, sorted by path.

        Raises UnavailableError when the API doesn't answer, SourceError for an answer that isn't the page.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        state = self._load_state()
        pages: list[tuple[Path, Meta]] = []
        with self._rate_limited():
            for number, window in enumerate(state.windows):
                pages += self._fetch_window(window, progress)
                state.open = min(state.open, len(state.windows) - number - 1)
                self._save_state(state)
        return sorted(pages)

    def _load_state(self) -> _State:
        """Return the state of an interrupted load, else the last state with the windows that are due."""
        try:
            state = msgspec.json.decode((self.folder / "state.json").read_bytes(), type=_State)
        except (OSError, msgspec.DecodeError):
            state = _State(str(self.url))
        if state.open == 0:
            due = list(self._list_due_windows(state.windows))
            state = msgspec.structs.replace(state, windows=[*state.windows, *due], open=len(due))
            self._save_state(state)
        return state

    def _list_due_windows(self, done: list[Window]) -> Iterator[Window]:
        now = self._now()
        if not done:
            yield Window(_format_time(now))
            return
        start = datetime.fromisoformat(done[-1].end)
        if now - start < MIN_UPDATE_AGE:
            return
        while start < now:
            end = min(start + MAX_WINDOW, now)
            yield Window(_format_time(end), _format_time(start))
            start = end

    def _fetch_window(self, window: Window, progress: Progress | None) -> Iterator[tuple[Path, Meta]]:
        index, total = 0, 1
        while index < total:
            url = self._make_url(window, index)
            path = self.folder / f"{window.end[:19].replace(':', '')}-{index:07d}.json"
            meta = read_cached_meta(path, url) or self._downloader.get(url, path, sha256=None)
            page = _read_page(path, url, index)
            total, index = page.total_results, index + max(len(page.vulnerabilities), 1)
            if progress:
                progress(str(self.url), min(index, total), total)
            yield path, meta

    def _make_url(self, window: Window, index: int) -> str:
        parameters: dict[str, str | int] = {"resultsPerPage": PAGE_SIZE, "startIndex": index}
        if window.start:
            parameters |= {"lastModStartDate": window.start, "lastModEndDate": window.end}
        return str(self.url.copy_merge_params(parameters))

    def _save_state(self, state: _State) -> None:
        write_atomic(self.folder / "state.json", msgspec.json.encode(state))

    @contextmanager
    def _rate_limited(self) -> Iterator[None]:
        """Delay each request to the API and add the key to it; a redirect to another host gets no key."""

        def hook(request: httpx.Request) -> None:
            if request.url.host == self.url.host:
                self._limit_rate()
                request.headers["apiKey"] = self._key
            if not self._key or request.url.host != self.url.host:
                request.headers.pop("apiKey", None)  # httpx keeps the header in a redirect to another host

        previous = self._client.event_hooks
        self._client.event_hooks = {**previous, "request": [*previous.get("request", []), hook]}
        try:
            yield
        finally:
            self._client.event_hooks = previous


def _read_page(path: Path, url: str, index: int) -> _Envelope:
    """Return the page at `path`; delete it and raise SourceError when it doesn't begin at `index`."""
    try:
        page = msgspec.json.decode(path.read_bytes(), type=_Envelope)
        if page.start_index == index and (page.vulnerabilities or index >= page.total_results):
            return page
        reason = f"begins at {page.start_index:,} with {len(page.vulnerabilities):,} CVEs"
    except msgspec.DecodeError as error:
        reason = str(error)
    path.unlink()
    meta_path(path).unlink(missing_ok=True)
    raise SourceError(
        f"{url}: not the page that was asked for: {reason}", hint="Nothing was kept; try again."
    )


def _format_time(time: datetime) -> str:
    """Return the time as the API takes it: ISO 8601 with milliseconds and offset."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
