"""`securetag findings import` with real api, worker and PostgreSQL, and files as Bandit and Semgrep write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import Deployment, deployed
from postgres import Database
from sarif_files import At, bandit, semgrep, write
from typer.testing import CliRunner

from securetag.cli import app
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.records import JsonObject

pytestmark = [pytest.mark.sockets, pytest.mark.system]

CODE = """import os
import subprocess


def ping(request):
    os.system("ping " + request.args["host"])


def trace(request):
    subprocess.run("trace " + request.args["host"], shell=True)
"""
PING = At("B605", "app.py", 6, 'os.system("ping " + request.args["host"])')
TRACE = At("B602", "app.py", 10, 'subprocess.run("trace " + request.args["host"], shell=True)')
SEEN = At("python.os-system", "app.py", 6, 'os.system("ping " + request.args["host"])')


@pytest.fixture(scope="module")
def platform(
    pg_database: Database, pg_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    superuser = pg_cluster.dsn(pg_database.name, SUPERUSER)
    with deployed(tmp_path_factory.mktemp("import"), pg_database.dsn_api, superuser) as deployment:
        # Scans are by the scanner that starts in no time: imports need none.
        deployment.environment["SECURETAG_WORKER__SCANNERS"] = '["secrets"]'
        worker = deployment.worker()
        try:
            yield deployment
        finally:
            worker.terminate()
            assert worker.wait(30) == 0


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "app.py").write_text(CODE)
    return folder


def run(platform: Deployment, *arguments: object, code: int = 0) -> JsonObject:
    where = ["--api", platform.url, "--key", platform.key, "--json"]
    done = CliRunner().invoke(app, [*map(str, arguments), *where])
    assert done.exit_code == code, done.output
    answer: JsonObject = json.loads(done.stdout)
    return answer


def states(platform: Deployment, project: str) -> dict[str, str]:
    """Rule → state in the branch main."""
    rows = platform.query(
        "SELECT finding.rule_id, finding_state.state FROM securetag.finding_state "
        "JOIN securetag.finding ON finding.id = finding_state.finding_id "
        "JOIN securetag.project ON project.id = finding.project_id "
        "WHERE project.name = %s AND branch = 'main'",
        project,
    )
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_an_import_says_what_is_fixed_of_its_own_tools_alone(
    platform: Deployment, shop: Path, tmp_path: Path
) -> None:
    def bring(*runs: JsonObject, options: tuple[object, ...] = ()) -> JsonObject:
        file = write(tmp_path / "report.sarif", *runs)
        return run(platform, "findings", "import", file, "--source", shop, "--branch", "main", *options)

    first = bring(bandit(PING, TRACE))
    assert {(item["rule_id"], item["state"]) for item in first["findings"]} == {
        ("B605", "new"),
        ("B602", "new"),
    }
    assert {item["occurrence"]["scope"] for item in first["findings"]} == {"ping", "trace"}
    # Triage has asked: there is no model here.
    assert {item["verdict"]["decision"] for item in first["findings"]} == {"needs_review"}
    tools = platform.query(
        "SELECT tool, version, exit_code FROM securetag.tool_execution WHERE task_id = %s ORDER BY id",
        first["task_id"],
    )
    assert [row for row in tools if row[0] == "bandit"] == [("bandit", "1.9.4", 0)]

    bring(semgrep(SEEN))
    both = {"B605": "new", "B602": "new", "python.os-system": "new"}
    assert states(platform, "shop") == both, "Semgrep says nothing of what Bandit reports"
    bring(bandit(invocations=[{"executionSuccessful": False}]))
    assert states(platform, "shop") == both, "a tool that failed says nothing"
    bring(bandit(), options=("--partial",))
    assert states(platform, "shop") == both, "a part says nothing of the rest"
    bring(bandit(At("B605", "gone.py", 1), At("B605", "app.py", 6)))
    assert states(platform, "shop") == {**both, "B605": "open", "B602": "fixed"}
    bring(semgrep())
    last = {"B605": "open", "B602": "fixed", "python.os-system": "fixed"}
    assert states(platform, "shop") == last
    # Secrets were looked for, and no code was scanned.
    run(platform, "scan", shop, "--branch", "main", code=2)
    assert states(platform, "shop") == last, "a scan says nothing of imports"
    bring(bandit(PING, TRACE))
    assert states(platform, "shop")["B602"] == "reopened"


def test_results_outside_the_code_that_came_are_not_fixed(
    platform: Deployment, shop: Path, tmp_path: Path
) -> None:
    (shop / "lib.py").write_text(CODE)
    lib = TRACE._replace(path="lib.py")

    def bring(*places: At) -> None:
        file = write(tmp_path / "report.sarif", bandit(*places))
        options = ["--source", shop, "--branch", "main", "--project", "parts"]
        run(platform, "findings", "import", file, *options)

    bring(PING, lib)
    (shop / "lib.py").unlink()
    bring(lib)
    assert states(platform, "parts") == {"B605": "fixed", "B602": "new"}, "it is still reported, elsewhere"
    bring(TRACE._replace(path="/ci/build/lib.py"), PING)
    assert states(platform, "parts")["B605"] == "reopened"
    bring(TRACE._replace(path="/ci/build/lib.py"))
    assert states(platform, "parts") == {"B605": "reopened", "B602": "new"}, "which file is it?"


def test_runs_of_one_file_are_merged(platform: Deployment, shop: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "both.sarif", bandit(PING), semgrep(SEEN))
    imported = run(platform, "findings", "import", file, "--source", shop, "--project", "merged")
    (finding,) = imported["findings"]
    assert {match["tool"] for match in finding["matches"]} == {"bandit", "semgrep-oss"}
    assert finding["confidence"] == "high"


def test_without_code_there_is_no_triage(platform: Deployment, tmp_path: Path) -> None:
    places = [PING, TRACE, At("B605", "../etc/passwd", 1), At("B605", "/ci/app.py", 3)]
    file = write(tmp_path / "alone.sarif", bandit(*places))
    imported = run(platform, "findings", "import", file, "--project", "alone")
    paths = {(item["occurrence"]["path"], item["verdict"]) for item in imported["findings"]}
    assert paths == {("app.py", None), ("ci/app.py", None)}
    snippets = {item["occurrence"]["snippet"] for item in imported["findings"]}
    assert TRACE.code in snippets
    # Known again, though there is no code to know it by.
    again = run(platform, "findings", "import", file, "--project", "alone")
    assert {item["id"] for item in again["findings"]} == {item["id"] for item in imported["findings"]}
