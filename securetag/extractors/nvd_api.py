"""NVD's CVE API 2.0 → pages on disk: all CVEs once, then what changed, within the published limits.

https://nvd.nist.gov/developers/start-here and https://nvd.nist.gov/developers/vulnerabilities: at most
5 requests in any 30 seconds (50 with a key), 2,000 items a page, changes asked for in windows of at most
120 days, and not more often than every two hours. Every page is kept, so a load that was interrupted
goes on where it stopped. Delete the folder to begin anew.
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
from securetag.extractors.download import TRANSIENT, Downloader, Meta, Progress, cached, meta_path
from securetag.settings import Settings
from securetag.system.clock import utc_now
from securetag.system.files import write_atomic
from securetag.system.hashing import hash_bytes

#: Requests in any `PERIOD_S` seconds: without a key, with one.
LIMITS = (5, 50)
PERIOD_S = 30.0
#: Seconds beyond the period that we wait, since their clock isn't ours.
MARGIN_S = 0.5
PAGE = 2_000
#: Days that one window of changes may span.
LONGEST = timedelta(days=120)
#: How old what we have must be before changes are asked for.
FRESH = timedelta(hours=2)
#: The firewall in front answers 403 to whom it finds too quick.
_RETRIED = TRANSIENT | {403}
#: First wait after a refusal; it doubles, so four tries outlast the period.
_FIRST_WAIT_S = 8.0


class Window(msgspec.Struct, frozen=True):
    """Changes from `start` to `end`; without a start all there is."""

    end: str
    start: str | None = None


class _State(msgspec.Struct):
    """Windows that were begun, in order; all but the last `open` of them are complete."""

    url: str
    windows: list[Window] = []
    open: int = 0


class _Envelope(msgspec.Struct, rename="camel", frozen=True):
    total_results: int
    start_index: int
    results_per_page: int
    vulnerabilities: list[msgspec.Raw]


class Pace:
    """Lets at most `limit` requests of any `PERIOD_S` seconds through; the others wait."""

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
            left = self._sent[0] + PERIOD_S + MARGIN_S - self._clock()
            if left > 0:
                self._wait(left)
        self._sent.append(self._clock())


class NvdApi:
    """One load or update. `url` is the API's, with whatever filter the catalog names."""

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
        self._pace = Pace(LIMITS[bool(self._key)], wait, clock)
        self._client, self._now = client, now
        self._downloader = Downloader(
            settings.fetch, client, wait, transient=_RETRIED, first_wait_s=_FIRST_WAIT_S
        )

    def pages(self, progress: Progress | None = None) -> list[tuple[Path, Meta]]:
        """All pages, those that we have and those that are missing, by path. Raises UnavailableError,
        SourceError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = self._begin()
        found: list[tuple[Path, Meta]] = []
        with self._polite():
            for number, window in enumerate(state.windows):
                found += self._window(window, progress)
                state.open = min(state.open, len(state.windows) - number - 1)
                self._save(state)
        return sorted(found)

    def _begin(self) -> _State:
        """What is to be done: finish what was begun, else ask for what changed since."""
        try:
            state = msgspec.json.decode((self.folder / "state.json").read_bytes(), type=_State)
        except (OSError, msgspec.DecodeError):
            state = _State(str(self.url))
        if state.open == 0:
            new = list(self._due(state.windows))
            state = msgspec.structs.replace(state, windows=[*state.windows, *new], open=len(new))
            self._save(state)
        return state

    def _due(self, done: list[Window]) -> Iterator[Window]:
        now = self._now()
        if not done:
            yield Window(_stamp(now))
            return
        start = datetime.fromisoformat(done[-1].end)
        if now - start < FRESH:
            return
        while start < now:
            end = min(start + LONGEST, now)
            yield Window(_stamp(end), _stamp(start))
            start = end

    def _window(self, window: Window, progress: Progress | None) -> Iterator[tuple[Path, Meta]]:
        index, total = 0, 1
        while index < total:
            url = self._address(window, index)
            path = self.folder / f"{window.end[:19].replace(':', '')}-{index:07d}.json"
            meta = cached(path, url) or self._downloader.get(url, path, sha256=None)
            page = _page(path, url, index)
            total, index = page.total_results, index + max(len(page.vulnerabilities), 1)
            if progress:
                progress(str(self.url), min(index, total), total)
            yield path, meta

    def _address(self, window: Window, index: int) -> str:
        asked: dict[str, str | int] = {"resultsPerPage": PAGE, "startIndex": index}
        if window.start:
            asked |= {"lastModStartDate": window.start, "lastModEndDate": window.end}
        return str(self.url.copy_merge_params(asked))

    def _save(self, state: _State) -> None:
        write_atomic(self.folder / "state.json", msgspec.json.encode(state))

    @contextmanager
    def _polite(self) -> Iterator[None]:
        """Every request to the API waits for its turn and carries the key; a redirect elsewhere doesn't."""

        def hook(request: httpx.Request) -> None:
            if request.url.host == self.url.host:
                self._pace()
                request.headers["apiKey"] = self._key
            if not self._key or request.url.host != self.url.host:
                request.headers.pop("apiKey", None)  # httpx carries it along to wherever it is redirected

        before = self._client.event_hooks
        self._client.event_hooks = {**before, "request": [*before.get("request", []), hook]}
        try:
            yield
        finally:
            self._client.event_hooks = before


def _page(path: Path, url: str, index: int) -> _Envelope:
    """The page at `path`; one that isn't what was asked for is forgotten. Raises SourceError."""
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


def _stamp(time: datetime) -> str:
    """As the API wants it: ISO 8601 with milliseconds and offset."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
