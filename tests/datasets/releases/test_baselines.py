"""Baselines find a planted shortcut, and none in random labels."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from securetag.datasets.releases.baselines import (
    code,
    find_telltales,
    majority_share,
    score_lookups,
    score_word_counts,
)
from securetag.records import Construction, Example, Message, Origin, Task


def row(number: int, label: str, split: str, *, line: str = "run(x)", **parts: Any) -> Example:
    axis = parts.pop("axis", None)
    example = Example.of(
        task=Task.TRIAGE,
        messages=[
            Message("system", ""),
            Message("user", f"CWE-89\nx = get({number})\n>{line}"),
            Message("assistant", f'{{"verdict":"{label}"}}'),
        ],
        lang="en",
        licence="MIT",
        group=f"g{number}",
        origin="composition",
        origins=[Origin(record_id="r")],
        source="s",
        label=label,
        label_source="execution",  # type: ignore[arg-type]
        prompt_version="compact-6",
        construction=Construction(
            **(
                {
                    "source": "a",
                    "guard": "b",
                    "guard_family": "c",
                    "sink": "d",
                    "framework": "e",
                    "shape": "f",
                    "oracle": "o",
                }
                | parts
            )
        ),
    )
    return msgspec.structs.replace(example, split=split, axis=axis)


def rows(make: Callable[[str, random.Random], dict[str, str]], n: int = 200) -> list[Example]:
    rng = random.Random(0)
    examples = []
    for number in range(n):
        label = "true_positive" if number % 2 else "false_positive"
        split = "test" if number % 5 == 0 else "train"
        axis = "in_distribution" if split == "test" else None
        examples.append(row(number, label, split, axis=axis, **make(label, rng)))
    return examples


def test_a_part_that_predicts_the_label_scores_high() -> None:
    scores = score_lookups(rows(lambda label, _: {"guard": label}))
    assert scores["guard"].accuracy == 1.0
    assert abs(scores["sink"].accuracy - 0.5) < 0.01
    assert scores["guard"].majority == 0.5


def test_a_length_that_predicts_the_label_scores_high() -> None:
    scores = score_lookups(
        rows(lambda label, _: {"line": "run(x)" + " " * (60 if label == "true_positive" else 0)})
    )
    assert scores["length"].accuracy == 1.0
    assert scores["lines"].accuracy == 0.5


def test_words_that_predict_the_label_score_high_on_their_axis() -> None:
    def make(label: str, _: random.Random) -> dict[str, str]:
        return {"line": "run(escape(x))" if label == "false_positive" else "run(x)"}

    examples = rows(make)
    turned = [  # the same words mean the opposite on another axis
        msgspec.structs.replace(
            example,
            axis="unseen_guard",
            label="true_positive" if example.label == "false_positive" else "false_positive",
        )
        for example in examples
        if example.split == "test"
    ]
    scores = score_word_counts([*examples, *turned])
    assert scores["in_distribution"].accuracy == 1.0
    assert scores["unseen_guard"].accuracy == 0.0


def test_random_labels_score_near_chance() -> None:
    scores = score_lookups(rows(lambda _, rng: {"guard": rng.choice("abc")}, n=2000))
    assert abs(scores["guard"].accuracy - 0.5) < 0.08


def test_too_few_rows_have_no_score() -> None:
    assert score_word_counts(rows(lambda label, _: {}, n=20)) == {}
    assert score_lookups([]) == {}
    assert majority_share([]) == 0.0


def test_the_code_is_read_without_its_line_numbers() -> None:
    assert code(row(7, "true_positive", "train")) == "x = get(7)\nrun(x)"


def test_a_word_of_one_label_gives_it_away() -> None:
    """One word stands in half of the true positives and in no other row, one in all rows, one in a few."""

    def make(label: str, rng: random.Random) -> dict[str, str]:
        is_true = label == "true_positive"
        words = "both" + (" told" if is_true and rng.random() < 0.5 else "")
        return {"line": f"run(x)  {words}" + (" rare" if is_true and rng.random() < 0.05 else "")}

    (telltale,) = find_telltales(rows(make, n=400))
    assert telltale.word == "told"
    assert telltale.false == 0
    assert telltale.true > 50
    assert telltale.log_odds > 5
    assert find_telltales(rows(lambda _, rng: {"line": rng.choice(["run(a)", "run(b)"])}, n=400)) == []
