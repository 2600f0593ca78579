"""Programs that write SARIF, as scanners by configuration alone: Ruff and Bandit as they are."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from howto_page import read_page

from securetag.errors import SettingsError
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.external import list_scanners, make_scanner
from securetag.scanning.scanner import ScanRequest
from securetag.settings import Settings

CODE = """\
import pickle
import subprocess


def load(name, data):
    subprocess.call("ls " + name, shell=True)  # nosec
    return pickle.loads(data)  # noqa: S301
"""
ENTRIES: dict[str, Any] = tomllib.loads(read_page("add-a-scanner").files["securetag.toml"])["scanners"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "app.py").write_text(CODE)
    # What an upload brings along hides nothing.
    (root / ".bandit").write_text("[bandit]\nskips: B301,B602\n")
    (root / "ruff.toml").write_text('exclude = ["app.py"]\n')
    return root


def make_settings(tmp_path: Path, **scanners: Any) -> Settings:
    return Settings(home=tmp_path / "home", scanners=scanners)


@pytest.mark.parametrize(
    "name",
    # `make system` installs Bandit, `make test` doesn't.
    [pytest.param(name, marks=[pytest.mark.system] if name == "bandit" else []) for name in sorted(ENTRIES)],
)
def test_the_entries_of_the_page_find_what_the_tools_find(name: str, project: Path, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, **{name: ENTRIES[name]})
    scanner = make_scanner(name, settings)
    try:
        scanner.detect()
    except SettingsError as error:
        pytest.skip(f"{error}. {error.hint}")
    run = scanner.scan(ScanRequest(project, tmp_path / "out")).check()
    reported = {(item.start_line, item.cwe) for item in run.findings if item.tool == name}
    assert {(6, "CWE-78"), (7, "CWE-502")} <= reported
    assert {match.kind for item in run.findings for match in item.matches} == {"external"}
    assert combine_evidence(run.findings, project)


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "tool.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def test_a_report_in_a_file(project: Path, tmp_path: Path) -> None:
    text = """
import json, sys
place = {"artifactLocation": {"uri": "app.py"}, "region": {"startLine": 6}}
result = {"ruleId": "X-1", "message": {"text": "m"}, "locations": [{"physicalLocation": place}]}
run = {"tool": {"driver": {"name": "T"}}, "results": [result]}
open(sys.argv[1], "w").write(json.dumps({"version": "2.1.0", "runs": [run]}))
"""
    command = [*script(tmp_path, text), "{report}"]
    settings = make_settings(
        tmp_path, tool={"command": command, "cwes": {"X": "CWE-78"}, "confidence": "medium"}
    )
    (finding,) = make_scanner("tool", settings).scan(ScanRequest(project, tmp_path / "out")).check().findings
    assert (finding.tool, finding.rule_id, finding.cwe, finding.confidence) == (
        "tool",
        "X-1",
        "CWE-78",
        "medium",
    )
    assert finding.scope == "load"


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("print('{}')", "can't be read"),
        ("import sys; sys.exit('no license')", "ended with exit code 3: no license"),
        ("while True: pass", "CPU time"),
    ],
    ids=["no SARIF", "exit code", "limit"],
)
def test_a_tool_that_fails_says_so(project: Path, tmp_path: Path, text: str, failure: str) -> None:
    text = text.replace("sys.exit('no license')", "print('no license', file=sys.stderr); sys.exit(3)")
    settings = make_settings(tmp_path, tool={"command": script(tmp_path, text), "cpu_s": 1})
    run = make_scanner("tool", settings).scan(ScanRequest(project, tmp_path / "out"))
    assert failure in run.failure
    assert run.findings == []


def error_at(place: dict[str, Any] | None) -> dict[str, Any]:
    notification = {"level": "error", "locations": [{"physicalLocation": place}]}
    return {"toolConfigurationNotifications": [notification]}


@pytest.mark.parametrize(
    ("invocation", "has_read_all", "unread"),
    [
        pytest.param({"executionSuccessful": True}, True, [], id="success"),
        pytest.param({"executionSuccessful": False}, False, [], id="failure"),
        pytest.param({"toolExecutionNotifications": [{"level": "error"}]}, False, [], id="error of the run"),
        pytest.param({"toolExecutionNotifications": [{"message": {"text": "slow"}}]}, True, [], id="warning"),
        pytest.param(error_at({"artifactLocation": {"uri": "./app.py"}}), True, ["app.py"], id="a file"),
        pytest.param(error_at({"artifactLocation": {"uri": "../x.py"}}), False, [], id="another file"),
        pytest.param(error_at(None), False, [], id="no file"),
    ],
)
def test_what_a_tool_says_that_it_could_not_read(
    project: Path, tmp_path: Path, invocation: dict[str, Any], has_read_all: bool, unread: list[str]
) -> None:
    run = {"tool": {"driver": {"name": "T"}}, "invocations": [invocation], "results": []}
    text = f"print({json.dumps({'version': '2.1.0', 'runs': [run]})!r})"
    settings = make_settings(tmp_path, tool={"command": script(tmp_path, text)})
    metrics = make_scanner("tool", settings).scan(ScanRequest(project, tmp_path / "out")).check().metrics
    assert metrics.read_all == has_read_all
    assert (metrics.coverage.parse_errors if metrics.coverage else []) == unread


def test_a_tool_isnt_started_for_a_project_without_its_language(project: Path, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, tool={"command": [sys.executable, "-c", "1/0"], "languages": ["ruby"]})
    run = make_scanner("tool", settings).scan(ScanRequest(project, tmp_path / "out")).check()
    assert run.findings == []
    assert "no file in ruby" in run.stderr_path.read_text()


def test_a_missing_program_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    entry = {"command": ["no-such-program"], "install": "pip install no-such-program"}
    settings = make_settings(tmp_path, tool=entry)
    with pytest.raises(SettingsError, match=r"no-such-program, which scanners\.tool runs") as refusal:
        make_scanner("tool", settings).detect()
    assert refusal.value.hint == "pip install no-such-program"


def test_configured_scanners_run_after_the_others_and_cant_take_a_name(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, tool={"command": ["x"]}, semgrep={"command": ["x"]})
    assert list_scanners(settings)[-1] == "tool"
    with pytest.raises(SettingsError, match="has the name of a scanner"):
        make_scanner("semgrep", settings)
