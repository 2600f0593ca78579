"""A vocabulary that llama.cpp's converter doesn't list is recognized by its pattern, or refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from securetag.serving.converter import PATTERNS, _decide_by_pattern, find_pre_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def split(pattern: str) -> list[Any]:
    from tokenizers import Regex, pre_tokenizers

    return [
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]


def make_tokenizer(*steps: Any) -> Tokenizer:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE())
    if steps:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(steps)) if len(steps) > 1 else steps[0]
    return tokenizer


def cases() -> dict[str, tuple[Tokenizer, str | None]]:
    from tokenizers import pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return {
        **{name: (make_tokenizer(*split(pattern)), name) for pattern, name in PATTERNS.items()},
        "smollm": (make_tokenizer(pre_tokenizers.Digits(individual_digits=True), byte_level), "smollm"),
        "digits together": (make_tokenizer(pre_tokenizers.Digits(), byte_level), None),
        "gpt-2": (make_tokenizer(byte_level), "gpt-2"),
        "another pattern": (make_tokenizer(*split(r"\w+")), None),
        "another step": (make_tokenizer(pre_tokenizers.Whitespace()), None),
        "none": (make_tokenizer(), None),
    }


@pytest.mark.parametrize("case", sorted(cases()))
def test_a_pre_tokenizer_is_recognized_by_its_pattern_or_not_at_all(case: str) -> None:
    tokenizer, name = cases()[case]
    assert find_pre_tokenizer(json.loads(tokenizer.to_str())) == name


class Loaded:
    """As transformers holds a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.backend_tokenizer = tokenizer


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_the_converters_own_list_comes_first_and_its_refusal_stays(pattern: str) -> None:
    def refuse(model: object, tokenizer: object) -> str:
        raise NotImplementedError("not recognized")

    usual: Any = Loaded(make_tokenizer(*split(pattern)))
    unknown: Any = Loaded(make_tokenizer(*split(r"\w+")))
    assert _decide_by_pattern(lambda model, tokenizer: "listed")(None, usual) == "listed"
    assert _decide_by_pattern(refuse)(None, usual) == PATTERNS[pattern]
    with pytest.raises(NotImplementedError, match="not recognized"):
        _decide_by_pattern(refuse)(None, unknown)
