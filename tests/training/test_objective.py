"""The ranking loss: its formula, its gradient's direction, and where it finds the verdicts."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from securetag.errors import TrainingError
from securetag.records import Example
from securetag.training import base, objective, rows, sft
from securetag.training.compute_savings import Scored
from securetag.training.objective import VerdictTokens
from securetag.training.recipe import Recipe, load
from securetag.training.rows import IGNORED, Row

if TYPE_CHECKING:
    from torch import Tensor

#: The verdict is 5 (true) or 6 (false) after 3 and 4.
TOKENS = VerdictTokens(true=5, false=6, before=(3, 4))


def make_labels(*answers: list[int]) -> Tensor:
    import torch

    return torch.tensor([[IGNORED, IGNORED, *answer] for answer in answers])


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_loss_is_the_formula_of_its_module() -> None:
    import torch

    labels = make_labels([3, 4, 5, 7], [3, 4, 6, 7], [3, 4, 6, 7])
    targets = labels[labels != IGNORED]
    scores = torch.zeros(len(targets), 9)
    margins = {"tp": 0.5, "fp": [-1.0, 2.0]}
    for place, margin in zip((2, 6, 10), [margins["tp"], *margins["fp"]], strict=True):
        scores[place, 5] = margin
    scored = Scored(scores, targets, labels)
    bce = (softplus(-0.5) + softplus(-1.0) + softplus(2.0)) / 3
    rank = (softplus(-(0.5 + 1.0)) + softplus(-(0.5 - 2.0))) / 2
    parts = [objective.measure_part(scored, TOKENS)]
    assert float(objective.verdict_loss(parts, 0.0)) == pytest.approx(bce + rank, abs=1e-6)
    form = torch.nn.functional.cross_entropy(scores, targets)
    weighted = objective.verdict_loss(parts, 0.25)
    assert float(weighted) == pytest.approx(bce + rank + 0.25 * float(form), abs=1e-6)


def test_a_batch_without_a_verdict_or_of_one_label_has_a_loss() -> None:
    import torch

    for labels in (make_labels([7, 5, 7]), make_labels([3, 4, 5, 7])):
        targets = labels[labels != IGNORED]
        scores = torch.zeros(len(targets), 9, requires_grad=True)
        part = objective.measure_part(Scored(scores, targets, labels), TOKENS)
        loss = objective.verdict_loss([part], 0.5)
        loss.backward()
        assert math.isfinite(loss.item())


def test_a_verdict_is_known_by_what_comes_before_it() -> None:
    labels = make_labels(
        [3, 4, 5, 5, 6], [4, 6, 3, 4, 6]
    )  # the second holds two rows' ends, as packed ones do
    expected = [[0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1]]
    assert objective.find_verdicts(labels, TOKENS).int().tolist() == expected


def test_the_verdict_tokens_are_those_of_the_answers(
    tiny_recipe: Path, make_example: Callable[..., Example]
) -> None:
    recipe = load(tiny_recipe)
    tokenizer = base.load_tokenizer(recipe)
    made, _ = rows.encode([make_example(n) for n in range(6)], tokenizer, recipe)
    tokens = objective.find_verdict_tokens(made)
    assert tokenizer.decode(list(tokens.before)).startswith('{"verdict":')
    for row in made:
        assert row.verdict_index is not None
        assert row.input_ids[row.verdict_index] == (
            tokens.true if row.label == "true_positive" else tokens.false
        )
    with pytest.raises(TrainingError, match="both labels"):
        objective.find_verdict_tokens([row for row in made if row.label == "true_positive"])
    with pytest.raises(TrainingError, match="both labels"):
        objective.find_verdict_tokens([])


def first_loss(recipe: Path, release: Path, run_dir: Path, **overrides: object) -> float:
    fields = {"max_rows": 8, "epochs": 1, "group_by_length": False, "objective": "ranking", **overrides}
    command = [sys.executable, "-m", "securetag.training.sft", f"--recipe={recipe}", f"--run={run_dir}"]
    command += [f"--release={release}", f"--overrides={json.dumps(fields)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    line = (run_dir / "progress.jsonl").read_text("utf-8").splitlines()[0]
    return float(json.loads(line)["loss"])


@pytest.mark.long
def test_packed_rows_have_the_loss_of_rows_side_by_side(
    tiny_recipe: Path, tiny_release: Path, tmp_path: Path
) -> None:
    apart = first_loss(tiny_recipe, tiny_release, tmp_path / "apart", batch=8, micro_batch=8)
    packed = first_loss(
        tiny_recipe, tiny_release, tmp_path / "packed", packing=True, batch=1, micro_batch=1, max_tokens=4096
    )
    assert packed == pytest.approx(apart, abs=2e-4)


@pytest.mark.system
def test_steps_of_several_passes_have_the_mean_loss_of_these(
    tiny_recipe: Path, make_example: Callable[..., Example], tmp_path: Path
) -> None:
    """transformers doesn't divide a loss that knows the number of items; ours must do it itself."""
    recipe = load(tiny_recipe, {"objective": "ranking", "batch": 4, "micro_batch": 2, "epochs": 1})
    tokenizer = base.load_tokenizer(recipe)
    made, _ = rows.encode([make_example(n) for n in range(4)], tokenizer, recipe)
    logged = train_one_step(recipe, tokenizer, made, tmp_path / "two passes")
    halves = [
        train_one_step(
            load(tiny_recipe, {"objective": "ranking", "batch": 2, "epochs": 1}), tokenizer, half, out
        )
        for half, out in ((made[:2], tmp_path / "first"), (made[2:], tmp_path / "second"))
    ]
    assert logged == pytest.approx(sum(halves) / 2, abs=1e-4)


def train_one_step(recipe: Recipe, tokenizer: object, made: list[Row], out: Path) -> float:
    out.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TRL, PEFT and torch about each other
        trainer = sft._trainer(recipe, out, tokenizer, made, [], [])  # type: ignore[arg-type]
        trainer.train()
    return float(trainer.state.log_history[0]["loss"])
