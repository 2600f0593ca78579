"""The measure finds what it is there to find: a planted shortcut, and none where there is none."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from securetag.datasets.releases.baselines import code, majority_share, score_lookups, score_word_counts
from securetag.records import Construction, Example, Message, Origin, Task


def row(number: int, label: str, split: str, *, line: str = "run(x)", **parts: Any) -> Example:
    axis = parts.pop("axis", None)
    example = Example.of(
        task=Task.TRIAGE,
        messages=[
            Message("system", "Say."),
            Message("user", f"CWE-89 SQL, line 2\n1 x = get({number})\n2 {line}"),
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


def rows(make: Callable[[str, random.Random], dict[str, Any]], n: int = 200) -> list[Example]:
    rng = random.Random(0)
    found = []
    for number in range(n):
        label = "true_positive" if number % 2 else "false_positive"
        split = "test" if number % 5 == 0 else "train"
        axis = "in_distribution" if split == "test" else None
        found.append(row(number, label, split, axis=axis, **make(label, rng)))
    return found


def test_a_part_that_tells_the_label_is_found() -> None:
    told = score_lookups(rows(lambda label, _: {"guard": label}))
    assert told["guard"].accuracy == 1.0
    assert abs(told["sink"].accuracy - 0.5) < 0.01
    assert told["guard"].majority == 0.5


def test_a_length_that_tells_the_label_is_found() -> None:
    told = score_lookups(
        rows(lambda label, _: {"line": "run(x)" + " " * (60 if label == "true_positive" else 0)})
    )
    assert told["length"].accuracy == 1.0
    assert told["lines"].accuracy == 0.5


def test_words_that_tell_the_label_are_found_on_the_axis_where_they_do() -> None:
    def make(label: str, _: random.Random) -> dict[str, Any]:
        return {"line": "run(escape(x))" if label == "false_positive" else "run(x)"}

    known = rows(make)
    turned = [  # the same words mean the opposite on another axis
        msgspec.structs.replace(
            one,
            axis="unseen_guard",
            label="true_positive" if one.label == "false_positive" else "false_positive",
        )
        for one in known
        if one.split == "test"
    ]
    found = score_word_counts([*known, *turned])
    assert found["in_distribution"].accuracy == 1.0
    assert found["unseen_guard"].accuracy == 0.0


def test_random_labels_are_worth_nothing() -> None:
    found = score_lookups(rows(lambda _, rng: {"guard": rng.choice("abc")}, n=2000))
    assert abs(found["guard"].accuracy - 0.5) < 0.08


def test_too_few_rows_say_nothing() -> None:
    assert score_word_counts(rows(lambda label, _: {}, n=20)) == {}
    assert score_lookups([]) == {}
    assert majority_share([]) == 0.0


def test_the_code_is_read_without_its_line_numbers() -> None:
    assert code(row(7, "true_positive", "train")) == "x = get(7)\nrun(x)"
