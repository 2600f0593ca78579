"""The token that tells the verdict is found, counts as much as it should, and nothing else changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securetag.records import Example, Message, Task
from securetag.training import base, rows, sft, thrift, weights
from securetag.training.recipe import load
from securetag.training.rows import IGNORED, Row


def test_the_deciding_token_is_where_the_other_verdict_differs(
    tiny_recipe: Path, make_example: Callable[..., Example]
) -> None:
    recipe = load(tiny_recipe)
    tokenizer = base.load_tokenizer(recipe)
    found, _ = rows.encode([make_example(n) for n in range(6)], tokenizer, recipe)
    for number, row in enumerate(found):
        assert row.decides is not None
        assert row.labels[row.decides] != IGNORED
        before = tokenizer.decode(row.input_ids[: row.decides])
        rest = tokenizer.decode(row.input_ids[row.decides :])
        # The first letter may be a token with its neighbours, but what differs begins with the verdict.
        assert '"verdict":"' in before + rest[:1]
        assert (before + rest).endswith(
            f'"verdict":"{"false" if number % 2 else "true"}_positive"}}<|im_end|>'
        )
        assert rest.startswith(("f", '"f') if number % 2 else ("t", '"t'))


def test_a_row_that_tells_no_verdict_has_no_deciding_token(
    tiny_recipe: Path, make_example: Callable[..., Example]
) -> None:
    recipe = load(tiny_recipe)
    tokenizer = base.load_tokenizer(recipe)
    answer = msgspec.structs.replace(
        make_example(0),
        task=Task.QA,
        messages=[Message("user", "What is it?"), Message("assistant", "A door.")],
    )
    (row,), _ = rows.encode([answer], tokenizer, recipe)
    assert row.decides is None
    assert weights.verdicts_right(None, [row]) is None


def test_weights_average_one_over_what_is_labelled() -> None:
    triage = Row(list(range(30)), [IGNORED] * 20 + list(range(20, 30)), 27)
    knowledge = Row(list(range(60)), [IGNORED] * 10 + list(range(10, 60)))
    one, other = weights.token_weights([triage, knowledge], 20.0)
    assert one[:20] == [0.0] * 20
    assert other[:10] == [0.0] * 10
    assert sum(one) + sum(other) == pytest.approx(60)
    assert one[27] == pytest.approx(20 * one[20])
    assert other[30] == one[20]
    # The verdict and the nine tokens around it: before, a sixth of what the knowledge row counts.
    assert sum(one) == pytest.approx(29 / 50 * sum(other))
    assert weights.token_weights([triage], 1.0) == [[0.0] * 20 + [1.0] * 10]


def trainer_of(recipe: Path, made: list[Row], folder: Path, **fields: Any) -> Any:
    import torch

    changed = load(recipe, {"verdict_weight": 12.0, **fields})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TRL, PEFT and torch about each other
        trainer = sft._trainer(changed, folder, base.load_tokenizer(changed), made, [])
    torch.manual_seed(1)
    for name, part in trainer.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(part, std=0.1)
    return trainer


def test_both_ways_to_compute_it_agree_and_it_is_the_weighted_mean(
    tiny_recipe: Path, make_example: Callable[..., Example], tmp_path: Path
) -> None:
    import torch
    from torch.nn import functional

    recipe = load(tiny_recipe)
    made, _ = rows.encode(
        [make_example(n, padding=n % 5) for n in range(12)], base.load_tokenizer(recipe), recipe
    )
    thrifty = trainer_of(tiny_recipe, made, tmp_path, thrift=True)
    plain = trainer_of(tiny_recipe, made, tmp_path)
    batch = dict(thrifty.data_collator(list(thrifty.train_dataset)[:6]))
    assert len(thrift.shared_prefix(made)) > 30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = plain.model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
        ours = thrifty.compute_loss(thrifty.model, dict(batch))
        theirs = plain.compute_loss(plain.model, dict(batch))
    labels = batch["labels"][:, 1:]
    each = functional.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none")
    wanted = (each * batch["weights"][:, 1:].flatten()).sum() / (labels != IGNORED).sum()
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(theirs, wanted, rtol=1e-5, atol=1e-6)
    assert abs(wanted - each.sum() / (labels != IGNORED).sum()).item() > 0.01


def test_a_model_that_always_says_one_verdict_is_right_on_half(
    tiny_recipe: Path, make_example: Callable[..., Example]
) -> None:
    import torch

    recipe = load(tiny_recipe)
    tokenizer = base.load_tokenizer(recipe)
    made, _ = rows.encode([make_example(n) for n in range(8)], tokenizer, recipe)
    said = made[0].input_ids[made[0].decides or 0]

    class Stubborn(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, input_ids: Any, logits_to_keep: int) -> Any:
            logits = torch.zeros(1, logits_to_keep, len(tokenizer))
            logits[..., said] = 1.0
            return type("Output", (), {"logits": logits})

    assert weights.verdicts_right(Stubborn(), made) == 0.5
