"""`securetag scan` as a user or a CI job meets it: exit codes, who decided, what wasn't scanned, Ctrl-C.

The real api and worker in processes of their own, the real PostgreSQL, the real Semgrep.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from click.testing import Result
from deployment import Deployment, deployed
from postgres import Database
from typer.testing import CliRunner

from securetag.cli import app
from securetag.cli.scan import Level
from securetag.cli.scan.report import describe_coverage
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.records import SEVERITIES, JsonObject
from securetag.wire.api import FindingAnswer, VerdictAnswer
from securetag.wire.feedback import FeedbackAnswer
from securetag.wire.queue import Coverage, RuleTimeout, SkipReason
from securetag.wire.verdicts import decide, is_dismissed

INJECTION = "import os\n\n\ndef run(request):\n    os.system(request.args['cmd'])\n"
#: A vulnerable file over 5 MB. One of mere repetition would be left out as a bomb.
BIG = INJECTION + "".join(f"# {number * 7919 % 1_000_003}\n" for number in range(650_000))
#: Semgrep needs some 15 CPU-seconds for it.
SLOW = "var password='hunter2hunter2';" + "var a=1;" * 110_000


@pytest.fixture(scope="module")
def platform(
    pg_database: Database, pg_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One api for all tests of this module; each has projects of its own."""
    superuser = pg_cluster.dsn(pg_database.name, SUPERUSER)
    with deployed(tmp_path_factory.mktemp("scan"), pg_database.dsn_api, superuser) as deployment:
        yield deployment


@contextmanager
def working(platform: Deployment) -> Iterator[None]:
    """A worker in a process of its own."""
    worker = platform.worker()
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def scan(platform: Deployment, *arguments: object, key: str = "") -> Result:
    where = ["--api", platform.url, "--key", key or platform.key]
    return CliRunner().invoke(app, ["scan", *map(str, arguments), *where])


def task_of(text: str) -> str:
    found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
    assert found, text
    return found[0]


@pytest.mark.sockets
@pytest.mark.slow
def test_people_decide_and_the_model_does_not(platform: Deployment, tmp_path: Path) -> None:
    with working(platform):
        shop = project(tmp_path / "shop", {"app.py": INJECTION})
        first = scan(platform, shop, "--fail-on", "high", "--lang", "es")
    assert first.exit_code == 1, first.output
    assert "scanned 1 file (python 1)" in first.stdout
    task = task_of(first.stdout)

    def again(*options: str) -> Result:
        return scan(platform, "--resume", task, "--fail-on", "high", *options)

    # What a comment in the code can make the embedded model say.
    platform.query("UPDATE securetag.triage_verdict SET decision = 'false_positive', reason = ''")
    talked_in = again()
    assert talked_in.exit_code == 1
    assert re.search(r"app\.py:5 +false_positive +model ", talked_in.stdout), talked_in.stdout

    (finding,) = json.loads(again("--json").stdout)["findings"]
    assert "el sistema operativo" in finding["message"], finding["message"]
    assert (finding["decided"], finding["dismissed"]) == ({"verdict": "false_positive", "by": "model"}, False)

    def feedback(verdict: str, source: str) -> None:
        with platform.http() as client:
            shown = {"occurrence_id": finding["occurrence"]["id"], "saw_model": True}
            answer = client.post(
                f"/findings/{finding['id']}/feedback", json={**shown, "verdict": verdict, "source": source}
            )
            assert answer.status_code == 201, answer.text

    feedback("false_positive", "script")
    assert again().exit_code == 1, "a script is no person"
    feedback("false_positive", "person")
    dismissed = again()
    assert dismissed.exit_code == 0, dismissed.output
    assert re.search(r"app\.py:5 +false_positive +person ", dismissed.stdout), dismissed.stdout
    feedback("true_positive", "script")
    as_json = again("--json")
    assert as_json.exit_code == 0
    shown = json.loads(as_json.stdout)
    assert shown["by_verdict"] == {"false_positive": 1}
    assert shown["findings"][0]["decided"] == {"verdict": "false_positive", "by": "person"}
    assert shown["findings"][0]["feedback"]["source"] == "person"
    exports = [tmp_path / "shop.sarif", tmp_path / "shop.csv"]
    in_full = again("--details", "--sarif", str(exports[0]), "--csv", str(exports[1]))
    assert ">     5     os.system(request.args['cmd'])" in in_full.stdout, in_full.output
    for text in (finding["message"], finding["recommendation"], "CWE-78", f"id: {finding['id']}"):
        assert text in in_full.stdout
    assert "1 finding: 1 " in in_full.stdout
    result = json.loads(exports[0].read_bytes())["runs"][0]["results"][0]
    assert [item["kind"] for item in result["suppressions"]] == ["external"]
    assert finding["id"] in exports[1].read_text()
    feedback("true_positive", "person")
    confirmed = again()
    assert confirmed.exit_code == 1, "although the model says false_positive"
    assert re.search(r"app\.py:5 +true_positive +person ", confirmed.stdout), confirmed.stdout


@pytest.mark.system
@pytest.mark.sockets
@pytest.mark.slow
def test_what_is_not_scanned_is_said_and_nothing_scanned_is_no_success(
    platform: Deployment, tmp_path: Path
) -> None:
    files = {
        "ok.py": "x = 1\n",
        "web/a.js": "let x = 1\n",
        "half.py": "def f(:\n  eval(x\n",
        "main.go": "package main",
        "big.py": BIG,
        "node_modules/x.js": "x",
        "README.md": "x",
        "docs/a.py": "eval(x)\n",
        ".securetagignore": "ok.py\n",
    }
    mixed = project(tmp_path / "mixed", files)
    (mixed / "link.py").symlink_to("ok.py")
    foreign = project(
        tmp_path / "foreign", {"main.go": "package main", "a.php": "<?php", "Dockerfile": "FROM x"}
    )
    big = project(tmp_path / "big", {"big.py": BIG})
    with working(platform):
        result = scan(platform, mixed, "--fail-on", "info", "--json", "--exclude", "docs/")
        assert result.exit_code == 0, result.output
        shown = json.loads(result.stdout)
        coverage = Coverage.model_validate(shown["coverage"])
        assert coverage.files == {"python": 2, "javascript": 1}
        assert coverage.parse_errors == ["half.py"]
        assert coverage.unsupported == {"go": 1, "other": 2}
        # No upload hides anything by itself: its `.securetagignore` names ok.py.
        assert coverage.excluded == {"docs/": 0}
        assert coverage.skipped_by_reason == {
            SkipReason.TOO_LARGE: 1,
            SkipReason.LINK: 1,
            SkipReason.FOLDER: 1,
            SkipReason.EXCLUDED: 1,
        }
        assert [(file.path, file.reason) for file in coverage.skipped] == [
            ("big.py", SkipReason.TOO_LARGE),
            ("link.py", SkipReason.LINK),
            ("node_modules", SkipReason.FOLDER),
            ("docs/a.py", SkipReason.EXCLUDED),
        ]
        assert shown["not_uploaded"] == [
            {"path": "docs/a.py", "reason": "excluded"},
            {"path": "link.py", "reason": "link"},
            {"path": "node_modules", "reason": "folder"},
        ]
        for_people = scan(platform, "--resume", shown["task_id"])
        assert (
            "scanned 3 files (python 2, javascript 1); not scanned: 1 excluded, "
            "1 in folders that aren't uploaded, 1 symbolic links, 1 too large, 1 go, "
            "2 files without code; excluded by docs/; 1 file read only in part (syntax errors)"
        ) in for_people.stdout.replace("\n", " ")
        platform.query("UPDATE securetag.project SET allow_ignore_file = true WHERE name = 'mixed'")
        allowed = Coverage.model_validate(json.loads(scan(platform, mixed, "--json").stdout)["coverage"])
        assert allowed.files == {"python": 2, "javascript": 1}
        assert allowed.excluded == {"ok.py": 1}
        assert (SkipReason.EXCLUDED, "ok.py") in {(file.reason, file.path) for file in allowed.skipped}
        for folder, words in ((foreign, "1 dockerfile, 1 go, 1 php"), (big, "1 too large")):
            result = scan(platform, folder)
            assert result.exit_code == 2, result.output
            assert f"not scanned: {words}" in result.stdout
            assert "error: nothing was scanned" in result.stderr


@pytest.mark.sockets
@pytest.mark.slow
def test_everything_else_is_exit_code_2(platform: Deployment, tmp_path: Path) -> None:
    folder = project(tmp_path / "shop", {"app.py": INJECTION})
    wrong_key = scan(platform, folder, key="stk_wrong")
    assert (wrong_key.exit_code, "401" in wrong_key.stderr) == (2, True), wrong_key.output

    # No worker: the wait ends, the scan doesn't.
    waited = scan(platform, folder, "--timeout", "0")
    assert waited.exit_code == 2
    task = task_of(waited.stdout)
    assert f"securetag scan --resume {task}" in waited.stderr
    with platform.http() as client:
        assert client.post(f"/scans/{task}/cancel").status_code == 200
    cancelled = scan(platform, "--resume", task, "--fail-on", "low")
    assert cancelled.exit_code == 2
    assert "ended as cancelled" in cancelled.stderr

    second = task_of(scan(platform, folder, "--timeout", "0").stdout)
    with working(platform):
        resumed = scan(platform, "--resume", second, "--fail-on", "low")
    assert resumed.exit_code == 1, resumed.output
    stranger = scan(platform, "--resume", "01890a5d-ac96-774b-bcce-b302099a8057")
    assert (stranger.exit_code, "no such scan" in stranger.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fail-on", "hihg"],
        ["--timeout", "soon"],
        ["--resume", "the last one"],
        ["--resume", "01890a5d-ac96-774b-bcce-b302099a8057"],
        ["--api", "http://127.0.0.1:1", "--key", "x"],
        ["--api", "no address", "--key", "x"],
    ],
    ids=["level", "seconds", "task", "folder and task", "nobody listens", "no address"],
)
@pytest.mark.sockets
def test_bad_options_and_addresses_are_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    result = CliRunner().invoke(app, ["scan", str(tmp_path), *arguments])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output


def test_a_bug_is_not_taken_for_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("task_id")

    monkeypatch.setattr("securetag.client.api.ApiClient.upload", broken)
    (tmp_path / "a.py").touch()
    result = CliRunner().invoke(app, ["scan", str(tmp_path), "--api", "http://127.0.0.1:1", "--key", "x"])
    assert result.exit_code == 2
    assert "unexpected KeyError" in result.stderr


def test_levels_are_the_severities_and_help_lists_them() -> None:
    assert get_args(Level) == SEVERITIES
    text = CliRunner().invoke(app, ["scan", "--help"]).output
    assert all(level in text for level in SEVERITIES)


@contextmanager
def started(platform: Deployment, folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a process of its own, started as a shell would in the background: SIGINT ignored."""
    code = "import signal; signal.signal(2, signal.SIG_IGN); from securetag.cli import app; app()"
    command = [sys.executable, "-u", "-c", code, "scan", str(folder), "--api", platform.url]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--key", platform.key], stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(holds: Callable[[], object], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.sockets
@pytest.mark.slow
def test_ctrl_c_cancels_the_scan_and_says_so(platform: Deployment, tmp_path: Path) -> None:
    folder, log = project(tmp_path / "shop", {"slow.js": SLOW}), tmp_path / "log"
    with working(platform), started(platform, folder, log) as process:
        assert until(lambda: b"running semgrep" in log.read_bytes()), log.read_text()
        assert until(platform.tools), "Semgrep runs"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130, log.read_text()
        task = task_of(log.read_text())
        assert f"scan {task} is canceled" in log.read_text()
        assert platform.query("SELECT state FROM securetag.task WHERE id = %s", task) == [("cancelled",)]
        assert until(lambda: not platform.tools()), "the worker has ended Semgrep"


@pytest.mark.sockets
@pytest.mark.slow
def test_a_cancelled_job_of_a_ci_cancels_its_scan(platform: Deployment, tmp_path: Path) -> None:
    """It sends SIGTERM. No worker runs, so that the scan is still queued."""
    folder, log = project(tmp_path / "shop", {"app.py": INJECTION}), tmp_path / "log"
    with started(platform, folder, log) as process:
        assert until(lambda: b"queued" in log.read_bytes()), log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143, log.read_text()
    task = task_of(log.read_text())
    assert platform.query("SELECT state FROM securetag.task WHERE id = %s", task) == [("cancelled",)]


@pytest.mark.sockets
@pytest.mark.slow
def test_where_cancelling_is_impossible_the_way_back_is_named(platform: Deployment, tmp_path: Path) -> None:
    """The api hangs; a second Ctrl-C ends the wait for its answer."""
    folder, log = project(tmp_path / "shop", {"app.py": INJECTION}), tmp_path / "log"
    with started(platform, folder, log) as process:
        assert until(lambda: b"queued" in log.read_bytes()), log.read_text()
        platform.api.send_signal(signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGINT)
            assert until(lambda: b"canceling scan" in log.read_bytes()), log.read_text()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130, log.read_text()
        finally:
            platform.api.send_signal(signal.SIGCONT)
    text = log.read_text()
    task = task_of(text)
    assert f"scan {task} was not canceled" in text
    assert f"securetag scan --resume {task}" in text


PERSON = {"verdict": "true_positive", "source": "person"}
MODEL = {"decision": "false_positive"}
GATED = {**MODEL, "gate": "production"}
ALLOWED = {"model_may_dismiss": True}


@pytest.mark.parametrize(
    ("finding", "verdict", "by", "dismissed"),
    [
        ({"verdict": None, "feedback": None}, "not triaged", "nobody", False),
        ({"verdict": MODEL, "feedback": None}, "false_positive", "model", False),
        ({"verdict": {**MODEL, "gate": "demo"}}, "false_positive", "model", False),
        ({"verdict": GATED}, "false_positive", "model", False),
        ({"verdict": {**MODEL, "gate": "demo"}, **ALLOWED}, "false_positive", "model", False),
        ({"verdict": GATED, **ALLOWED}, "false_positive", "model", True),
        ({"verdict": GATED, **ALLOWED, "feedback": PERSON}, "true_positive", "person", False),
        ({"feedback": {**PERSON, "verdict": "needs_review"}}, "needs_review", "person", False),
        ({"feedback": {**PERSON, "verdict": "false_positive"}}, "false_positive", "person", True),
        ({"feedback": {"verdict": "false_positive", "source": "script"}}, "not triaged", "nobody", False),
        (
            {"feedback": {**PERSON, "verdict": "false_positive"}, "verdict_stale_task_id": UUID(int=1)},
            "stale",
            "person",
            False,
        ),
    ],
    ids=[
        "nobody",
        "model",
        "demo gate",
        "production gate, not allowed",
        "demo gate, allowed",
        "production gate, allowed",
        "person over model",
        "unsure",
        "person",
        "script",
        "stale",
    ],
)
def test_whose_verdict_counts(finding: JsonObject, verdict: str, by: str, dismissed: bool) -> None:
    model, feedback = finding.get("verdict"), finding.get("feedback")
    answer = FindingAnswer.model_construct(
        verdict=model and VerdictAnswer.model_construct(**model),
        feedback=feedback and FeedbackAnswer.model_construct(**feedback),
        model_may_dismiss=finding.get("model_may_dismiss", False),
        verdict_stale_task_id=finding.get("verdict_stale_task_id"),
    )
    assert decide(answer) == (verdict, by)
    assert is_dismissed(answer) is dismissed


def test_a_coverage_in_words() -> None:
    coverage = Coverage(
        lines={"python": 100},
        files={"python": 10, "javascript": 2},
        unsupported={"go": 3, "php": 1, "other": 7},
        skipped_by_reason={SkipReason.TOO_LARGE: 1, SkipReason.LIMIT: 40},
        timeouts=[RuleTimeout(rule="r1", path="a.js"), RuleTimeout(rule="r2", path="a.js")],
        timeouts_total=2,
    )
    assert describe_coverage(coverage) == (
        "scanned 12 files (python 10, javascript 2); not scanned: 40 not reached within the scan's limit, "
        "1 too large, 3 go, 1 php, 7 files without code; 2 rule timeouts (r1, r2)"
    )
    assert describe_coverage(Coverage()) == "scanned 0 files"
