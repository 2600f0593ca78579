"""The saved arithmetic changes nothing: loss and gradient equal TRL's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from securetag.records import Example, Task
from securetag.training import base, compute_savings, objective, rows, sft
from securetag.training.recipe import load
from securetag.training.rows import IGNORED, Row

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from trl import SFTTrainer

    Trained = tuple[SFTTrainer, Callable[..., dict[str, Tensor]], list[Row]]


@pytest.fixture
def trained(tiny_recipe: Path, make_example: Callable[..., Example], tmp_path: Path) -> Trained:
    """A trainer whose adapter has left zero, and the rows that it trains on."""
    import torch

    recipe = load(tiny_recipe)
    tokenizer = base.load_tokenizer(recipe)
    made, _ = rows.encode([make_example(n, padding=n % 5) for n in range(12)], tokenizer, recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TRL, PEFT and torch about each other
        trainer = sft._trainer(
            recipe, tmp_path, tokenizer, made, [], compute_savings.find_shared_prefix(made)
        )
    torch.manual_seed(1)
    for name, weights in trainer.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    return trainer, trainer.data_collator, made


def gradients(model: Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: w.grad.clone() for name, w in model.named_parameters() if w.grad is not None}


@pytest.mark.system
def test_loss_and_gradient_equal_those_of_trl(trained: Trained) -> None:
    import torch

    trainer, collate, made = trained
    batch = dict(collate([{"input_ids": r.input_ids, "labels": r.labels} for r in made[:6]]))
    assert len({len(r.input_ids) for r in made[:6]}) > 1  # so that padding is tested, too
    prefix = compute_savings.find_shared_prefix(made)
    assert len(prefix) > 30
    trainer.model.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = super(type(trainer), trainer).compute_loss(trainer.model, dict(batch))
    wanted = gradients(trainer.model, theirs)
    assert len(wanted) > 20
    for ours in ([], prefix, prefix[:20]):
        loss = compute_savings.completion_loss(trainer.model, batch, ours)
        torch.testing.assert_close(loss, theirs, rtol=1e-5, atol=1e-6)
        for name, gradient in gradients(trainer.model, loss).items():
            torch.testing.assert_close(gradient, wanted[name], rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.system
def test_a_batch_without_the_prefix_is_read_whole(trained: Trained) -> None:
    import torch

    trainer, collate, made = trained
    other = Row([5, *made[0].input_ids], [IGNORED, *made[0].labels], Task.TRIAGE)
    batch = dict(collate([{"input_ids": r.input_ids, "labels": r.labels} for r in (other, made[1])]))
    prefix = compute_savings.find_shared_prefix(made)
    with_prefix = compute_savings.completion_loss(trainer.model, batch, prefix)
    torch.testing.assert_close(with_prefix, compute_savings.completion_loss(trainer.model, batch, []))
    assert (
        compute_savings.compute_length_key(other, prefix)
        > 1000
        > compute_savings.compute_length_key(made[0], prefix)
    )


def test_the_prefix_leaves_the_seam_and_is_dropped_where_it_saves_nothing() -> None:
    same = Row(list(range(100)), [IGNORED] * 40 + list(range(40, 100)), Task.TRIAGE)
    assert compute_savings.find_shared_prefix([same, same]) == list(range(38))
    short = Row(list(range(30)), [IGNORED] * 12 + list(range(12, 30)), Task.TRIAGE)
    assert compute_savings.find_shared_prefix([short, short]) == []
    others = [Row([n] * 50, [IGNORED] * 40 + [n] * 10, Task.TRIAGE) for n in range(9)]
    assert compute_savings.find_shared_prefix([same, *others]) == []
    assert compute_savings.find_shared_prefix([same] * 9 + others) == list(range(38))


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        pytest.param(None, [4], id="no bound"),
        pytest.param(40, [4], id="all fit"),
        pytest.param(19, [2, 1, 1], id="neighbors that fit"),
        pytest.param(8, [1, 1, 1, 1], id="a row beyond the bound is alone"),
    ],
)
def test_a_micro_batch_is_split_by_tokens(max_tokens: int | None, expected: list[int]) -> None:
    import torch

    lengths = [5, 7, 10, 9]
    mask = torch.tensor([[1] * length + [0] * (10 - length) for length in lengths])
    inputs = {"input_ids": torch.arange(40).reshape(4, 10), "labels": mask.clone(), "attention_mask": mask}
    parts = compute_savings.split_rows(inputs, max_tokens)
    assert [len(part["input_ids"]) for part in parts] == expected
    kept = [row[row_mask == 1] for part in parts for row, row_mask in zip(*_rows(part), strict=True)]
    assert [row.tolist() for row in kept] == [
        row[:length].tolist() for row, length in zip(inputs["input_ids"], lengths, strict=True)
    ]


def _rows(part: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return part["input_ids"], part["attention_mask"]


@pytest.mark.system
def test_parts_of_a_micro_batch_have_its_loss_and_gradient(trained: Trained) -> None:
    import torch

    trainer, collate, made = trained
    batch = dict(collate([{"input_ids": r.input_ids, "labels": r.labels} for r in made[:8]]))
    tokens = objective.find_verdict_tokens(made)
    trainer.model.train()

    def losses(max_tokens: int | None) -> list[Tensor]:
        def read(part: dict[str, Tensor]) -> objective.Part:
            return objective.measure_part(compute_savings.score_completions(trainer.model, part, []), tokens)

        ranking = objective.verdict_loss(compute_savings.read_in_parts(read, batch, max_tokens), 0.1)
        return [ranking, compute_savings.completion_loss(trainer.model, batch, [], max_tokens=max_tokens)]

    bound = 2 * batch["input_ids"].shape[1]
    assert len(compute_savings.split_rows(batch, bound)) >= 4
    for whole, split in zip(losses(None), losses(bound), strict=True):
        torch.testing.assert_close(split, whole, rtol=1e-5, atol=1e-6)
        expected = gradients(trainer.model, whole)
        for name, gradient in gradients(trainer.model, split).items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6, msg=name)
