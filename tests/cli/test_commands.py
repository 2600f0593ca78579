"""The command line: help, JSON shapes that scripts rely on, errors with their next step."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from securetag.cli import app
from securetag.cli.client import connect
from securetag.cli.scan.packing import pack
from securetag.errors import InputError, SecuretagError
from securetag.extractors import catalog
from securetag.settings import get_settings

runner = CliRunner()


def test_help_names_every_command() -> None:
    said = runner.invoke(app, ["--help"]).output
    for command in (
        "up",
        "demo",
        "doctor",
        "scan",
        "source",
        "dataset",
        "train",
        "evaluate",
        "publish",
        "model",
        "tenant",
        "key",
        "db",
    ):
        assert f" {command} " in said


def test_source_list_has_the_agreed_shape() -> None:
    result = runner.invoke(app, ["source", "list", "--json"])
    assert result.exit_code == 0
    rows = json.loads(result.output)
    assert len(rows) >= 4
    for row in rows:
        assert set(row) == {
            "name",
            "tier",
            "publisher",
            "dataset",
            "edition",
            "licence",
            "url",
            "cadence",
            "reach",
        }


@pytest.mark.parametrize("width", [120, 80])
def test_source_list_is_a_line_a_source_with_whole_names(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securetag.cli.output.WIDTH", width)
    names = [row["name"] for row in json.loads(runner.invoke(app, ["source", "list", "--json"]).output)]
    lines = runner.invoke(app, ["source", "list"]).output.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *names]
    assert max(map(len, lines)) <= width


def test_source_list_filters(mirror_of_one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(*options: str) -> list[dict[str, str]]:
        result = runner.invoke(app, ["source", "list", "--json", *options])
        assert result.exit_code == 0, result.stderr
        rows: list[dict[str, str]] = json.loads(result.output)
        return rows

    monkeypatch.delenv("SECURETAG_MIRROR", raising=False)
    get_settings.cache_clear()
    every = listed()
    assert {row["publisher"] for row in listed("--publisher", "owasp", "--publisher", "NIST")} == {
        "OWASP",
        "NIST",
    }
    assert {row["tier"] for row in listed("--tier", "hf")} == {"hf"}
    assert {row["reach"] for row in listed("--local")} == {"package"}
    assert len(listed("--local")) < len(listed("--in-reach")) < len(every)
    monkeypatch.setenv("SECURETAG_MIRROR", str(mirror_of_one))
    get_settings.cache_clear()
    assert {row["reach"] for row in listed("--local")} >= {"package", "mirror"}
    refused = runner.invoke(app, ["source", "list", "--publisher", "OWSAP"])
    assert refused.exit_code == 1
    assert "OWASP" in refused.stderr


@pytest.fixture
def mirror_of_one(tmp_path: Path) -> Path:
    """A mirror that answers for one source of the catalog."""
    source = next(row for row in catalog.load().values() if row.mirror and row.network)
    entry = {"path": "file", "url": source.network[0].url, "sha256": "0" * 64, "bytes": 0}
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "MANIFEST.json").write_text(json.dumps({"files": [entry]}))
    return tmp_path / "mirror"


def test_source_extract_reads_a_packages_data_and_has_the_agreed_shape(tmp_path: Path) -> None:
    result = runner.invoke(app, ["source", "extract", "mitre-cwe-4.14", "--json"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.output).values()
    agreed = {"files", "records", "by_status", "dropped", "cpu_s"}
    assert set(found) == agreed | {"failures", "unchanged", "reasons", "scrubbed", "unmapped_columns"}
    assert (found["records"], found["by_status"]["deprecated"]) == (963, 25)
    assert (tmp_path / "data" / "records" / "mitre-cwe-4.14.parquet").is_file()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["source", "extract", "no-such-source"], "source list"),
        (["source", "extract"], "--all"),
        (["dataset", "verify", "0123456789ab"], "dataset list"),
        (["dataset", "build", "--source", "mitre-cwe"], "source extract mitre-cwe"),
        (["dataset", "build", "--mix", "no-such.yaml"], "mix.yaml"),
        (["dataset", "build", "--test-since", "soon"], "dataset build --help"),
        (["model", "rollback"], "model list"),
        (["tenant", "create", "acme"], "securetag up"),
        (["publish", "0123456789ab"], "model list"),
    ],
    ids=[
        "unknown source",
        "no source named",
        "unknown release",
        "source without Records",
        "no such mix",
        "no date",
        "unknown alias",
        "no database",
        "unknown model",
    ],
)
def test_an_error_is_two_lines_and_names_the_next_step(arguments: list[str], hint: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert hint in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_the_demos_work_is_looked_at_by_any_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Entering the demo's home changes the environment; this puts it back.
    for variable in ("SECURETAG_HOME", "SECURETAG_DATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    result = runner.invoke(app, ["--demo", "dataset", "list", "--json"])
    assert result.exit_code == 1
    assert "no demo has run" in result.stderr
    assert "securetag demo" in result.stderr
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "report.json").write_text("{}")
    get_settings.cache_clear()
    result = runner.invoke(app, ["--demo", "dataset", "list", "--json"])
    assert (result.exit_code, json.loads(result.output)) == (0, [])
    assert get_settings().releases_dir == tmp_path / "demo" / "data" / "releases"


def test_scan_without_a_running_api_says_how_to_start_one(tmp_path: Path) -> None:
    result = runner.invoke(app, ["scan", str(tmp_path)])
    assert result.exit_code == 2
    assert "securetag up" in result.stderr


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, "unauthenticated", "SECURETAG_API_KEY"),
        (403, "forbidden", "securetag key create --scope"),
        (413, "too-large", "Leave out dependencies"),
        (422, "invalid-request", "run it again"),
        (503, "database-unavailable", "Run the command again"),
    ],
    ids=["no key", "missing scope", "too large", "invalid request", "database away"],
)
def test_what_the_api_refuses_is_told_in_the_words_of_the_command_line(
    status: int, kind: str, says: str
) -> None:
    hint = "Leave out dependencies." if status == 413 else "POST it again with the same Idempotency-Key."
    problem = {"type": f"urn:securetag:problem:{kind}", "detail": "what happened", "hint": hint}
    refusing = httpx.MockTransport(lambda _: httpx.Response(status, json=problem))
    with (
        connect("http://api", "key", transport=refusing) as client,
        pytest.raises(SecuretagError, match="what happened") as refused,
    ):
        client.send("POST", "/codeaudit/upload")
    assert says in refused.value.hint
    assert "POST" not in f"{refused.value}{refused.value.hint}"


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
    (project / "node_modules").mkdir(parents=True)
    (project / "node_modules" / "a.py").touch()
    with pytest.raises(InputError, match="no files to scan; left out: folders node_modules"):
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
    assert packed.describe() == "1 unreadable files (b.py)"
