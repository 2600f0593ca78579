"""The adapter is loaded with what its users load it with: PEFT, in a process that knows nothing of us."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from securetag.records import JsonObject
from securetag.training.base import find_hub_id
from securetag.training.launchers import TrainingJob, TrainingRun, launch
from securetag.training.recipe import RECIPES_DIR, load

LoadElsewhere = Callable[[Path, Path, str, Path], JsonObject]
HUB_ID, REVISION = "tests/tiny-llama", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def run(tiny_recipe: Path, tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    overrides = {"max_rows": 16, "epochs": 1, "base_hub": HUB_ID, "base_revision": REVISION}
    run_dir = tmp_path_factory.mktemp("adapter") / "run"
    return launch(TrainingJob(tiny_recipe, tiny_release, run_dir, overrides))


def assert_names_no_place(adapter: Path, *places: Path) -> None:
    for path in adapter.rglob("*"):
        content = path.read_bytes()
        assert [place for place in places if str(place).encode() in content] == [], path.name


@pytest.mark.system
@pytest.mark.slow
def test_peft_loads_the_adapter_in_another_process(
    run: TrainingRun, tiny: Path, load_elsewhere: LoadElsewhere, tmp_path: Path
) -> None:
    logits = load_elsewhere(run.adapter, tiny, HUB_ID, tmp_path)
    assert not logits["securetag"]
    assert logits["auto"] == pytest.approx(logits["by path"])
    assert logits["auto"] != pytest.approx(logits["base"], abs=1e-3)


@pytest.mark.system
@pytest.mark.slow
def test_the_adapter_names_the_hub_and_no_folder(run: TrainingRun, tiny: Path) -> None:
    config = json.loads((run.adapter / "adapter_config.json").read_bytes())
    assert (config["base_model_name_or_path"], config["revision"]) == (HUB_ID, REVISION)
    assert_names_no_place(run.adapter, run.run_dir, tiny, Path.home(), Path.cwd())


@pytest.mark.system
@pytest.mark.slow
def test_the_card_is_filled(run: TrainingRun) -> None:
    card = ModelCard.load(run.adapter / "README.md")
    assert card.data.base_model == HUB_ID
    assert card.data.library_name == "peft"
    assert card.data.license == "apache-2.0"
    for blank in ("More Information Needed", "[optional]", "{{", "None"):
        assert blank not in card.content
    for fact in ("d" * 64, REVISION, "| rows | 16 |", "| rank, alpha | 16, 32 |", "validation"):
        assert fact in card.content


def test_a_base_is_called_by_its_hub_id_or_its_name_and_never_by_its_folder(tmp_path: Path) -> None:
    path = RECIPES_DIR / "securetag-embedded.yaml"
    embedded = load(path)
    assert find_hub_id(embedded) == ("HuggingFaceTB/SmolLM2-135M-Instruct", embedded.base_revision)
    assert embedded.base_revision is not None
    assert len(embedded.base_revision) == 40
    large = load(RECIPES_DIR / "llama31-8b-lora-h100.yaml")
    assert find_hub_id(large) == ("meta-llama/Llama-3.1-8B-Instruct", None)
    (tmp_path / "a" / "b").mkdir(parents=True)
    for folder in (tmp_path / "a" / "b", tmp_path / "nowhere"):
        changes = {"base": str(folder), "base_sha256": None, "base_hub": None, "base_revision": None}
        assert find_hub_id(load(path, changes)) == ("SmolLM2-135M-Instruct", None)


def test_a_relative_folder_is_not_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    changes = {"base": "models/mine", "base_sha256": None, "base_hub": None, "base_revision": None}
    recipe = load(RECIPES_DIR / "securetag-embedded.yaml", changes)
    assert find_hub_id(recipe) == ("SmolLM2-135M-Instruct", None)
