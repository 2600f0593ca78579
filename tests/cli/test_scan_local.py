"""`securetag scan --local`: the real Semgrep in this process, without api and database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from securetag.cli import app

INJECTION = "import os\n\n\ndef run(request):\n    os.system(request.args['cmd'])\n"


@pytest.fixture(autouse=True)
def fresh_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is running for this home."""
    monkeypatch.setenv("SECURETAG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)


def scan(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["scan", str(folder), "--local", *options])


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.slow
def test_the_same_result_without_a_service(tmp_path: Path) -> None:
    shop = make(tmp_path / "shop", {"app.py": INJECTION, "node_modules/x.py": INJECTION, "main.go": "x"})
    sarif = tmp_path / "shop.sarif"
    result = scan(shop, "--fail-on", "high", "--json", "--lang", "es", "--sarif", str(sarif))
    assert result.exit_code == 1, result.output
    shown = json.loads(result.stdout)
    assert shown["state"] == "completed"
    (finding,) = shown["findings"]
    assert (finding["occurrence"]["path"], finding["decided"]["by"]) == ("app.py", "nobody")
    assert "el sistema operativo" in finding["message"]
    assert shown["coverage"]["files"] == {"python": 1}
    assert shown["coverage"]["unsupported"] == {"go": 1}
    assert shown["not_uploaded"] == [{"path": "node_modules", "reason": "folder"}]
    (run,) = json.loads(sarif.read_bytes())["runs"]
    assert [entry["ruleId"] for entry in run["results"]] == [finding["rule_id"]]
    assert not (tmp_path / "home" / "pg").exists()


def test_nothing_scanned_is_no_success(tmp_path: Path) -> None:
    result = scan(make(tmp_path / "go", {"main.go": "package main"}))
    assert result.exit_code == 2
    assert "nothing was scanned" in result.stderr


def test_triage_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    result = scan(make(tmp_path / "go", {"main.go": "package main"}), "--triage")
    assert result.exit_code == 2
    assert "no model runtime is running" in result.stderr
    assert "securetag up" in result.stderr


def test_a_missing_scanner_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURETAG_SEMGREP__EXECUTABLE", str(tmp_path / "nowhere"))
    result = scan(make(tmp_path / "shop", {"app.py": INJECTION}))
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
