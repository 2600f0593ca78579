"""A crawl of a site made of traps, on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.errors import SourceError, UnavailableError
from securetag.extractors.catalog import Source, WebMethod
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import Failure
from securetag.extractors.fetching.web import Crawl, Visit
from securetag.extractors.fetching.web_guard import create_guarded_client
from securetag.extractors.fetching.web_links import Scope, is_inside, list_links, normalize_url, parse_sitemap
from securetag.settings import Settings

LONG = "A lock that nobody has tried to pick is a promise, and this page is long enough to be one. " * 3


def html(title: str, *links: str, head: str = "", text: str = LONG) -> str:
    anchors = " ".join(
        f'<p>See <a href="{link}">{link}</a> for more of what was said above.</p>' for link in links
    )
    body = f"<h1>{title}</h1><p>{title}: {text}</p>{anchors}"
    return f"<html><head><title>{title}</title>{head}</head><body>{body}</body></html>"


class Site:
    """Pages by path: a body, or (status, headers, body); what was asked for is kept."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.fallback: Any = (404, {}, html("Page not found", text="Nothing here."))
        self.drip = 0.0
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append((self.path, dict(self.headers)))
                time.sleep(site.drip)
                answer = site.pages.get(self.path, site.fallback)
                answer = answer(self) if callable(answer) else answer
                status, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
                data = body.encode() if isinstance(body, str) else body
                self.send_response(status)
                for name, value in {
                    "Content-Type": "text/html",
                    "Content-Length": str(len(data)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.root = f"http://127.0.0.1:{self.server.server_port}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


RunCrawl = Callable[..., dict[str, Visit]]


@pytest.fixture
def crawl(site: Site, tmp_path: Path) -> Iterator[RunCrawl]:
    """The visits of a crawl of `<site>/guide/`, by path."""
    clients: list[httpx.Client] = []

    def run(waits: list[float] | None = None, **bounds: Any) -> dict[str, Visit]:
        way = WebMethod(**{"prefix": f"{site.root}/guide/", "delay_s": 0.0, **bounds})
        clients.append(create_guarded_client(way.prefix, 5.0))
        wait = (waits if waits is not None else []).append
        visits = Crawl(way, tmp_path / "web", clients[-1], wait=wait).run()
        return {visit.url.removeprefix(site.root): visit for visit in visits}

    yield run
    for client in clients:
        client.close()


pytestmark = pytest.mark.sockets


def test_links_are_followed_below_the_prefix_and_no_further(site: Site, crawl: RunCrawl) -> None:
    site.pages = {
        "/guide/": html(
            "Start", "one", "/guide/two.html#part", "/admin", "/guidebook", "https://other.example/guide/"
        ),
        "/guide/one": html("One", "deep/er"),
        "/guide/two.html": html("Two", "one?utm_source=x&PHPSESSID=1"),
        "/guide/deep/er": html("Deep", "er2"),
        "/guide/deep/er2": html("Too deep"),
    }
    visits = crawl(depth=2)
    assert [path for path, visit in visits.items() if visit.sha256] == [
        "/guide/",
        "/guide/one",
        "/guide/two.html",
        "/guide/deep/er",
    ]
    assert not {"/admin", "/guidebook", "/guide/deep/er2"} & set(site.paths())


def test_robots_is_kept_with_its_wildcards_and_its_delay(site: Site, crawl: RunCrawl) -> None:
    site.pages = {
        "/robots.txt": "User-agent: *\nDisallow: /guide/private\nDisallow: /*.asp$\nCrawl-delay: 7\n",
        "/guide/": html("Start", "private/a", "b.asp", "c"),
        "/guide/c": html("C"),
        "/guide/private/a": html("A"),
        "/guide/b.asp": html("B"),
    }
    waits: list[float] = []
    visits = crawl(waits)
    assert visits["/guide/private/a"].reason == visits["/guide/b.asp"].reason == "robots.txt forbids it"
    assert visits["/guide/c"].sha256
    assert not {"/guide/private/a", "/guide/b.asp"} & set(site.paths())
    assert waits
    assert all(6 < wait <= 7 for wait in waits)
    assert all("securetag/" in headers["User-Agent"] for _, headers in site.asked)


def test_a_site_whose_robots_cannot_be_had_is_left_alone(site: Site, crawl: RunCrawl) -> None:
    site.pages = {"/robots.txt": (503, {}, ""), "/guide/": html("Start")}
    with pytest.raises(UnavailableError, match="503"):
        crawl()
    assert "/guide/" not in site.paths()


def test_a_sitemap_of_sitemaps_without_entities_and_without_other_sites(site: Site, crawl: RunCrawl) -> None:
    ns = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    site.pages = {
        "/robots.txt": f"Sitemap: {site.root}/index.xml\n",
        "/index.xml": f"<sitemapindex {ns}><sitemap><loc>{site.root}/a.xml</loc></sitemap>"
        f"<sitemap><loc>{site.root}/bomb.xml</loc></sitemap><sitemap><loc>http://169.254.169.254/latest</loc></sitemap></sitemapindex>",
        "/a.xml": f"<urlset {ns}><url><loc>{site.root}/guide/hidden</loc></url>"
        f"<url><loc>{site.root}/no</loc></url></urlset>",
        "/bomb.xml": '<!DOCTYPE x [<!ENTITY a "aaaa">]><urlset><url><loc>&a;</loc></url></urlset>',
        "/guide/": html("Start"),
        "/guide/hidden": html("Hidden"),
        "/no": html("No"),
    }
    visits = crawl(sitemap=True, depth=0)
    assert {path for path, visit in visits.items() if visit.sha256} == {"/guide/", "/guide/hidden"}


def test_redirects_stay_inside(site: Site, crawl: RunCrawl) -> None:
    site.pages = {
        "/guide/": html("Start", "in", "out", "meta", "loop", "up"),
        "/guide/in": (302, {"Location": "target"}, ""),
        "/guide/target": html("Target"),
        "/guide/out": (301, {"Location": "https://other.example/guide/"}, ""),
        "/guide/meta": (307, {"Location": "http://169.254.169.254/guide/"}, ""),
        "/guide/loop": (302, {"Location": "loop"}, ""),
        "/guide/up": (302, {"Location": "/admin"}, ""),
    }
    visits = crawl()
    assert visits["/guide/in"].canonical_url == f"{site.root}/guide/target"
    assert all(
        "a redirect to what is outside" in visits[f"/guide/{name}"].reason for name in ("out", "meta", "up")
    )
    assert "more than 5 redirects" in visits["/guide/loop"].reason
    assert "/admin" not in site.paths()


def test_a_private_address_is_refused_also_behind_a_name(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = site.server.server_port
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", port))])
    with create_guarded_client("http://rebound.example/", 2.0) as client:
        crawl = Crawl(WebMethod("http://rebound.example/", delay_s=0), tmp_path, client, wait=lambda _: None)
        with pytest.raises(UnavailableError, match="no public address"):
            crawl.run()
    assert site.asked == []


def test_what_is_no_page(site: Site, crawl: RunCrawl) -> None:
    site.pages = {
        "/guide/": html("Start", *(f"x{n}" for n in range(9))),
        "/guide/x0": (200, {"Content-Type": "application/pdf"}, "%PDF-1.7"),
        "/guide/x1": html("Huge", text="x" * 70_000),
        "/guide/x2": (200, {}, b""),
        "/guide/x3": html("404 Not Found", text="We could not find that page."),
        "/guide/x4": (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
        "/guide/x5": html("Mined", head='<meta name="robots" content="noai, noindex">'),
        "/guide/x6": (200, {"TDM-Reservation": "1"}, html("Reserved")),
        "/guide/x7": html("Start", *(f"x{n}" for n in range(9))),
        "/guide/x8": (500, {}, "boom"),
    }
    visits = crawl(page_bytes=60_000)
    reasons = [visits[f"/guide/x{n}"].reason for n in range(9)]
    assert reasons == [
        "not a page but application/pdf",
        "more than 60,000 bytes",
        "an empty page",
        "a page that says it isn't there",
        "cut off, and packed although it was asked for plain",
        "the page opts out of being mined",
        "the page opts out of being mined",
        f"the same page as {site.root}/guide/",
        "HTTP 500",
    ]
    assert [visits[f"/guide/x{n}"].is_failure for n in range(9)] == [
        False,
        True,
        True,
        False,
        True,
        False,
        False,
        False,
        True,
    ]


def test_a_soft_404_is_known_by_what_the_site_says_to_nonsense(site: Site, crawl: RunCrawl) -> None:
    site.fallback = (200, {}, html("Our products", text=f"Perhaps you look for one of these. {LONG}"))
    site.pages = {
        "/robots.txt": (404, {}, ""),
        "/guide/": html("Start", "gone", "here"),
        "/guide/here": html("Here"),
    }
    visits = crawl()
    assert visits["/guide/gone"].reason == "a page that says it isn't there"
    assert visits["/guide/here"].sha256


@pytest.mark.system
def test_endless_sites_end(site: Site, crawl: RunCrawl) -> None:
    counter = iter(range(10_000))

    def calendar(request: BaseHTTPRequestHandler) -> str:
        number = next(counter)
        return html(
            f"Day {number}", f"/guide/cal/2026/{number}", f"/guide/?day={number}", f"{request.path}sub/sub/"
        )

    site.fallback = calendar
    site.pages = {"/robots.txt": (404, {}, "")}
    visits = crawl(depth=100_000, pages=5_000)
    assert len(visits) < 600
    assert max(len(path) for path in visits) < 200


def test_a_crawl_is_bounded_in_pages_bytes_and_time(site: Site, crawl: RunCrawl) -> None:
    site.pages = {"/guide/": html("Start", *(f"p{n}x" for n in range(30)))}
    site.pages |= {f"/guide/p{n}x": html(f"Page {n}") for n in range(30)}
    assert sum(bool(visit.sha256) for visit in crawl(pages=4).values()) == 4
    assert sum(bool(visit.sha256) for visit in crawl(total_bytes=5_000).values()) < 30
    with pytest.raises(UnavailableError, match="stopped after"):
        crawl(seconds=-1)


def test_a_second_crawl_asks_for_what_changed(site: Site, crawl: RunCrawl) -> None:
    def page(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], str]:
        fresh = request.headers.get("If-None-Match") == '"v1"'
        return (304, {}, "") if fresh else (200, {"ETag": '"v1"'}, html("Start"))

    site.pages = {"/guide/": page}
    first, second = crawl(), crawl()
    assert first["/guide/"].sha256 == second["/guide/"].sha256 != ""
    assert [headers.get("If-None-Match") for path, headers in site.asked if path == "/guide/"] == [
        None,
        '"v1"',
    ]


CHILD = """
import sys, time
from pathlib import Path
from securetag.extractors.catalog import WebMethod
from securetag.extractors.fetching.web import Crawl
from securetag.extractors.fetching.web_guard import create_guarded_client
way = WebMethod(sys.argv[1], delay_s=0.0)
Crawl(way, Path(sys.argv[2]), create_guarded_client(way.prefix, 5.0)).run()
"""


@pytest.mark.system
def test_a_killed_crawl_goes_on_where_it_was(site: Site, crawl: RunCrawl, tmp_path: Path) -> None:
    site.pages = {"/guide/": html("Start", *(f"p{n}x" for n in range(20)))}
    site.pages |= {f"/guide/p{n}x": html(f"Page {n}") for n in range(20)}
    site.drip = 0.05
    command = [sys.executable, "-c", CHILD, f"{site.root}/guide/", str(tmp_path / "web")]
    with subprocess.Popen(command) as child:
        while len(site.asked) < 8 and child.poll() is None:
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
    journal = tmp_path / "web" / "journal.jsonl"
    before = [
        msgspec.json.decode(line)["url"] for line in journal.read_bytes().splitlines() if line.endswith(b"}")
    ]
    assert before
    with journal.open("ab") as lines:
        lines.write(b'{"url": "cut o')
    site.asked.clear()
    site.drip = 0.0
    visits = crawl()
    assert sum(bool(visit.sha256) for visit in visits.values()) == 21
    again = {f"{site.root}{path}" for path in site.paths()}
    assert not again & set(before)


def test_as_a_source(site: Site, make_source: Callable[..., Source], settings: Settings) -> None:
    site.pages = {
        "/guide/": html("Start", "a", "big"),
        "/guide/a": html("A"),
        "/guide/big": html("B", text="x" * 9_000),
    }
    web = WebMethod(f"{site.root}/guide/", delay_s=0, page_bytes=8_000)
    source = make_source(folder=None, web=web, reader="html", url=f"{site.root}/guide/")
    failures: list[Failure] = []
    files = fetch(source, settings, None, failures.append)
    assert [file.url for file in files] == [f"{site.root}/guide/", f"{site.root}/guide/a"]
    assert all(file.path.is_relative_to(settings.raw_dir) for file in files)
    assert [failure.reason for failure in failures] == ["more than 8,000 bytes"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "HTTP://E.org:80/a/../b?z=1&a=2#x", "http://e.org/b?a=2&z=1", id="case, port, dots and query"
        ),
        pytest.param("https://e.org", "https://e.org/", id="missing path"),
        pytest.param("//e.org/x;jsessionid=1F", "https://e.org/x", id="session in the path"),
        pytest.param("javascript:alert(1)", "", id="javascript"),
        pytest.param("https://u:p@e.org/", "", id="user name"),
        pytest.param("https://e.org/guide/..%2f..%2fadmin", "", id="encoded slashes"),
        pytest.param("https://e.org/%2E%2e/x", "", id="encoded dots"),
        pytest.param("https://e.org/ä b", "https://e.org/%C3%A4%20b", id="non-ASCII"),
        pytest.param("https://e.org:99999/", "", id="port too large"),
        pytest.param("https://e.org//x//y", "https://e.org/x//y", id="double slashes"),
        pytest.param("http://[::1", "", id="malformed host"),
        pytest.param("ftp://e.org/", "", id="FTP"),
    ],
)
def test_one_spelling_of_an_address(url: str, expected: str) -> None:
    assert normalize_url(url, "https://e.org/base/") == expected


@given(st.text(alphabet="./a?#&=;%25fF:@[]\\ \t", max_size=40))
def test_what_is_normal_stays_so_and_nothing_leaves_by_its_spelling(tail: str) -> None:
    once = normalize_url(tail, "https://e.org/guide/")
    assert normalize_url(once) == once
    if once and is_inside(once, "https://e.org/guide/"):
        path = httpx.URL(once).path
        assert path == "/guide" or path.startswith("/guide/")
        assert "/../" not in f"{path}/"


def test_scope() -> None:
    scope = Scope(WebMethod("https://e.org/guide/", exclude=["*/old/*"], include=["*/guide/*"]))
    assert scope.refuse("https://e.org/guide/old/x") == "excluded by the row"
    assert scope.refuse("https://e.org/guide/x?action=edit") == "a tool of the site"
    assert scope.refuse("https://e.org/guide/x/x/x") == "a trap: folders inside themselves"
    assert scope.refuse("https://e.org/guide/logo.png") == "not a page"
    assert scope.refuse("https://e.org/guide/page") == ""


def test_links_and_sitemaps_that_are_not_what_they_seem() -> None:
    page = '<base href="/b/"><a href="x">1</a><a href="y" rel="nofollow">2</a><a href="mailto:a@b">3</a>'
    page += '<a href="x#z">4</a>'
    assert list_links(page, "https://e.org/") == ["https://e.org/b/x"]
    assert list_links('<meta name="robots" content="NOFOLLOW">' + page, "https://e.org/") == []
    with pytest.raises(SourceError):
        parse_sitemap(b"<html><body>404</body></html>")
