"""Downloads over TLS from a server that behaves as servers do: badly."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Thread

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream import Body, Reply, Request, Upstream, drip, resolve_to, serve_file

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.catalog import NetworkMethod, Source, WebMethod
from securetag.extractors.fetching.download import Downloader, Meta
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import Failure
from securetag.extractors.fetching.waiting import parse_retry_after
from securetag.settings import Settings
from securetag.settings.sections import FetchSettings

pytestmark = pytest.mark.sockets

URL = "https://files.example/a.json"
BODY = json.dumps({"numbers": list(range(20_000))}).encode()
PACKED = gzip.compress(BODY, mtime=0)
ETAG = serve_file(BODY, Request(URL, {}, 0)).headers["ETag"]


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    """One server for all tests of this module: making its authority costs more than a test."""
    made = Upstream(["files.example", "mirror.example", "wiki.example"])
    yield made
    made.close()


@pytest.fixture
def upstream(server: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    server.bodies, server.requests = {}, []
    server.most.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(server.write_authority(tmp_path / "ca.pem")))
    with resolve_to(server.port("http"), server.port("https")):
        yield server


Get = Callable[..., Meta]


@pytest.fixture
def get(upstream: Upstream, tmp_path: Path) -> Iterator[Get]:
    """Download URL into `tmp_path / "file"`; waits cost no time and are kept in `get.waits`."""
    waits: list[float] = []
    clients: list[httpx.Client] = []

    def run(url: str = URL, sha256: str | None = None, timeout_s: float = 5.0, attempts: int = 4) -> Meta:
        clients.append(httpx.Client(timeout=timeout_s))
        settings = FetchSettings(timeout_s=timeout_s, attempts=attempts)
        return Downloader(settings, clients[-1], waits.append).get(url, tmp_path / "file", sha256=sha256)

    run.waits = waits  # type: ignore[attr-defined]
    yield run
    for client in clients:
        client.close()


def in_turn(*replies: Body) -> Body:
    """Answer the first request with the first reply, and so on; the last one for all later ones."""

    def answer(request: Request) -> Reply | bytes:
        reply = replies[min(request.number, len(replies) - 1)]
        return reply(request) if callable(reply) else reply

    return answer


def cut(after: int) -> Body:
    """A whole file that is announced, of which `after` bytes arrive."""
    return lambda request: Reply(200, BODY[:after], {"ETag": ETAG}, length=len(BODY))


def test_a_certificate_of_an_unknown_authority_is_refused(
    upstream: Upstream, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(SourceError, match="certificate verify failed") as error:
        get()
    assert "SSL_CERT_FILE" in str(error.value.hint)
    assert upstream.requests == []


def test_a_certificate_of_another_host_is_refused(upstream: Upstream, get: Get) -> None:
    with pytest.raises(SourceError, match=r"not valid for 'elsewhere\.example'"):
        get("https://elsewhere.example/a.json")
    assert upstream.requests == []


def test_a_redirect_to_another_host_is_followed(upstream: Upstream, get: Get) -> None:
    target = "https://mirror.example/b.json"
    upstream.bodies = {URL: lambda _: Reply(302, headers={"Location": target}), target: BODY}
    assert get().sha256 == hashlib.sha256(BODY).hexdigest()
    assert get().etag == ETAG
    assert upstream.urls() == [URL, target, URL, target]
    assert upstream.requests[-1].headers["If-None-Match"] == ETAG
    assert "securetag/" in upstream.requests[0].headers["User-Agent"]


@pytest.mark.parametrize(
    ("location", "reason", "requests"),
    [
        pytest.param("http://files.example/a.json", "isn't https", 1, id="unencrypted"),
        pytest.param("ftp://files.example/a.json", "isn't https", 1, id="another protocol"),
        pytest.param("/a.json", "more than 5 redirects", 6, id="loop"),
    ],
)
def test_a_redirect_that_is_not_followed(
    upstream: Upstream, get: Get, location: str, reason: str, requests: int
) -> None:
    upstream.bodies = {
        URL: lambda _: Reply(301, headers={"Location": location}),
        "http://files.example/a.json": BODY,
    }
    with pytest.raises(SourceError, match=reason):
        get()
    assert upstream.urls() == [URL] * requests


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        pytest.param("7", [7.0], id="seconds"),
        pytest.param("", [0.5], id="none"),
        pytest.param("soon", [0.5], id="malformed"),
        pytest.param("Fri, 31 Dec 1999 23:59:59 GMT", [0.0], id="a date that is over"),
    ],
)
def test_a_busy_server_is_given_its_time(
    upstream: Upstream, get: Get, header: str, waits: list[float]
) -> None:
    busy = Reply(429, headers={"Retry-After": header} if header else {})
    upstream.bodies = {URL: in_turn(lambda _: busy, BODY)}
    get()
    assert get.waits == waits  # type: ignore[attr-defined]


def test_a_server_that_asks_for_an_hour_is_not_asked_again(upstream: Upstream, get: Get) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    upstream.bodies = {URL: lambda _: Reply(503, headers={"Retry-After": later})}
    with pytest.raises(UnavailableError, match=r"HTTP 503, asks to wait 3,[56]\d\d s"):
        get()
    assert len(upstream.requests) == 1


@given(st.text() | st.integers(0, 10**9).map(str) | st.datetimes().map(format_datetime))
def test_retry_after_is_a_number_of_seconds_or_nothing(header: str) -> None:
    seconds = parse_retry_after(header)
    assert seconds is None or seconds >= 0
    if header.isascii() and header.isdigit():
        assert seconds == float(header)


def test_a_cut_body_is_resumed(upstream: Upstream, get: Get) -> None:
    upstream.bodies = {URL: in_turn(cut(50_000), BODY)}
    assert get().sha256 == hashlib.sha256(BODY).hexdigest()
    assert upstream.requests[1].headers["Range"] == "bytes=50000-"
    assert upstream.requests[1].headers["If-Range"] == ETAG


def test_a_cut_body_that_changed_meanwhile_begins_again(upstream: Upstream, get: Get) -> None:
    newer = BODY.replace(b"1", b"2")
    upstream.bodies = {URL: in_turn(cut(50_000), newer)}
    assert get().sha256 == hashlib.sha256(newer).hexdigest()


def test_a_cut_body_without_a_strong_validator_begins_again(upstream: Upstream, get: Get) -> None:
    weak = Reply(200, BODY[:50_000], {"ETag": f"W/{ETAG}"}, length=len(BODY))
    upstream.bodies = {URL: in_turn(lambda _: weak, BODY)}
    assert get().sha256 == hashlib.sha256(BODY).hexdigest()
    assert "Range" not in upstream.requests[1].headers


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda r: Reply(206, BODY[9:], {"ETag": ETAG}), id="no Content-Range"),
        pytest.param(
            lambda r: Reply(206, BODY[9:], {"ETag": ETAG, "Content-Range": f"bytes 9-{len(BODY) - 1}/*"}),
            id="another part",
        ),
        pytest.param(lambda r: Reply(416), id="no part"),
    ],
)
def test_a_part_that_does_not_fit_is_not_appended(upstream: Upstream, get: Get, part: Body) -> None:
    upstream.bodies = {URL: in_turn(cut(50_000), part, BODY)}
    assert get().sha256 == hashlib.sha256(BODY).hexdigest()
    assert "Range" not in upstream.requests[2].headers


def test_a_download_that_was_killed_at_its_end(upstream: Upstream, get: Get, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(BODY)
    (tmp_path / "file.part.etag").write_text(ETAG)
    upstream.bodies = {URL: BODY}
    assert get().sha256 == hashlib.sha256(BODY).hexdigest()
    assert not list(tmp_path.glob("file.part*"))


def test_a_body_that_trickles_is_given_up_and_resumed(upstream: Upstream, get: Get) -> None:
    slow = lambda _: Reply(200, BODY, {"ETag": ETAG}, drip(BODY[:400], 10, 0.02))  # noqa: E731
    upstream.bodies = {URL: in_turn(slow, BODY)}
    assert get(timeout_s=0.3).sha256 == hashlib.sha256(BODY).hexdigest()
    assert int(upstream.requests[1].headers["Range"].removeprefix("bytes=").rstrip("-")) in range(50, 400)


def test_a_body_that_stops_is_given_up(upstream: Upstream, get: Get) -> None:
    upstream.bodies = {URL: lambda _: Reply(200, BODY, chunks=drip(BODY[:20], 10, 0.4))}
    with pytest.raises(UnavailableError, match="timed out"):
        get(timeout_s=0.1, attempts=2)
    assert len(upstream.requests) == 2


def test_a_body_that_is_longer_than_was_said_is_no_whole_file(
    upstream: Upstream, get: Get, tmp_path: Path
) -> None:
    upstream.bodies = {URL: lambda _: Reply(200, BODY, {"ETag": ETAG}, length=500)}
    with pytest.raises(SourceError, match="not a whole json file"):
        get()
    assert not list(tmp_path.glob("file*"))


def test_a_body_without_a_length_that_is_cut_is_no_whole_file(upstream: Upstream, get: Get) -> None:
    upstream.bodies = {URL: lambda _: Reply(200, BODY[:500], length=-1)}
    with pytest.raises(SourceError, match="not a whole json file"):
        get()


@pytest.mark.parametrize(
    ("url", "encoding", "body", "content"),
    [
        pytest.param(URL, "gzip", PACKED, BODY, id="although plain was asked for"),
        pytest.param(
            "https://files.example/a.json.gz",
            "gzip",
            PACKED,
            PACKED,
            id="a gzip file labeled as a packed body",
        ),
    ],
)
def test_a_packed_body(
    upstream: Upstream, get: Get, tmp_path: Path, url: str, encoding: str, body: bytes, content: bytes
) -> None:
    upstream.bodies = {url: lambda _: Reply(200, body, {"Content-Encoding": encoding})}
    get(url)
    assert (tmp_path / "file").read_bytes() == content
    assert upstream.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        pytest.param("gzip", PACKED[:-9], "not a whole gzip file", id="cut"),
        pytest.param("gzip", BODY, "not a whole gzip file", id="not packed at all"),
        pytest.param("br", b"\x0b\x02\x80", "packed as br", id="another packer"),
    ],
)
def test_a_packed_body_that_is_refused(
    upstream: Upstream, get: Get, tmp_path: Path, encoding: str, body: bytes, reason: str
) -> None:
    upstream.bodies = {URL: lambda _: Reply(200, body, {"Content-Encoding": encoding})}
    with pytest.raises(SourceError, match=reason):
        get()
    assert not list(tmp_path.glob("file*"))


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, f"# {name}\n")
    return out.getvalue()


MakeSource = Callable[..., Source]
ARCHIVE = "https://files.example/repo/zip/1234"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b'{"message": "Not Found"}', "not a whole zip file", id="a message instead"),
        pytest.param(zipped("r/a.md")[:-30], "not a whole zip file", id="cut"),
        pytest.param(zipped("r/a.txt"), "no member of the archive is like", id="other members"),
    ],
)
def test_an_archive_that_gives_nothing(
    upstream: Upstream, settings: Settings, make_source: MakeSource, body: bytes, reason: str
) -> None:
    upstream.bodies = {ARCHIVE: lambda _: Reply(200, body)}
    source = make_source(folder=None, network=[NetworkMethod(ARCHIVE, members="*.md")])
    failures: list[Failure] = []
    with pytest.raises(SourceError, match=reason):
        fetch(source, settings, on_failure=failures.append)


def test_an_archive_is_downloaded_once_for_all_its_members(
    upstream: Upstream, settings: Settings, make_source: MakeSource
) -> None:
    upstream.bodies = {ARCHIVE: lambda _: Reply(200, zipped("r/a.md", "r/docs/b.md", "r/c.txt"))}
    methods = [NetworkMethod(ARCHIVE, members=glob) for glob in ("r/a.md", "r/docs/*.md", "r/none/*.md")]
    failures: list[Failure] = []
    files = fetch(make_source(folder=None, network=methods), settings, on_failure=failures.append)
    assert [file.url for file in files] == [f"{ARCHIVE}#r/a.md", f"{ARCHIVE}#r/docs/b.md"]
    assert ["r/none/*.md" in failure.reason for failure in failures] == [True]
    assert upstream.urls() == [ARCHIVE]


def test_one_file_costs_no_other_and_a_host_that_is_away_is_left_alone(
    upstream: Upstream, settings: Settings, make_source: MakeSource
) -> None:
    gone, later, away = (f"https://files.example/{name}.json" for name in ("gone", "later", "away"))
    target = "https://mirror.example/a.json"
    busy = Reply(503, headers={"Retry-After": "3600"})
    upstream.bodies = {URL: BODY, target: BODY, away: lambda _: busy, later: BODY}
    source = make_source(
        folder=None, network=[NetworkMethod(url) for url in (URL, gone, away, later, target)]
    )
    failures: list[Failure] = []
    files = fetch(source, settings, on_failure=failures.append)
    assert [file.url for file in files] == [URL, target]
    assert [failure.file for failure in failures] == [gone, away, later]
    assert "HTTP 404" in failures[0].reason
    assert "not asked for" in failures[2].reason
    assert upstream.urls() == [URL, gone, away, target]


def test_what_appears_daily_under_one_address_may_change(
    upstream: Upstream, settings: Settings, make_source: MakeSource
) -> None:
    daily = make_source(folder=None, network=[NetworkMethod(URL)], cadence="daily")
    for body in (b'{"day": 1}', b'{"day": 2}'):
        upstream.bodies = {URL: body}
        (file,) = fetch(daily, settings)
        assert file.path.read_bytes() == body
    upstream.bodies = {URL: b'{"day": 3}'}
    with pytest.raises(SourceError, match="changed upstream"):
        fetch(make_source(folder=None, network=[NetworkMethod(URL)], cadence="yearly"), settings)


def test_two_runs_share_one_connection_to_a_host(
    upstream: Upstream, settings: Settings, make_source: MakeSource
) -> None:
    names = [f"https://files.example/{n}.json" for n in range(3)]
    upstream.bodies = {
        url: lambda request: Reply(200, BODY, {"ETag": ETAG}, drip(BODY, 40_000, 0.02)) for url in names
    }
    source = make_source(folder=None, network=[NetworkMethod(url) for url in names])
    runs = [Thread(target=fetch, args=(source, settings)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert upstream.most["files.example"] == 1
    assert len(fetch(source, settings)) == 3


PAGE = "<html><head><title>Locks</title></head><body><h1>Locks</h1>" + "<p>A lock was tried.</p>" * 30


@pytest.mark.parametrize(
    ("robots", "pages"),
    [
        pytest.param(lambda _: Reply(404), 1, id="none"),
        pytest.param(b"User-agent: securetag\nDisallow: /", 0, id="forbids"),
        pytest.param(
            lambda _: Reply(301, headers={"Location": "https://mirror.example/robots.txt"}),
            0,
            id="forbids, on another host",
        ),
        pytest.param(
            lambda _: Reply(200, gzip.compress(b"User-agent: *\nDisallow: /"), {"Content-Encoding": "gzip"}),
            0,
            id="forbids, packed",
        ),
    ],
)
def test_robots_of_a_site(
    upstream: Upstream, settings: Settings, make_source: MakeSource, robots: Body, pages: int
) -> None:
    upstream.bodies = {
        "https://wiki.example/robots.txt": robots,
        "https://mirror.example/robots.txt": b"User-agent: *\nDisallow: /",
        "https://wiki.example/": lambda _: Reply(200, PAGE.encode(), {"Content-Type": "text/html"}),
    }
    network = settings.model_copy(update={"fetch": FetchSettings(mode="network")})
    source = make_source(folder=None, web=WebMethod("https://wiki.example/", delay_s=0.0), reader="html")
    if pages:
        assert [file.url for file in fetch(source, network)] == ["https://wiki.example/"]
    else:
        with pytest.raises(UnavailableError, match="gave no file"):
            fetch(source, network)
        assert "https://wiki.example/" not in upstream.urls()


@pytest.mark.parametrize(
    "robots",
    [
        pytest.param(Reply(200, b"\x1f\x8b broken", {"Content-Encoding": "gzip"}), id="damaged"),
        pytest.param(Reply(503, headers={"Retry-After": "3600"}), id="later"),
        pytest.param(Reply(302, headers={"Location": "/robots.txt"}), id="loop"),
    ],
)
def test_a_site_whose_robots_cannot_be_had_is_left_alone(
    upstream: Upstream, settings: Settings, make_source: MakeSource, robots: Reply
) -> None:
    upstream.bodies = {"https://wiki.example/robots.txt": lambda _: robots}
    network = settings.model_copy(update={"fetch": FetchSettings(mode="network")})
    source = make_source(folder=None, web=WebMethod("https://wiki.example/", delay_s=0.0), reader="html")
    with pytest.raises(UnavailableError):
        fetch(source, network)
    assert set(upstream.urls()) == {"https://wiki.example/robots.txt"}
