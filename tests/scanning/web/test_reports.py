"""Reports of scanners: usual ones, hostile ones, and how a scanner may end."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_shops import Shop, serve, vulnerable_shop

from securetag.errors import InputError, SecuretagError, SettingsError, ToolError
from securetag.records import JsonObject
from securetag.scanning.scanner import ScannerRun
from securetag.scanning.web.addresses import Target, parse_target
from securetag.scanning.web.location import MAX_FINDINGS, WebMatch, web_findings
from securetag.scanning.web.nuclei import NucleiScanner
from securetag.scanning.web.scanner import WebScanner, WebScanRequest, reach, select_scanners
from securetag.scanning.web.wapiti import WapitiScanner
from securetag.settings import Settings
from securetag.settings.sections import WebSettings
from securetag.wire.queue import TriagedFinding

TARGET = parse_target("https://shop.example.com")
#: A line as version 3 of `nuclei -jsonl` writes it, by the fields of its ResultEvent.
NUCLEI = {
    "template": "http/exposures/configs/git-config.yaml",
    "template-id": "git-config",
    "template-path": "/templates/http/exposures/configs/git-config.yaml",
    "info": {
        "name": "Git Configuration - Detect",
        "author": ["pdteam"],
        "tags": ["config", "git", "exposure"],
        "description": "Git configuration was detected.",
        "severity": "medium",
        "classification": {"cve-id": None, "cwe-id": ["cwe-200"], "cvss-score": 5.3},
        "remediation": "Deny access to /.git.",
    },
    "matcher-name": "dotgit",
    "type": "http",
    "host": "shop.example.com",
    "port": "443",
    "scheme": "https",
    "url": "https://shop.example.com",
    "matched-at": "https://shop.example.com/.git/config?x=1",
    "extracted-results": ["origin"],
    "request": "GET /.git/config HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla\r\n\r\n",
    "response": "HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n[core]\n\turl = https://bot:hunter2@git.example.com\n",
    "ip": "203.0.113.7",
    "timestamp": "2026-11-20T10:00:00Z",
    "matcher-status": True,
}


def lines(*events: object) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events) + b"\n"


def test_a_result_of_nuclei_becomes_a_finding() -> None:
    matches = NucleiScanner(Settings()).parse(lines(NUCLEI, NUCLEI), TARGET)
    (finding,) = web_findings(matches, tool="nuclei", origin=TARGET.origin)
    assert (finding.rule_id, finding.cwe, finding.severity) == (
        "nuclei.git-config.dotgit",
        "CWE-200",
        "medium",
    )
    assert (finding.title, finding.path) == ("Git Configuration - Detect", "/.git/config")
    assert finding.recommendation == "Deny access to /.git."
    assert finding.web is not None
    assert finding.web.evidence.startswith("extracted: origin\nHTTP/1.1 200 OK")
    assert "hunter2" not in finding.snippet


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        pytest.param({"matched-at": "https://other.example/.git/config"}, 0, id="another host"),
        pytest.param({"matched-at": "https://shop.example.com:8443/"}, 0, id="another port"),
        pytest.param({"matched-at": "shop.example.com:53", "type": "dns"}, 0, id="no web"),
        pytest.param({"matched-at": ""}, 0, id="no place"),
        pytest.param({"info": {"severity": "unknown"}}, 1, id="an unknown severity"),
        pytest.param({"info": {"classification": {"cwe-id": "CWE-79"}}}, 1, id="a CWE as text"),
        pytest.param({"fuzzing_parameter": "q", "fuzzing_method": "POST"}, 1, id="a parameter"),
        pytest.param({"request": "", "response": ""}, 1, id="neither request nor answer"),
    ],
)
def test_results_of_nuclei_vary(changes: JsonObject, count: int) -> None:
    assert len(NucleiScanner(Settings()).parse(lines({**NUCLEI, **changes}), TARGET)) == count


@pytest.mark.parametrize("kind", [WapitiScanner, NucleiScanner])
@pytest.mark.parametrize(
    "report",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"<html>", id="no JSON"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"vulnerabilities": {"a": [{"level": "high"}]}, "template-id": 1}', id="wrong types"),
        pytest.param(b"[" * 200_000, id="nested too deeply"),
        pytest.param(b'{"template-id": "\xff"}', id="no UTF-8"),
    ],
)
def test_what_is_no_report_is_refused(kind: type[WebScanner], report: bytes) -> None:
    with pytest.raises(ToolError):
        kind(Settings()).parse(report, TARGET)


texts = st.text(max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def shaped(names: list[str]) -> st.SearchStrategy[dict[str, object]]:
    """An object with some of these fields, each of the right type or of any."""
    return st.dictionaries(st.sampled_from(names), texts | values, max_size=len(names))


entries = shaped(["method", "path", "info", "level", "parameter", "http_request", "detail"])
wapiti_reports = st.fixed_dictionaries(
    {
        "vulnerabilities": st.dictionaries(texts, st.lists(entries, max_size=3), max_size=3) | values,
        "classifications": st.dictionaries(texts, shaped(["sol", "ref"]), max_size=2) | values,
    }
)
nuclei_events = shaped([name for name in NUCLEI if isinstance(name, str)]).map(
    lambda event: {"template-id": "t", "matched-at": NUCLEI["matched-at"], **event}
)


@given(document=wapiti_reports, event=nuclei_events)
def test_no_report_breaks_the_parsers(document: JsonObject, event: JsonObject) -> None:
    """They refuse it, or what they make of it can be stored."""
    for scanner, report in (
        (WapitiScanner(Settings()), json.dumps(document).encode()),
        (NucleiScanner(Settings()), lines(event)),
    ):
        try:
            matches = scanner.parse(report, TARGET)
        except SecuretagError:
            continue
        for finding in web_findings(matches, tool=scanner.name, origin=TARGET.origin):
            sent = TriagedFinding(finding=finding).model_dump_json()
            assert TriagedFinding.model_validate_json(sent).finding == finding
            assert msgspec.to_builtins(finding)["web"]["url"].startswith(f"{TARGET.origin}/")


def test_a_report_without_an_end_is_cut() -> None:
    many = [
        WebMatch(rule_id="r", title="t", message="m", severity="low", url=f"/{number}")
        for number in range(MAX_FINDINGS + 10)
    ]
    assert len(web_findings(many, tool="wapiti", origin=TARGET.origin)) == MAX_FINDINGS


class Script(WebScanner):
    """Runs a few lines of Python; each line of its report is a path with a finding."""

    name = "script"
    code = ""

    def detect(self) -> str:
        return sys.executable

    def command(self, request: WebScanRequest, proxy: str, report: Path) -> list[str]:
        return [sys.executable, "-c", self.code, request.url, proxy, str(report)]

    def parse(self, report: bytes, target: Target) -> list[WebMatch]:
        if not report:
            raise ToolError("it is empty")
        return [
            WebMatch(rule_id="script", title="t", message="m", severity="low", url=path)
            for path in report.decode().splitlines()
        ]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Not served until a test does so."""
    made = vulnerable_shop(tmp_path)
    yield made
    made.server_close()


def run_script(shop: Shop, folder: Path, code: str, **web: object) -> ScannerRun:
    kind = type("Changed", (Script,), {"code": code})
    settings = Settings(web={"allow_loopback": True, **web})  # type: ignore[arg-type]
    timeout_s = float(settings.web.timeout_s)
    request = WebScanRequest(shop.url, parse_target(shop.url), folder / "out", timeout_s=timeout_s)
    return kind(settings).scan(request)  # type: ignore[no-any-return]


ASK = "import sys, urllib.request as u\nurl, proxy, report = sys.argv[1:]\n"


@pytest.mark.sockets
def test_a_scanner_has_the_proxy_in_its_environment_too(shop: Shop, tmp_path: Path) -> None:
    code = (
        f"{ASK}u.urlopen(url + '/item?id=1').read()\n"
        "try: u.urlopen('http://169.254.169.254/')\nexcept Exception as error: print('cookie: a=b', error)\n"
        "open(report, 'w').write('/item')"
    )
    with serve(shop):
        run = run_script(shop, tmp_path, code).check()
    assert [item.path for item in run.findings] == ["/item"]
    assert (run.metrics.requests, run.metrics.refused) == (1, {"other_host": 1})
    assert run.stdout_path.read_text().startswith("cookie: a=[redacted]")


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("code", "web", "failure"),
    [
        pytest.param("import sys; sys.exit('broken')", {}, "exit code 1: broken", id="an error"),
        pytest.param("pass", {}, "can't be read: it is empty", id="no report"),
        pytest.param("import time; time.sleep(99)", {"timeout_s": 10}, "didn't finish", id="a hang"),
        pytest.param("while True: pass", {"cpu_s": 1}, "of CPU time", id="CPU"),
    ],
)
def test_a_scanner_that_fails_reports_nothing(
    shop: Shop, tmp_path: Path, code: str, web: JsonObject, failure: str
) -> None:
    run = run_script(shop, tmp_path, code, **web)
    assert failure in run.failure
    assert run.findings == []


@pytest.mark.sockets
def test_a_scan_can_be_stopped(shop: Shop, tmp_path: Path) -> None:
    stop = threading.Event()
    request = WebScanRequest(
        shop.url, parse_target(shop.url), tmp_path, 200, stop=stop, on_start=lambda _: stop.set()
    )
    kind = type("Hangs", (Script,), {"code": "import time; time.sleep(99)"})
    assert "was stopped" in kind(Settings()).scan(request).failure


@pytest.mark.sockets
def test_an_application_is_reached_before_it_is_scanned(shop: Shop) -> None:
    target, local = parse_target(shop.url), WebSettings(allow_loopback=True)
    with serve(shop):
        reach(f"{shop.url}/nowhere", target, local)
        with pytest.raises(InputError, match="no public address: it is loopback") as refusal:
            reach(shop.url, target, WebSettings())
        assert refusal.value.hint
    with pytest.raises(ToolError, match="can't be reached"):
        reach(shop.url, target, local)
    https = parse_target(shop.url.replace("http", "https"))
    with pytest.raises(InputError, match="no public address"):
        reach(https.origin, https, WebSettings())


def test_a_missing_scanner_is_named_with_its_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"web\.wapiti") as refusal:
        select_scanners(Settings(web={"wapiti": tmp_path / "none"}))  # type: ignore[arg-type]
    assert "SECURETAG_WEB__WAPITI" in refusal.value.hint
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    with pytest.raises(SettingsError, match="Wapiti is neither") as refusal:
        select_scanners(Settings())
    assert ".venv-wapiti/bin/pip install wapiti3==3.2.3" in refusal.value.hint


def test_nuclei_is_left_out_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    only = {"scanners": ["nuclei"]}
    assert select_scanners(Settings(web=only)) == []  # type: ignore[arg-type]
    program = tmp_path / "nuclei"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert select_scanners(Settings(web=only)) == []  # type: ignore[arg-type]
    settings = Settings(web={**only, "nuclei_templates": tmp_path})  # type: ignore[arg-type]
    (scanner,) = select_scanners(settings)
    request = WebScanRequest("https://shop.example.com/a", TARGET, tmp_path, 60)
    command = scanner.command(request, "http://127.0.0.1:1", tmp_path / "report")
    assert command[:5] == [str(program), "-target", "https://shop.example.com/a", "-templates", str(tmp_path)]
    assert {"-jsonl", "-no-interactsh", "-disable-update-check"} <= set(command)


TEMPLATE = """
id: search-reflects
info:
  name: The search reflects
  author: securetag
  severity: medium
  classification:
    cwe-id: CWE-79
http:
  - method: GET
    path:
      - "{{BaseURL}}/search?q=<b>securetag</b>"
    matchers:
      - type: word
        words:
          - "<b>securetag</b>"
"""


@pytest.mark.sockets
@pytest.mark.slow
def test_the_real_nuclei_runs_behind_the_proxy(shop: Shop, tmp_path: Path) -> None:
    if shutil.which("nuclei") is None:
        pytest.skip("nuclei is not on PATH")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "reflects.yaml").write_text(TEMPLATE)
    web = {"allow_loopback": True, "nuclei_templates": tmp_path / "templates"}
    request = WebScanRequest(shop.url, parse_target(shop.url), tmp_path / "out", timeout_s=120)
    with serve(shop):
        run = NucleiScanner(Settings(web=web)).scan(request).check()  # type: ignore[arg-type]
    assert [(item.rule_id, item.cwe, item.path) for item in run.findings] == [
        ("nuclei.search-reflects", "CWE-79", "/search")
    ]
    assert run.metrics.requests >= 1
