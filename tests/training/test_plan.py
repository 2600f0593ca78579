"""What a run would take: the memory formula against what was measured, steps by hand, hours and dollars."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from securetag.errors import TrainingError
from securetag.training.plan import GIB, GPUS, estimate_memory, find_shape, plan
from securetag.training.recipe import find_recipe, load


@pytest.mark.parametrize(("at_once", "measured_gib"), [(1, 43.0), (2, 69.1)])
def test_the_memory_formula_meets_what_was_measured(at_once: int, measured_gib: float) -> None:
    recipe = load(find_recipe("llama31-8b-lora-h100"), {"micro_batch": at_once})
    assert estimate_memory(recipe, 4096) / GIB == pytest.approx(measured_gib, rel=0.05)


def test_the_8b_shape_has_the_parameters_that_its_publisher_names() -> None:
    assert find_shape(load(find_recipe("llama31-8b-lora-h100"))).parameters == pytest.approx(
        8.03e9, rel=0.001
    )


def test_qlora_fits_24_gb_and_bf16_does_not() -> None:
    qlora = load(find_recipe("llama31-8b-qlora-24gb"))
    assert estimate_memory(qlora, 4096) < 24e9 * 0.97
    assert estimate_memory(msgspec.structs.replace(qlora, base_bits=16), 4096) > 20e9


def test_every_gpu_of_a_recipe_has_a_speed_and_a_price() -> None:
    for name in ("llama31-8b-lora-h100", "llama31-8b-lora-2xh100", "llama31-8b-qlora-24gb"):
        assert set(load(find_recipe(name)).gpu_types) <= {gpu.id for gpu in GPUS}


def test_a_plan_counts_tokens_steps_hours_and_dollars(
    tiny: Path, tiny_recipe: Path, tiny_release: Path
) -> None:
    changes = {"device": "cuda", "gpu_types": ["NVIDIA L4", "NVIDIA H200"]}
    recipe = load(tiny_recipe, changes)
    result = plan(recipe, tiny_release, {"NVIDIA L4": (1.0, "LOW")})
    assert (result.rows, result.sampled_rows, result.tokenizer) == (80, 80, "tiny")
    assert result.steps == 60  # 80 rows, 4 at a time, 3 epochs: what test_sft sees the trainer do
    assert {option.gpu for option in result.options} == {"NVIDIA L4", "NVIDIA H200"}
    for option in result.options:
        assert option.usd == pytest.approx(option.usd_per_hour * option.hours, abs=0.05)
        assert option.fits
    twice = plan(msgspec.structs.replace(recipe, gpus=2), tiny_release)
    assert twice.steps == 30


@pytest.mark.parametrize(("objective", "is_measured"), [("completion", True), ("ranking", False)])
def test_only_the_measured_objective_is_called_measured(
    objective: str, is_measured: bool, tiny_recipe: Path, tiny_release: Path
) -> None:
    changes = {"device": "cuda", "gpu_types": ["NVIDIA H200"], "gradient_checkpointing": False}
    recipe = msgspec.structs.replace(load(tiny_recipe, changes), base_bits=16, objective=objective)
    assert [option.is_measured for option in plan(recipe, tiny_release).options] == [is_measured]


def test_a_base_without_a_known_shape_is_refused(tiny_recipe: Path) -> None:
    recipe = msgspec.structs.replace(load(tiny_recipe), base="acme/unknown", base_name="Unknown")
    with pytest.raises(TrainingError, match="shape of Unknown"):
        find_shape(recipe)
