"""Recipes: the two that ship, what is refused, and that overrides replace fields."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from securetag.errors import SettingsError
from securetag.records import Task
from securetag.training import sft
from securetag.training.recipe import RECIPES_DIR, Recipe, find_recipe, list_recipes, load


def test_the_embedded_and_the_8b_recipe_differ_by_yaml_alone() -> None:
    small, large = (
        load(RECIPES_DIR / "securetag-embedded.yaml"),
        load(RECIPES_DIR / "llama31-8b-lora-h100.yaml"),
    )
    assert (small.device, small.dtype, small.profile) == ("cpu", "float32", "compact")
    assert (large.device, large.dtype, large.profile) == ("cuda", "bfloat16", "full")
    assert (large.lora.r, large.lora.alpha, large.epochs, large.learning_rate) == (32, 64, 2, 2e-4)
    assert large.attribution == "Built with Llama"
    assert small.digest != large.digest


def test_the_8b_recipe_can_be_made_qlora_by_fields_alone() -> None:
    overrides = {"base_bits": 4, "optimiser": "adamw_8bit"}
    assert load(RECIPES_DIR / "llama31-8b-lora-h100.yaml", overrides).base_bits == 4


def test_overrides_replace_fields() -> None:
    changed = load(
        RECIPES_DIR / "securetag-embedded.yaml",
        {"max_rows": 64, "tasks": {"triage": 0.9, "qa": 0.1}, "threads": 2},
    )
    assert (changed.max_rows, changed.threads) == (64, 2)
    assert changed.tasks == {Task.TRIAGE: 0.9, Task.QA: 0.1}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("batch", 0, "positive"),
        ("micro_batch", 3, "divide"),
        ("learning_rate", 2, "learning_rate"),
        ("tasks", {"triage": 0.9, "qa": 0.2}, "sum to at most 1"),
        ("tasks", {"poetry": 1.0}, "poetry"),
        ("base_bits", 4, "cuda"),
        ("base_bits", 8, "Invalid enum"),
        ("optimiser", "adamw_8bit", "cuda"),
        ("max_tokens", 4, "max_tokens"),
        ("lora", {"r": 0}, "lora.r"),
        ("lora", {"last_layers": 0}, "lora.last_layers"),
        ("lora", {"rslora": True}, "unknown field"),
        ("larning_rate", 1, "unknown field"),
    ],
    ids=[
        "no batch",
        "micro_batch that divides not",
        "learning_rate above 1",
        "shares above 1",
        "unknown task",
        "4 bits on a CPU",
        "8 bits",
        "8-bit optimizer on a CPU",
        "few tokens",
        "rank 0",
        "no layers",
        "unknown field of lora",
        "misspelled field",
    ],
)
def test_what_can_not_be_a_run_is_refused_with_the_field(field: str, value: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(RECIPES_DIR / "securetag-embedded.yaml", {field: value})


@pytest.mark.parametrize(
    ("fields", "meant"),
    [({"larning_rate": 1}, "learning_rate"), ({"lora": {"alfa": 1}}, "alpha"), ({"gpu": 2}, "gpus")],
)
def test_an_unknown_field_is_refused_with_a_suggestion(fields: dict[str, object], meant: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(RECIPES_DIR / "securetag-embedded.yaml", fields)
    assert refusal.value.hint.startswith(f"Did you mean {meant}?")


@pytest.mark.parametrize("name", [name for name in list_recipes() if name.startswith("llama31")])
def test_the_8b_recipes_share_what_they_teach(name: str) -> None:
    recipe = load(find_recipe(name))
    taught = (recipe.objective, recipe.epochs, recipe.packing, recipe.lora.r, recipe.lora.alpha)
    assert taught == ("ranking", 2, True, 32, 64)
    # Rows in one step over all GPUs are the same, so that the learning rate suits each.
    assert recipe.batch * recipe.gpus == 4
    assert recipe.gpu_types


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    for text in ("", "[1]", "name: [", "name: x"):
        (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(SettingsError):
            load(tmp_path / "r.yaml")
    with pytest.raises(SettingsError, match="there is no recipe"):
        load(tmp_path / "none.yaml")


def test_a_recipe_is_a_file_or_one_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: x")
    assert find_recipe(str(tmp_path / "mine.yaml")) == tmp_path / "mine.yaml"
    assert find_recipe("securetag-embedded") == RECIPES_DIR / "securetag-embedded.yaml"
    for name in ("securetag-ebedded", str(tmp_path), str(tmp_path / "none.yaml")):
        with pytest.raises(SettingsError, match="there is no recipe") as caught:
            find_recipe(name)
        assert (
            "llama31-8b-lora-2xh100, llama31-8b-lora-h100, llama31-8b-qlora-24gb, securetag-embedded"
            in caught.value.hint
        )


def test_every_field_says_what_it_is() -> None:
    source = (Path(__file__).parents[2] / "securetag/training/recipe.py").read_text()
    for struct_field in msgspec.structs.fields(Recipe):
        line = next(
            n for n, text in enumerate(source.splitlines()) if text.startswith(f"    {struct_field.name}:")
        )
        assert source.splitlines()[line + 1].startswith('    """'), struct_field.name


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"tensorboardX"}, ["tensorboard", "mlflow"]),
        ({"tensorboard"}, ["tensorboard", "mlflow"]),
        (set(), ["mlflow"]),
    ],
    ids=["tensorboardX", "tensorboard", "neither"],
)
def test_a_run_goes_without_tensorboards_files_where_nothing_writes_them(
    installed: set[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sft, "find_spec", lambda name: object() if name in installed else None)
    recipe = load(RECIPES_DIR / "securetag-embedded.yaml", {"report_to": ["tensorboard", "mlflow"]})
    assert sft._list_reporters(recipe) == expected
