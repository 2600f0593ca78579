"""What notebooks read, and the notebooks themselves on folders that no setting names."""

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

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: Notebook → cell → a part of what it shows.
EXPECTED = {
    "01_dataset": {"release-rows": "synthetic", "row-text": "CWE-89", "labels": "true_positive"},
    "02_evaluation": {"figures-table": "macro_f1", "axes-plot": "Figure", "curve-plot": "Figure"},
    "03_triage_errors": {"right-table": "wrong", "worst-errors": "HTML"},
}
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
    data: Path,
    examples: list[Example],
    constant: Predictor,
    perfect: Predictor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An installation's home with one evaluation."""
    folder = tmp_path_factory.mktemp("home with a blank")
    results = {
        "base": suites.run_suite(constant, examples),
        "candidate": suites.run_suite(perfect, examples),
    }
    comparison = compare(results["base"], results["candidate"])
    decision = gate.decide(comparison, gate.load(gate.find_gate("demo")))
    evaluation = Evaluation(
        folder=str(folder / "evaluations" / "1"),
        model_id="a" * 64,
        base_id="b" * 64,
        release=next((data / "releases").glob("*/manifest.json")).parent.name,
        comparison=comparison,
        decision=decision,
    )
    (folder / "evaluations" / "1").mkdir(parents=True)
    (folder / "evaluations" / "1" / "evaluation.json").write_bytes(msgspec.json.encode(evaluation))
    for name, result in results.items():
        result.write(folder / "evaluations" / "1" / f"{name}.jsonl")
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


def test_answers_stand_beside_the_code_that_was_asked_about(data: Path, home: Path) -> None:
    answers = securetag.load_answers(home=home, data=data)
    assert len(answers) == 60  # those of the release's test split
    assert answers["candidate.is_right"].all()
    assert answers["base.decision"].nunique() == 1  # the constant predictor's
    assert answers.code.str.contains("\n").all()


@pytest.mark.slow
@needs_extra
@pytest.mark.parametrize("name", ["01_dataset", "02_evaluation", "03_triage_errors"])
def test_a_notebook_runs_on_the_folders_it_is_given(
    name: str, data: Path, home: Path, tmp_path: Path
) -> None:
    """Settings that name other folders stay as they are: nothing lies there, and no cell changes them."""
    cells = execute(name, tmp_path, "-p", "home", str(home), "-p", "data", str(data))
    for cell, text in EXPECTED[name].items():
        assert text in text_of(cells, cell)


@pytest.mark.long
@needs_extra
def test_a_notebook_takes_the_demos_data_from_its_home(data: Path, home: Path, tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    demo.mkdir()
    (demo / "data").symlink_to(data, target_is_directory=True)
    (demo / "evaluations").symlink_to(home / "evaluations", target_is_directory=True)
    cells = execute("02_evaluation", tmp_path, "-p", "home", str(demo))
    assert "macro_f1" in text_of(cells, "figures-table")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_of_a_notebook_sets_an_environment_variable(notebook: Path) -> None:
    source = "".join(line for cell in read_cells(notebook) for line in cell["source"])
    assert "environ" not in source
    assert "putenv" not in source


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_outputs_that_name_no_folder_of_a_machine(notebook: Path) -> None:
    cells = read_cells(notebook)
    shown = [cell for cell in cells if cell["cell_type"] == "code" and cell["outputs"]]
    assert len(shown) >= 3
    assert not any("error" in output["output_type"] for cell in shown for output in cell["outputs"])
    assert "/.securetag/demo/" not in json.dumps([cell["outputs"] for cell in shown])


def read_cells(notebook: Path) -> list[JsonObject]:
    """The cells of a notebook's file."""
    return list(json.loads(notebook.read_text("utf-8"))["cells"])


def execute(name: str, folder: Path, *parameters: str) -> JsonObject:
    """Run a notebook in a process of its own; returns its cells by id."""
    out = folder / "out.ipynb"
    places = {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "run")}
    notebook = str(FOLDER / f"{name}.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "papermill", "--no-progress-bar", notebook, str(out), *parameters],
        cwd=folder,
        env=os.environ | places,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {cell["id"]: cell for cell in read_cells(out)}


def text_of(cells: JsonObject, name: str) -> str:
    """What a cell printed or showed, as text."""
    outputs = cells[name]["outputs"]
    return "".join(
        line for output in outputs for line in output.get("text") or output["data"].get("text/plain", [])
    )
