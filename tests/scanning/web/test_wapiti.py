"""The real Wapiti, behind the egress proxy, against two shops of our own: one with holes, one without."""

from __future__ import annotations

from pathlib import Path

import pytest
from web_shops import Shop, clean_shop, serve, vulnerable_shop

from securetag.records import Finding
from securetag.scanning.scanner import ScannerRun
from securetag.scanning.web.addresses import parse_target
from securetag.scanning.web.scanner import WebScanRequest
from securetag.scanning.web.wapiti import WapitiScanner
from securetag.settings import Settings

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

#: What the shop with holes has: (CWE, method, path, parameter).
HOLES = [
    pytest.param("CWE-79", "/search", "q", id="reflected script"),
    pytest.param("CWE-89", "/item", "id", id="SQL injection"),
    pytest.param("CWE-22", "/text", "file", id="path traversal"),
    pytest.param("CWE-78", "/ping", "host", id="command injection"),
    pytest.param("CWE-601", "/go", "to", id="open redirect"),
    pytest.param("CWE-93", "/language", "lang", id="header injection"),
    pytest.param("CWE-1004", "/", "session", id="cookie that scripts read"),
    pytest.param("CWE-614", "/", "session", id="cookie without Secure"),
    pytest.param("CWE-1021", "/", "", id="page that can be framed"),
]


def scan(shop: Shop, folder: Path, **web: object) -> ScannerRun:
    settings = Settings(web={"allow_loopback": True, **web})  # type: ignore[arg-type]
    request = WebScanRequest(f"{shop.url}/", parse_target(shop.url), folder / "out", timeout_s=240)
    return WapitiScanner(settings).scan(request)


@pytest.fixture(scope="module")
def vulnerable(wapiti: str, tmp_path_factory: pytest.TempPathFactory) -> ScannerRun:
    folder = tmp_path_factory.mktemp("vulnerable")
    with serve(vulnerable_shop(folder)) as shop:
        return scan(shop, folder).check()


def at(findings: list[Finding]) -> set[tuple[str, str, str]]:
    return {(item.cwe, item.path, item.scope) for item in findings}


@pytest.mark.parametrize(("cwe", "path", "parameter"), HOLES)
def test_a_hole_is_found_where_it_is(vulnerable: ScannerRun, cwe: str, path: str, parameter: str) -> None:
    (finding,) = [item for item in vulnerable.findings if (item.cwe, item.path) == (cwe, path)]
    assert finding.scope == parameter
    assert finding.web is not None
    assert finding.web.method == "GET"
    assert finding.web.request.startswith(f"GET {path}")
    assert finding.web.evidence


def test_the_answer_is_the_evidence(vulnerable: ScannerRun) -> None:
    evidence = {item.cwe: item.web.evidence for item in vulnerable.findings if item.web is not None}
    assert "Results for <" in evidence["CWE-79"]
    assert "SQLite" in evidence["CWE-89"]
    assert "root:x:0:0" in evidence["CWE-22"]
    assert "session=4711" not in "".join(item.snippet for item in vulnerable.findings)
    assert "session=4711" not in vulnerable.stdout_path.read_text()


def test_the_scan_went_through_the_proxy(vulnerable: ScannerRun) -> None:
    assert vulnerable.metrics.requests > 100
    assert vulnerable.version == "3.2.3"
    assert vulnerable.metrics.findings == len(vulnerable.findings)


def test_a_clean_application_is_silent(wapiti: str, tmp_path: Path) -> None:
    with serve(clean_shop()) as shop:
        run = scan(shop, tmp_path).check()
        assert {path.partition("?")[0] for _, path in shop.requests} >= {"/search", "/item", "/text", "/go"}
    assert at(run.findings) == set()
    assert run.metrics.requests > 100


def test_another_scan_finds_the_same(
    wapiti: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Payloads are random, and so is the order of requests; findings and fingerprints are not."""
    with serve(vulnerable_shop(tmp_path)) as shop:
        shop.pages = {path: shop.pages[path] for path in ("/", "/search", "/go")}
        runs = [
            scan(shop, tmp_path_factory.mktemp("again"), wapiti_modules=["xss", "redirect"]).check()
            for _ in range(2)
        ]
    first, second = ({item.fingerprint for item in run.findings} for run in runs)
    assert first == second
    assert {"/search", "/go"} == {item.path for item in runs[0].findings}
    requests = [{item.web.request for item in run.findings if item.web} for run in runs]
    assert requests[0] != requests[1]


def test_a_limit_of_requests_ends_a_scan(wapiti: str, tmp_path: Path) -> None:
    with serve(vulnerable_shop(tmp_path)) as shop:
        run = scan(shop, tmp_path, max_requests=15, wapiti_modules=["redirect"]).check()
        assert len(shop.requests) <= 15
    assert (run.metrics.requests, run.metrics.refused["limit"] > 0) == (15, True)
