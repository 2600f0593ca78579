"""The command line: help, JSON shapes that scripts rely on, errors with their next step."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from securetag.cli import app
from securetag.cli.packing import pack
from securetag.errors import InputError
from securetag.settings import get_settings

runner = CliRunner()


def test_help_names_every_command() -> None:
    said = runner.invoke(app, ["--help"]).output
    for command in (
        "up", "demo", "doctor", "scan", "source", "dataset", "train", "evaluate", "publish", "model",
        "tenant", "key", "db",
    ):  # fmt: skip
        assert f" {command} " in said


def test_source_list_has_the_agreed_shape() -> None:
    result = runner.invoke(app, ["source", "list", "--json"])
    assert result.exit_code == 0
    rows = json.loads(result.output)
    assert len(rows) >= 4
    for row in rows:
        assert set(row) == {"name", "tier", "publisher", "dataset", "edition", "licence", "url", "cadence"}


def test_source_extract_reads_a_packages_data_and_has_the_agreed_shape(tmp_path: Path) -> None:
    result = runner.invoke(app, ["source", "extract", "mitre-cwe-4.14", "--json"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.output).values()
    agreed = {"files", "records", "by_status", "dropped", "cpu_s"}
    assert set(found) == agreed | {"failures", "unchanged"}
    assert (found["records"], found["by_status"]["deprecated"]) == (963, 25)
    assert (tmp_path / "data" / "records" / "mitre-cwe-4.14.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["source", "extract", "no-such-source"], "source list"),
        (["source", "extract"], "--all"),
        (["dataset", "verify", "0123456789ab"], "dataset list"),
        (["dataset", "build", "--source", "mitre-cwe"], "source extract mitre-cwe"),
        (["dataset", "build", "--mix", "no-such.yaml"], ""),
        (["dataset", "build", "--lang", "fr"], ""),
        (["model", "rollback"], ""),
        (["tenant", "create", "acme"], "securetag up"),
        (["publish", "0123456789ab"], ""),
    ],
)
def test_an_error_is_two_lines_and_names_the_next_step(arguments: list[str], hint: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert hint in result.stderr
    assert "Traceback" not in result.stderr


def test_the_demos_work_is_looked_at_by_any_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Entering the demo's home changes the environment; this puts it back.
    for variable in ("SECURETAG_HOME", "SECURETAG_DATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    result = runner.invoke(app, ["--demo", "dataset", "list", "--json"])
    assert result.exit_code == 1
    assert "no demo has run" in result.stderr
    assert "make demo" in result.stderr
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "report.json").write_text("{}")
    get_settings.cache_clear()
    result = runner.invoke(app, ["--demo", "dataset", "list", "--json"])
    assert (result.exit_code, json.loads(result.output)) == (0, [])
    assert get_settings().releases_dir == tmp_path / "demo" / "data" / "releases"


def test_scan_without_a_running_api_says_how_to_start_one(tmp_path: Path) -> None:
    result = runner.invoke(app, ["scan", str(tmp_path)])
    assert result.exit_code == 2
    assert "make up" in result.stderr


def test_a_project_packs_to_the_same_bytes_and_leaves_foreign_code_out(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for path in ("app.py", "lib/a.js", "node_modules/x.js", ".git/config", ".venv/y.py"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(path)
    (project / "link.py").symlink_to("/etc/passwd")
    (project / "lib" / "up").symlink_to("..")
    os.mkfifo(project / "pipe.py")
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    packed = pack(project, first)
    assert packed == pack(project, second)
    assert packed.files == 2
    assert packed.left_out == [
        {"path": ".git", "reason": "folder"},
        {"path": ".venv", "reason": "folder"},
        {"path": "lib/up", "reason": "link"},
        {"path": "link.py", "reason": "link"},
        {"path": "node_modules", "reason": "folder"},
        {"path": "pipe.py", "reason": "special"},
    ]
    assert packed.describe() == "folders .git, .venv, node_modules; 2 links; 1 sockets, pipes and devices"
    assert first.read_bytes() == second.read_bytes()
    assert zipfile.ZipFile(first).namelist() == ["app.py", "lib/a.js"]


def test_nothing_to_scan_is_an_error(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "build").mkdir(parents=True)
    (project / "build" / "a.py").touch()
    with pytest.raises(InputError, match="no files to scan; left out: folders build"):
        pack(project, tmp_path / "x.zip")


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("a.py", "b.py"):
        (project / name).touch()
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        # As root, as which tests may run, every file can be read.
        if path.name == "b.py":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    packed = pack(project, tmp_path / "x.zip")
    assert (packed.files, packed.left_out) == (1, [{"path": "b.py", "reason": "unreadable"}])
    assert packed.describe() == "1 unreadable files"
