"""`securetag web` as a user meets it: a target, its proof, scans with the real Wapiti, what is refused.

The real api and worker in processes of their own, the real PostgreSQL, a shop of our own on loopback.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from deployment import Deployment, deployed
from postgres import Database
from typer.testing import CliRunner
from web_shops import Shop, serve, vulnerable_shop

from securetag.cli import app
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.errors import SettingsError
from securetag.records import JsonObject
from securetag.scanning.locate import wapiti_executable
from securetag.settings.sections import WebSettings

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

FILE = "/.well-known/securetag-verification.txt"
Securetag = Callable[..., Result]


@pytest.fixture(scope="module")
def platform(
    pg_database: Database, pg_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One api for all tests of this module; each has a shop, and so a target, of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECURETAG_WEB__ALLOW_LOOPBACK", "true")
        # Two quick ones: tests/scanning/web runs all.
        patch.setenv("SECURETAG_WEB__WAPITI_MODULES", '["sql", "cookieflags"]')
        superuser = pg_cluster.dsn(pg_database.name, SUPERUSER)
        with deployed(tmp_path_factory.mktemp("web"), pg_database.dsn_api, superuser) as deployment:
            yield deployment


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(vulnerable_shop(tmp_path)) as running:
        running.pages = {path: running.pages[path] for path in ("/", "/item")}
        yield running


@pytest.fixture
def securetag(platform: Deployment, monkeypatch: pytest.MonkeyPatch) -> Securetag:
    monkeypatch.setenv("SECURETAG_API_URL", platform.url)
    monkeypatch.setenv("SECURETAG_API_KEY", platform.key)
    return lambda *arguments: CliRunner().invoke(app, ["web", *arguments])


@contextmanager
def working(platform: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    worker = platform.worker()
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(30)


def prove(securetag: Securetag, shop: Shop) -> None:
    target = json.loads(securetag("target", "add", shop.url, "--json").stdout)
    shop.pages[FILE] = lambda query, body: (200, {"Content-Type": "text/plain"}, target["proof"]["text"])
    assert securetag("target", "verify", shop.url).exit_code == 0


def test_a_target_from_its_name_to_its_removal(securetag: Securetag, shop: Shop) -> None:
    added = securetag("target", "add", f"{shop.url}/page")
    assert added.exit_code == 0
    assert f"  {shop.url}{FILE}\n" in added.stdout
    assert added.stdout.endswith(f"  next: securetag web target verify {shop.url}\n")
    (text,) = [line.strip() for line in added.stdout.splitlines() if "securetag-verification=" in line]
    early = securetag("target", "verify", shop.url)
    assert early.exit_code == 1
    assert "answers 404" in early.stderr
    assert "`securetag web target list` shows" in early.stderr
    shop.pages[FILE] = lambda query, body: (200, {"Content-Type": "text/plain"}, text)
    verified = securetag("target", "verify", shop.url)
    assert verified.stdout.startswith(f"{shop.url} is yours, by file, until ")
    (listed,) = json.loads(securetag("target", "list", "--json").stdout)
    assert (listed["origin"], listed["verified"]) == (shop.url, True)
    assert text in securetag("target", "list").stdout
    assert securetag("target", "remove", shop.url).exit_code == 0
    assert json.loads(securetag("target", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["scan", "{shop}"], "securetag web target add", id="no target"),
        pytest.param(["scan", "http://2130706433/"], "four decimal numbers", id="a number"),
        pytest.param(["scan", "shop.example.com"], "https://shop.example.com", id="no scheme"),
        pytest.param(["target", "verify", "{shop}"], "securetag web target add http", id="nothing to verify"),
        pytest.param(
            ["target", "remove", "https://a.example"], "is no target of yours", id="nothing to remove"
        ),
    ],
)
def test_a_refusal_says_what_to_do(
    securetag: Securetag, shop: Shop, arguments: list[str], message: str
) -> None:
    result = securetag(*(argument.replace("{shop}", shop.url) for argument in arguments))
    assert result.exit_code == (2 if arguments[0] == "scan" else 1)
    assert message in result.stderr
    assert "POST /" not in result.stderr
    assert shop.requests == []


def test_a_scan_finds_triages_and_finds_again(platform: Deployment, securetag: Securetag, shop: Shop) -> None:
    """Both scans find the same findings: the second adds occurrences to them."""
    try:
        wapiti_executable(WebSettings())
    except SettingsError as error:
        pytest.skip(f"{error}: `make wapiti` installs it")
    prove(securetag, shop)
    with working(platform):
        first = securetag("scan", shop.url, "--json", "--fail-on", "high", "--timeout", "200")
        second = securetag("scan", shop.url, "--fail-on", "critical", "--timeout", "200")
    assert first.exit_code == 1, first.stderr
    scan: JsonObject = json.loads(first.stdout)
    (injection,) = [item for item in scan["findings"] if item["cwe"] == "CWE-89"]
    web = injection["occurrence"]["web"]
    assert (web["url"], web["method"], web["parameter"]) == (f"{shop.url}/item", "GET", "id")
    assert web["request"].startswith("GET /item?id=")
    assert "SQLite" in web["evidence"]
    # Severe enough for the model, which isn't running here.
    assert injection["verdict"]["decision"] == "needs_review"
    cookies = [item for item in scan["findings"] if item["cwe"] in {"CWE-614", "CWE-1004"}]
    assert [item["verdict"] for item in cookies] == [None, None]
    assert "session=4711" not in first.stdout

    assert second.exit_code == 1
    assert "GET /item (id)" in second.stdout
    assert "wapiti: " in second.stdout
    with platform.http() as client:
        findings = client.get("/findings").json()["items"]
        runs = client.get(f"/scans/{scan['task_id']}").json()["tool_executions"]
    assert {item["id"] for item in findings} == {item["id"] for item in scan["findings"]}
    assert {item["occurrence"]["task_id"] for item in findings} != {scan["task_id"]}
    assert [run["tool"] for run in runs] == ["wapiti", "triage"]
    assert runs[0]["metrics_json"]["requests"] > 50


def test_a_worker_without_wapiti_says_how_to_install_it(
    platform: Deployment, securetag: Securetag, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(securetag, shop)
    monkeypatch.setitem(platform.environment, "SECURETAG_WEB__WAPITI", str(platform.home / "none"))
    before = len(shop.requests)
    with working(platform) as worker:
        result = securetag("scan", shop.url, "--timeout", "100")
        assert worker.poll() is None
    assert result.exit_code == 2
    assert "ended as failed: web.wapiti is" in result.stderr
    assert "Correct SECURETAG_WEB__WAPITI, or unset it." in result.stderr
    assert len(shop.requests) == before


def test_a_worker_reaches_nothing_inside(
    platform: Deployment, securetag: Securetag, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The api was told to allow loopback, the worker wasn't: it looks for itself."""
    prove(securetag, shop)
    monkeypatch.setitem(platform.environment, "SECURETAG_WEB__ALLOW_LOOPBACK", "false")
    before = len(shop.requests)
    with working(platform):
        result = securetag("scan", shop.url, "--timeout", "100")
    assert result.exit_code == 2
    assert "has no public address: it is loopback" in result.stderr
    assert len(shop.requests) == before


def test_a_worker_takes_the_kinds_that_it_is_for(
    platform: Deployment, securetag: Securetag, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(securetag, shop)
    monkeypatch.setitem(platform.environment, "SECURETAG_WORKER__KINDS", '["codeaudit"]')
    with platform.http() as client:
        task = client.post("/scans/web", json={"url": shop.url}).json()["task_id"]
    worker = platform.worker("--once")
    assert worker.wait(60) == 3
    assert platform.query("SELECT state FROM securetag.task WHERE id = %s", task) == [("queued",)]
