"""NVD's API against a server that is a fake: it enforces the limits that NVD publishes, and counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import SecretStr
from streamed import StreamedTransport

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.catalog import NetworkMethod, Source
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.nvd_api import NvdApi
from securetag.settings import Settings
from securetag.settings.sections import FetchSettings

URL = "https://services.nvd.example/rest/json/cves/2.0"
START = datetime(2031, 1, 1, tzinfo=UTC)


class FakeNvd:
    """Not NVD. Time is its own, so that a wait costs none."""

    def __init__(self, cves: int = 0, page: int = 2_000) -> None:
        self.now = 0.0
        self.modified = [START - timedelta(days=1)] * cves
        self.page = page
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self.refused = 0
        #: Answers given instead of what was asked for, the next one last.
        self.instead: list[httpx.Response] = []

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def time(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.now += 0.1
        limit = 50 if request.headers.get("apiKey") == "secret" else 5
        if len([time for time in self.times if self.now - time < 30]) >= limit:
            self.refused += 1
            return httpx.Response(403, text="Request forbidden by administrative rules.")
        self.times.append(self.now)
        self.requests.append(request)
        if self.instead:
            return self.instead.pop()
        return self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        parameters = request.url.params
        start, end = parameters.get("lastModStartDate"), parameters.get("lastModEndDate")
        if bool(start) != bool(end) or int(parameters["resultsPerPage"]) > 2_000:
            return httpx.Response(404)
        changed = list(enumerate(self.modified))
        if start and end:
            first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
            if last - first > timedelta(days=120):
                return httpx.Response(404)
            changed = [(n, time) for n, time in changed if first <= time <= last]
        index, size = int(parameters["startIndex"]), min(self.page, int(parameters["resultsPerPage"]))
        items = [{"cve": {"id": f"CVE-2031-{n:04}"}} for n, _ in changed[index : index + size]]
        body = {
            "resultsPerPage": size,
            "startIndex": index,
            "totalResults": len(changed),
            "vulnerabilities": items,
        }
        return httpx.Response(200, json=body)


Load = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path, settings: Settings) -> Load:
    """Ids on all pages after a load."""

    def loading(fake: FakeNvd, **changes: Any) -> list[str]:
        client = httpx.Client(transport=StreamedTransport(fake))
        load_settings = settings.model_copy(update=changes)
        api = NvdApi(URL, tmp_path, load_settings, client, wait=fake.wait, clock=fake.clock, now=fake.time)
        pages = api.fetch_pages()
        assert client.event_hooks == {"request": [], "response": []}
        page_items = [msgspec.json.decode(path.read_bytes())["vulnerabilities"] for path, _ in pages]
        return [item["cve"]["id"] for items in page_items for item in items]

    return loading


def test_all_pages_within_the_limit(load: Load) -> None:
    fake = FakeNvd(cves=23, page=2)
    assert load(fake) == [f"CVE-2031-{n:04}" for n in range(23)]
    assert (len(fake.requests), fake.refused) == (12, 0)
    assert fake.now > 60  # two full periods for twelve requests
    assert not any("apiKey" in request.headers for request in fake.requests)


def test_with_a_key_ten_times_as_many(load: Load) -> None:
    fake = FakeNvd(cves=23, page=2)
    assert len(load(fake, nvd_api_key=SecretStr("secret"))) == 23
    assert (fake.refused, fake.requests[0].headers["apiKey"]) == (0, "secret")
    assert fake.now < 5


def test_an_interrupted_load_goes_on(load: Load) -> None:
    fake = FakeNvd(cves=10, page=2)
    fake.instead = [httpx.Response(404), *(fake.answer(page(index)) for index in (4, 2, 0))]
    with pytest.raises(SourceError, match="404"):
        load(fake)
    assert len(load(fake)) == 10
    assert [int(request.url.params["startIndex"]) for request in fake.requests] == [0, 2, 4, 6, 6, 8]


def page(index: int) -> httpx.Request:
    return httpx.Request("GET", URL, params={"startIndex": index, "resultsPerPage": 2_000})


def test_changes_in_windows_and_not_too_often(load: Load) -> None:
    fake = FakeNvd(cves=3)
    load(fake)
    assert load(fake) == ["CVE-2031-0000", "CVE-2031-0001", "CVE-2031-0002"]
    assert len(fake.requests) == 1  # younger than two hours: nothing was asked
    fake.now += timedelta(days=300).total_seconds()
    fake.modified.append(START + timedelta(days=200))
    assert sorted(load(fake)) == [f"CVE-2031-{n:04}" for n in range(4)]
    parameters = [request.url.params for request in fake.requests[1:]]
    assert len(parameters) == 3
    ends = [(a["lastModStartDate"], a["lastModEndDate"]) for a in parameters]
    assert [first for first, _ in ends[1:]] == [last for _, last in ends[:-1]]  # no gap between windows
    assert len(load(fake)) == 4
    assert len(fake.requests) == 4


def test_refusals_and_outages_are_tried_again(load: Load) -> None:
    fake = FakeNvd(cves=1)
    fake.instead = [
        httpx.Response(503),
        httpx.Response(403),
        httpx.Response(429, headers={"Retry-After": "7"}),
    ]
    assert load(fake) == ["CVE-2031-0000"]
    fake.now += timedelta(days=1).total_seconds()
    fake.instead = [httpx.Response(503)] * 9
    with pytest.raises(UnavailableError):
        load(fake, fetch=FetchSettings(attempts=2))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<html>Sorry</html>", id="HTML"),
        pytest.param('{"startIndex": 0', id="truncated JSON"),
        pytest.param(
            '{"resultsPerPage": 1, "startIndex": 7, "totalResults": 9, "vulnerabilities": [{}]}',
            id="another start index",
        ),
        pytest.param(
            '{"resultsPerPage": 1, "startIndex": 0, "totalResults": 9, "vulnerabilities": []}', id="no items"
        ),
    ],
)
def test_what_is_no_page_is_not_kept(load: Load, body: str) -> None:
    fake = FakeNvd(cves=2)
    fake.instead = [httpx.Response(200, text=body)]
    with pytest.raises(SourceError):
        load(fake)
    assert len(load(fake)) == 2


def test_the_key_does_not_follow_a_redirect(tmp_path: Path, settings: Settings) -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("apiKey")))
        if request.url.host == "elsewhere.example":
            return FakeNvd(cves=1).answer(request)
        return httpx.Response(302, headers={"Location": str(request.url.copy_with(host="elsewhere.example"))})

    client = httpx.Client(transport=StreamedTransport(handler))
    settings_with_key = settings.model_copy(update={"nvd_api_key": SecretStr("secret")})
    NvdApi(URL, tmp_path, settings_with_key, client).fetch_pages()
    assert seen == [("services.nvd.example", "secret"), ("elsewhere.example", None)]


def test_a_catalog_row_names_the_api(make_source: Callable[..., Source], settings: Settings) -> None:
    source = make_source(folder=None, network=[NetworkMethod(f"{URL}?hasKev", api="nvd")])
    network_settings = settings.model_copy(update={"fetch": FetchSettings(mode="network")})
    fake = FakeNvd(cves=2)
    (file,) = fetch(source, network_settings, client=httpx.Client(transport=StreamedTransport(fake)))
    assert "hasKev" in file.url
    assert "startIndex=0" in file.url
    assert file.path.is_relative_to(settings.raw_dir)
