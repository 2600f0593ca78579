"""The mix: shares by tier, equal turns by source, limits by task; the order does not matter."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.datasets.drops import DropReason
from securetag.datasets.knowledge.mix import Mix, choose_rows, default_mix, load_mix
from securetag.errors import SettingsError
from securetag.records import Example, Message, Origin, Task

TIERS = {"a": "core", "b": "core", "c": "extended", "d": "hf"}
EVEN = Mix(tiers={"core": 0.5, "extended": 0.3, "hf": 0.2}, tasks={}, languages={"en": 1.0, "es": 1.0})


def row(source: str, number: int, task: Task = Task.QA, lang: str = "en") -> Example:
    return Example.of(
        task=task,
        messages=[Message("user", f"{source} {number}?"), Message("assistant", f"answer {number}")],
        lang=lang,
        licence="MIT",
        group=f"{source}/{number}",
        origin="template",
        origins=[Origin(record_id="r")],
        source=source,
    )


def rows(**counts: int) -> list[Example]:
    return [row(source, n) for source, count in counts.items() for n in range(count)]


def by_source(examples: list[Example]) -> dict[str, int]:
    return dict(Counter(example.source for example in examples))


def test_tiers_have_their_shares_and_sources_are_balanced() -> None:
    kept, drops = choose_rows(rows(a=500, b=500, c=500, d=500), EVEN, max_rows=200, tiers=TIERS, seed=0)
    assert by_source(kept) == {"a": 50, "b": 50, "c": 60, "d": 40}
    assert sum(drop.n for drop in drops) == 1800
    assert {drop.reason for drop in drops} == {DropReason.MIX_SHARE}


def test_the_unfilled_share_of_a_tier_goes_to_the_others() -> None:
    kept, _ = choose_rows(rows(a=500, c=10, d=500), EVEN, max_rows=200, tiers=TIERS, seed=0)
    assert len(kept) == 200
    counts = by_source(kept)
    assert counts["c"] == 10
    assert counts["a"] / counts["d"] == pytest.approx(0.5 / 0.2, rel=0.15)


def test_a_weight_applies_within_a_tier_and_zero_drops_the_source() -> None:
    heavy = Mix(tiers={"core": 1.0}, tasks={}, sources={"a": 3, "d": 0}, languages={"en": 1})
    kept, drops = choose_rows(rows(a=500, b=500, d=5), heavy, max_rows=100, tiers=TIERS, seed=0)
    assert by_source(kept) == {"a": 75, "b": 25}
    assert {drop.source: drop.n for drop in drops if drop.reason == DropReason.MIX_WEIGHT} == {"d": 5}


def test_no_task_exceeds_its_share() -> None:
    candidates = [row("a", n, Task.QA) for n in range(300)] + [row("a", n, Task.MAPPING) for n in range(300)]
    capped = Mix(tiers={"core": 1.0}, tasks={Task.QA: 0.25}, languages={"en": 1})
    kept, _ = choose_rows(candidates, capped, max_rows=200, tiers=TIERS, seed=0)
    assert Counter(example.task for example in kept) == {Task.QA: 50, Task.MAPPING: 150}


def test_a_language_without_a_weight_is_dropped() -> None:
    english = Mix(tiers={"core": 1.0}, tasks={}, languages={"en": 1})
    kept, drops = choose_rows([row("a", 1), row("a", 2, lang="de")], english, max_rows=9, tiers=TIERS, seed=0)
    assert [example.lang for example in kept] == ["en"]
    assert [drop.reason for drop in drops] == [DropReason.MIX_WEIGHT]


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 60), min_size=1),
    st.integers(0, 150),
    st.randoms(),
)
def test_the_order_does_not_matter_and_every_row_is_counted(
    counts: dict[str, int], limit: int, shuffle: random.Random
) -> None:
    candidates = rows(**counts)
    kept, drops = choose_rows(candidates, EVEN, max_rows=limit, tiers=TIERS, seed=1)
    assert len(kept) + sum(drop.n for drop in drops) == len(candidates)
    assert len(kept) == min(limit, len(candidates))
    shuffled = list(candidates)
    shuffle.shuffle(shuffled)
    assert choose_rows(shuffled, EVEN, max_rows=limit, tiers=TIERS, seed=1) == (kept, drops)


def test_the_default_mix_is_valid_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    assert sum(default_mix().tiers.values()) == pytest.approx(1.0)
    (tmp_path / "mix.yaml").write_text("tiers: {core: 2}\ntasks: {}\nlanguages: {en: 1}\n")
    with pytest.raises(SettingsError, match=r"tiers"):
        load_mix(tmp_path / "mix.yaml")
    with pytest.raises(SettingsError):
        load_mix(tmp_path / "none.yaml")
