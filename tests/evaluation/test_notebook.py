"""What notebooks read, and the notebook itself on folders that no setting names."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import securetag
from securetag.errors import NotFoundError
from securetag.evaluation import gate, suites
from securetag.evaluation.compare import compare
from securetag.pipeline.evaluate import Evaluation
from securetag.records import Example, JsonObject
from securetag.settings import get_settings
from securetag.triage import Predictor
from tests.plugins.small_release import write_small

pytestmark = pytest.mark.system

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "loop.ipynb"
needs_extra = pytest.mark.skipif(
    importlib.util.find_spec("papermill") is None, reason="the extra `notebook` is not installed"
)


@pytest.fixture(scope="module")
def data(examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one release."""
    folder = tmp_path_factory.mktemp("some") / "data"
    rows = [
        msgspec.structs.replace(example, split="train" if number % 2 else "test")
        for number, example in enumerate(examples)
    ]
    write_small(folder / "releases", rows, counts={"splits": {}})
    return folder


@pytest.fixture
def home(
    examples: list[Example],
    constant: Predictor,
    perfect: Predictor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An installation's home with one evaluation."""
    folder = tmp_path_factory.mktemp("home with a blank")
    comparison = compare(suites.run_suite(constant, examples), suites.run_suite(perfect, examples))
    decision = gate.decide(comparison, gate.load(gate.find_gate("demo")))
    evaluation = Evaluation(
        folder=str(folder / "evaluations" / "1"),
        model_id="a" * 64,
        base_id="b" * 64,
        release="0" * 12,
        comparison=comparison,
        decision=decision,
    )
    (folder / "evaluations" / "1").mkdir(parents=True)
    (folder / "evaluations" / "1" / "evaluation.json").write_bytes(msgspec.json.encode(evaluation))
    return folder


def test_a_release_and_an_evaluation_of_named_folders(data: Path, home: Path) -> None:
    assert securetag.load_release(data=data).split.value_counts().to_dict() == {"train": 60, "test": 60}
    assert set(securetag.load_evaluation(home=home).suite) >= {"held_out", "unseen_sink"}


def test_without_folders_the_settings_name_them(
    data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECURETAG_DATA", str(data))
    monkeypatch.setenv("SECURETAG_HOME", str(home))
    get_settings.cache_clear()
    assert len(securetag.load_release()) == 120
    assert len(securetag.load_evaluation()) > 0


def test_a_folder_without_results_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no release in .*/releases: run `make demo`"):
        securetag.load_release(data=tmp_path)
    with pytest.raises(NotFoundError, match=r"no evaluation in .*/evaluations: run `make demo`"):
        securetag.load_evaluation(home=tmp_path)


@pytest.mark.slow
@needs_extra
def test_the_notebook_runs_on_the_folders_it_is_given(data: Path, home: Path, tmp_path: Path) -> None:
    """Settings that name other folders stay as they are: nothing lies there, and no cell changes them."""
    cells = execute(tmp_path, "-p", "home", str(home), "-p", "data", str(data))
    assert f"home: {home}" in text_of(cells, "folders")
    assert "synthetic" in text_of(cells, "release-rows")
    assert "CWE-89" in text_of(cells, "row-text")
    assert "macro_f1" in text_of(cells, "figures-table")
    assert "image/png" in cells["lengths-plot"]["outputs"][-1]["data"]


@pytest.mark.long
@needs_extra
def test_the_notebook_takes_the_demos_data_from_its_home(data: Path, home: Path, tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    demo.mkdir()
    (demo / "data").symlink_to(data, target_is_directory=True)
    (demo / "evaluations").symlink_to(home / "evaluations", target_is_directory=True)
    cells = execute(tmp_path, "-p", "home", str(demo))
    assert f"data: {demo / 'data'}" in text_of(cells, "folders")
    assert "macro_f1" in text_of(cells, "figures-table")


def test_no_cell_of_the_notebook_sets_an_environment_variable() -> None:
    source = "".join(
        line for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] for line in cell["source"]
    )
    assert "environ" not in source
    assert "putenv" not in source


def execute(folder: Path, *parameters: str) -> JsonObject:
    """Run the notebook in a process of its own; returns its cells by id."""
    out = folder / "out.ipynb"
    places = {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "run")}
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "--no-progress-bar", str(NOTEBOOK), str(out), *parameters],
        cwd=folder,
        env=os.environ | places,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {cell["id"]: cell for cell in json.loads(out.read_text("utf-8"))["cells"]}


def text_of(cells: JsonObject, name: str) -> str:
    """What a cell printed or showed, as text."""
    outputs = cells[name]["outputs"]
    return "".join(
        line for output in outputs for line in output.get("text") or output["data"].get("text/plain", [])
    )
