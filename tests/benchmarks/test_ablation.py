"""The ablation compares like with like: the same triage rows, tiers of one size, differences by seed."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.ablation import compare
from benchmarks.ablation.rows import MAX_CHARS, choose_part, list_wrong_answers
from securetag.records import Example, Message, Task

TIERS = {"cwe": "core", "cve": "extended", "chat": "hf"}


def make_row(
    number: int, source: str = "cwe", answer: str = "an answer", pair_id: str | None = None
) -> Example:
    row = Example.of(
        task=Task.TRIAGE if pair_id else Task.QA,
        messages=[Message("user", f"{source} {number}?"), Message("assistant", answer)],
        lang="en",
        licence="MIT",
        group="g",
        origin="template",
        origins=[],
        source=source,
        pair_id=pair_id,
    )
    return msgspec.structs.replace(row, split="train")


def test_every_tier_has_as_many_short_rows_and_pairs_stay_whole() -> None:
    rows = [make_row(number, source) for source in TIERS for number in range(2 if source == "chat" else 9)]
    rows += [make_row(100 + number, answer="x" * MAX_CHARS) for number in range(9)]
    rows += [make_row(number, "made", pair_id=f"p{number // 2}") for number in range(21)]
    part = choose_part(rows, rows, TIERS, triage_rows=6, tier_rows=4)
    assert {tier: len(chosen) for tier, chosen in part.knowledge.items()} == {"core": 4, "extended": 4}
    assert all(len(row.messages[-1].content) < MAX_CHARS for row in part.knowledge["core"])
    assert len(part.triage) == 6
    assert len({row.pair_id for row in part.triage}) == 3
    assert choose_part(rows[::-1], rows, TIERS, triage_rows=6, tier_rows=4).knowledge == part.knowledge


def test_wrong_answers_are_of_similar_length_and_never_right() -> None:
    question = make_row(0, answer="four")
    others = [
        make_row(1, answer="four"),
        make_row(2, answer="a much longer answer"),
        make_row(3, answer="five"),
    ]
    assert list_wrong_answers(question, [question, *others], 1) == ["five"]
    assert list_wrong_answers(question, others) == ["five", "a much longer answer"]


@pytest.mark.parametrize(
    ("variant", "whole", "mean", "interval"),
    [
        pytest.param([0.5, 0.6, 0.7], [0.5, 0.5, 0.5], 0.1, "-0.148 to +0.348", id="three seeds"),
        pytest.param([0.6, 0.7], [0.5, 0.6], 0.1, "+0.100 to +0.100", id="the same each time"),
        pytest.param([0.6], [0.5], 0.1, "one seed: no interval", id="one seed"),
    ],
)
def test_differences_are_by_seed(
    variant: list[float], whole: list[float], mean: float, interval: str
) -> None:
    difference, words = compare(variant, whole)
    assert difference == pytest.approx(mean)
    assert words == interval
