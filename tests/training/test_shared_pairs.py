"""Pairs that are read as one sequence give every row the scores and the gradient of its own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from securetag.training import compute_savings
from securetag.training.rows import IGNORED
from securetag.training.shared_pairs import join_pairs

CONFIG = LlamaConfig(
    vocab_size=50,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    attn_implementation="sdpa",
)


def make_batch(rows: list[tuple[list[int], int]]) -> dict[str, torch.Tensor]:
    """Pad rows of (tokens, how many of the last are labeled) to one micro-batch."""
    width = max(len(ids) for ids, _ in rows)
    padding = [width - len(ids) for ids, _ in rows]
    labels = [[IGNORED] * (len(ids) - count) + ids[len(ids) - count :] for ids, count in rows]
    return {
        "input_ids": torch.tensor([ids + [0] * more for (ids, _), more in zip(rows, padding, strict=True)]),
        "labels": torch.tensor([row + [IGNORED] * more for row, more in zip(labels, padding, strict=True)]),
        "attention_mask": torch.tensor(
            [[1] * len(ids) + [0] * more for (ids, _), more in zip(rows, padding, strict=True)]
        ),
    }


TOKENS = st.lists(st.integers(1, 49), min_size=4, max_size=9)
PAIRS = st.lists(
    st.tuples(st.lists(st.integers(1, 49), min_size=6, max_size=20), TOKENS, TOKENS), min_size=1, max_size=3
)


@pytest.mark.system
@settings(max_examples=30, deadline=None)
@given(PAIRS)
def test_a_joined_pair_has_the_scores_and_gradient_of_its_rows(
    pairs: list[tuple[list[int], list[int], list[int]]],
) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(CONFIG)
    batch = make_batch([(head + tail, 2) for head, *tails in pairs for tail in tails])
    ours = compute_savings.completion_loss(model, batch, [])
    ours.backward()
    gradient = {
        name: weights.grad.clone() for name, weights in model.named_parameters() if weights.grad is not None
    }
    model.zero_grad(set_to_none=True)
    theirs = model(**batch).loss
    theirs.backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for name, weights in model.named_parameters():
        torch.testing.assert_close(gradient[name], weights.grad, rtol=1e-3, atol=1e-6, msg=name)


def test_a_pair_is_read_in_fewer_tokens_and_labels_stay_with_them() -> None:
    head = list(range(1, 13))
    joined = join_pairs(make_batch([([*head, 20, 21, 30, 31], 2), ([*head, 22, 32, 33], 2)]))
    assert joined is not None
    assert joined["input_ids"].tolist() == [[*head, 20, 21, 30, 31, 22, 32, 33]]
    assert joined["position_ids"].tolist() == [[*range(16), 12, 13, 14]]
    assert joined["labels"][0].tolist() == [*[IGNORED] * 14, 30, 31, IGNORED, 32, 33]
    sees = joined["attention_mask"][0, 0]
    assert sees[16].tolist() == [True] * 12 + [False] * 4 + [True] + [False] * 2


@pytest.mark.parametrize(
    "rows",
    [
        [([1, 2, 3, 4], 1)],
        [([1, 2, 3, 4, 5, 6], 1), ([9, 2, 3, 4, 5, 6], 1)],
        [([1, 2, 3, 4, 5, 6], 5), ([1, 2, 3, 4, 5, 7], 5)],
    ],
    ids=["one row", "nothing in common", "all of it labeled"],
)
def test_rows_that_share_little_stay_apart(rows: list[tuple[list[int], int]]) -> None:
    assert join_pairs(make_batch(rows)) is None
