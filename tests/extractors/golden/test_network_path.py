"""Every row of the catalog that names an address is fetched over TLS, from a server of the real files.

A row gives the Records that the mirror gives, whatever the mirror is laid out like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from upstream import Body, Reply, Upstream, resolve_to
from upstream_files import UpstreamFiles

from securetag.extractors import catalog
from securetag.extractors.catalog import Source
from securetag.extractors.extract import extract
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import Failure
from securetag.extractors.record_files import Extraction
from securetag.records import Record
from securetag.settings import Settings
from securetag.settings.sections import FetchSettings

pytestmark = [pytest.mark.mirror, pytest.mark.system, pytest.mark.sockets]

ROWS = catalog.load()
FILES = sorted(row.name for row in ROWS.values() if row.network)
PAGES = sorted(row.name for row in ROWS.values() if row.web)
#: Rows whose address gives other files than the mirror holds (an edition more, an ecosystem more).
OTHER_FILES = {"nist-sp800-53", "github-advisories"}

Golden = Callable[[str], Extraction]


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    urls = [method.url for row in ROWS.values() for method in row.network]
    urls += [row.web.prefix for row in ROWS.values() if row.web]
    made = Upstream({urlsplit(url).hostname or "" for url in urls})
    yield made
    made.close()


@pytest.fixture
def upstream(server: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    server.bodies, server.requests, server.queries = {}, [], {}
    server.most.clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(server.write_authority(tmp_path / "ca.pem")))
    with resolve_to(server.port("http"), server.port("https")):
        yield server


@pytest.fixture
def network(tmp_path: Path) -> Settings:
    return Settings(mirror=None, data=tmp_path / "data", fetch=FetchSettings(mode="network", attempts=1))


def serve(upstream: Upstream, files: UpstreamFiles, row: Source) -> None:
    for method in row.network:
        body = files.make_body(row, method)
        upstream.bodies[method.url] = body
        if method.api:  # one address, with a query a page
            upstream.queries[method.url] = body


def digest(record: Record) -> tuple[str | None, str, str, str]:
    return record.facts.kind, record.key, record.title, record.text


@pytest.mark.parametrize("name", FILES)
def test_a_row_gives_over_the_network_what_the_mirror_gives(
    name: str, upstream: Upstream, network: Settings, mirror: Path, golden: Golden
) -> None:
    row = ROWS[name]
    serve(upstream, UpstreamFiles(mirror), row)
    failures: list[Failure] = []
    files = fetch(row, network, on_failure=failures.append)
    assert failures == []
    requested = upstream.urls()
    assert len(requested) == len(set(requested))  # one request a file
    assert fetch(row, network) == files
    again = upstream.requests[len(requested) :]
    assert all("If-None-Match" in request.headers for request in again)
    assert upstream.most.total() == len(upstream.most)  # one connection a host
    if row.reader == "pdf":
        (file,) = files
        by_mirror = Settings(mirror=mirror, data=network.data, fetch=FetchSettings(mode="mirror"))
        assert file.sha256 == fetch(row, by_mirror)[0].sha256
        return
    extraction = extract(name, network)
    assert extraction.records
    assert extraction.report.failures == []
    assert not any("codeload" in record.url for record in extraction.records)
    if not row.mirror:
        return
    records, expected = set(map(digest, extraction.records)), set(map(digest, golden(name).records))
    if name in OTHER_FILES:
        assert len(records & expected) >= 10
    else:
        assert records == expected


PAGE = "<html><head><title>{0}</title></head><body><main><h1>{0}</h1>{1}</main></body></html>"
PROSE = "<p>A door that nobody has tried is a promise, and this page says how the door of {} was tried.</p>"


@pytest.mark.parametrize("name", PAGES)
def test_a_section_of_a_site(name: str, upstream: Upstream, network: Settings) -> None:
    row = ROWS[name]
    assert row.web is not None
    start = row.web.start or [row.web.prefix]

    def page(title: str, link: str = "") -> Body:
        text = PROSE.format(title) * 8 + (f'<p>More of it: <a href="{link}">next</a></p>' if link else "")
        return lambda _: Reply(200, PAGE.format(title, text).encode(), {"Content-Type": "text/html"})

    for number, url in enumerate(start):
        upstream.bodies[url] = page(f"Door {number}", f"{url.rstrip('/')}/more")
        upstream.bodies[f"{url.rstrip('/')}/more"] = page(f"Second door {number}")
    root = f"{urlsplit(start[0]).scheme}://{urlsplit(start[0]).netloc}"
    upstream.bodies[f"{root}/robots.txt"] = b"User-agent: *\nDisallow: /private\nCrawl-delay: 0\n"
    extraction = extract(name, network)
    assert extraction.report.failures == []
    assert {record.title for record in extraction.records} >= {f"Door {n}" for n in range(len(start))}
    assert upstream.urls()[0] == f"{root}/robots.txt"
    assert upstream.most.total() == len(upstream.most)
    assert all("securetag/" in request.headers["User-Agent"] for request in upstream.requests)


def test_every_row_is_tried() -> None:
    """Rows without an address are those of packages, a mirror or other Records."""
    others = {row.name for row in ROWS.values()} - set(FILES) - set(PAGES)
    assert all(
        ROWS[name].package or ROWS[name].published or ROWS[name].mirror or ROWS[name].records
        for name in others
    )
