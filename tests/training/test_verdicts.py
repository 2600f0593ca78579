"""The token that tells the verdict is found, and a model is judged by it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from securetag.records import Example, Message, Task
from securetag.training import base, rows, verdicts
from securetag.training.recipe import load
from securetag.training.rows import IGNORED


def test_the_deciding_token_is_where_the_other_verdict_differs(
    tiny_recipe: Path, make_example: Callable[..., Example]
) -> None:
    recipe = load(tiny_recipe)
    tokenizer = base.load_tokenizer(recipe)
    found, _ = rows.encode([make_example(n) for n in range(6)], tokenizer, recipe)
    for number, row in enumerate(found):
        assert row.verdict_index is not None
        assert row.labels[row.verdict_index] != IGNORED
        before = tokenizer.decode(row.input_ids[: row.verdict_index])
        rest = tokenizer.decode(row.input_ids[row.verdict_index :])
        # The first letter may be a token with its neighbors, but what differs begins with the verdict.
        assert '"verdict":"' in before + rest[:1]
        verdict = f"{'false' if number % 2 else 'true'}_positive"
        assert (before + rest).endswith(f'{{"verdict":"{verdict}","evidence":[2,3]}}<|im_end|>')
        assert rest.startswith((verdict, f'"{verdict}'))


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
    assert row.verdict_index is None
    assert set(verdicts.measure_verdicts(None, [row]).values()) == {None}


def test_a_model_that_always_says_one_verdict_is_right_on_half(
    tiny_recipe: Path, make_example: Callable[..., Example]
) -> None:
    import torch

    recipe = load(tiny_recipe)
    tokenizer = base.load_tokenizer(recipe)
    made, _ = rows.encode([make_example(n) for n in range(8)], tokenizer, recipe)
    said = made[0].input_ids[made[0].verdict_index or 0]

    class Stubborn(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, input_ids: torch.Tensor, logits_to_keep: int) -> object:
            logits = torch.zeros(1, logits_to_keep, len(tokenizer))
            logits[..., said] = 1.0
            return type("Output", (), {"logits": logits})

    measured = verdicts.measure_verdicts(Stubborn(), made)
    assert measured == {"validation_verdicts_right": 0.5, "validation_auc": 0.5}


def test_auc_is_the_share_of_pairs_in_order() -> None:
    assert verdicts.compute_auc([3.0, 1.0], [2.0, 1.0]) == (1 + 1 + 0 + 0.5) / 4
    assert verdicts.compute_auc([], [1.0]) is None
