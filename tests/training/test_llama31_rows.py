"""Rows in Llama 3.1's chat format: the whole text byte for byte, and the loss on the answer's bytes alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_shapes import LLAMA_SPECIAL, LLAMA_TEMPLATE, _make_tokenizer

from securetag.records import Example, Message, Task
from securetag.training import rows
from securetag.training.recipe import find_recipe, load

HEAD = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"


@pytest.fixture(scope="module")
def tokenizer(make_example: Callable[..., Example]) -> Any:
    texts = (message.content for number in range(4) for message in make_example(number).messages)
    names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
    made = _make_tokenizer(texts, "llama-bpe", LLAMA_SPECIAL, names)
    made.chat_template = LLAMA_TEMPLATE
    return made


def encode(tokenizer: Any, *turns: tuple[str, str]) -> tuple[str, str]:
    """The text of a row, and that of the tokens with loss."""
    example = Example.of(
        task=Task.QA,
        messages=[Message(role, content) for role, content in turns],  # type: ignore[arg-type]
        lang="en",
        licence="Apache-2.0",
        group="g",
        origin="template",
        origins=[],
        source="handbook",
    )
    recipe = load(find_recipe("llama31-8b-lora-h100"))
    (row,), dropped = rows.encode([example], tokenizer, recipe)
    assert not dropped
    taught = [label for label in row.labels if label != rows.IGNORED]
    assert row.input_ids[-len(taught) :] == taught
    return tokenizer.decode(row.input_ids), tokenizer.decode(taught)


@pytest.mark.parametrize("answer", ['{"verdict":"true_positive"}', "Año: 12 → 345678\n\n  señal 🚀", "a"])
@pytest.mark.parametrize("system", ["", "You triage findings."])
def test_a_row_is_the_published_format_and_teaches_the_answer_alone(
    tokenizer: Any, system: str, answer: str
) -> None:
    text, taught = encode(
        tokenizer, ("system", system), ("user", "CWE-89\n\tf(x)  # 1234"), ("assistant", answer)
    )
    assert text == (
        f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{HEAD}{system}<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nCWE-89\n\tf(x)  # 1234<|eot_id|>"
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{answer}<|eot_id|>"
    )
    assert taught.encode() == f"{answer}<|eot_id|>".encode()


def test_a_row_without_a_system_turn_has_the_dates_all_the_same(tokenizer: Any) -> None:
    text, taught = encode(tokenizer, ("user", "Why?"), ("assistant", "Because."))
    assert text.startswith(f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{HEAD}<|eot_id|>")
    assert text.count("<|begin_of_text|>") == 1
    assert taught == "Because.<|eot_id|>"


def test_a_row_of_two_exchanges_teaches_the_last_answer(tokenizer: Any) -> None:
    turns = [("user", "One?"), ("assistant", "First."), ("user", "Two?"), ("assistant", "Second.")]
    text, taught = encode(tokenizer, *turns)
    assert "First.<|eot_id|>" in text
    assert taught == "Second.<|eot_id|>"


def test_the_verdicts_token_is_found_in_both_profiles(
    tokenizer: Any, make_example: Callable[..., Example], tmp_path: Path
) -> None:
    recipe = load(find_recipe("llama31-8b-lora-h100"), {"profile": "compact"})
    encoded, dropped = rows.encode([make_example(0), make_example(1)], tokenizer, recipe)
    assert not dropped
    firsts = {row.label: tokenizer.decode([row.input_ids[row.verdict_index or 0]]) for row in encoded}
    assert firsts["true_positive"] != firsts["false_positive"]
    assert all((label or "").startswith(first) for label, first in firsts.items())
