"""The mix: no tier, task, source or language has more than its share of what is taken, in whatever order."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.datasets.drops import DropReason
from securetag.datasets.knowledge.mix import MIN_TAKEN, Mix, choose_rows, default_mix, load_mix, measure_mix
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


def test_tiers_advance_by_their_shares_and_sources_are_balanced() -> None:
    kept, drops = choose_rows(rows(a=500, b=500, c=500, d=500), EVEN, max_rows=200, tiers=TIERS, seed=0)
    assert by_source(kept) == {"a": 50, "b": 50, "c": 60, "d": 40}
    assert sum(drop.n for drop in drops) == 1800
    assert {drop.reason for drop in drops} == {DropReason.MIX_SHARE}


def test_a_share_is_one_of_what_is_taken_and_not_of_what_was_asked_for() -> None:
    half = Mix(tiers={"core": 0.5}, tasks={}, languages={"en": 1})
    kept, _ = choose_rows(rows(a=500, c=100), half, max_rows=10_000, tiers=TIERS, seed=0)
    # 200 of 600 are fewer than half: the limit is widened until 300 are taken, no further.
    counts = by_source(kept)
    assert counts["c"] == 100
    assert counts["a"] / len(kept) <= 0.5 * 1.1**4
    assert len(kept) >= 300
    enough, _ = choose_rows(rows(a=500, c=300), half, max_rows=10_000, tiers=TIERS, seed=0)
    assert by_source(enough) == {"a": 300, "c": 300}


@pytest.mark.parametrize("kind", ["tier", "task", "source", "language"])
def test_every_kind_of_share_holds(kind: str) -> None:
    limits = {
        "tier": Mix(tiers={"core": 0.3}, tasks={}, languages={"en": 1, "es": 1}),
        "task": Mix(tiers={}, tasks={Task.MAPPING: 0.3}, languages={"en": 1, "es": 1}),
        "source": Mix(tiers={}, tasks={}, languages={"en": 1, "es": 1}, sources={"a": 0.3}),
        "language": Mix(tiers={}, tasks={}, languages={"en": 1, "es": 0.3}),
    }
    many = [row("a", n, Task.MAPPING, "es") for n in range(150)]
    others = [row("c", n) for n in range(150)]
    kept, _ = choose_rows(many + others, limits[kind], max_rows=1_000, tiers=TIERS, seed=0)
    assert by_source(kept) == {"a": 64, "c": 150}
    shares = [
        share for share in measure_mix(kept, limits[kind], TIERS) if share.kind == kind and share.limit < 1
    ]
    assert [share.share <= share.limit for share in shares] == [True]


def test_one_source_alone_is_taken_whole() -> None:
    kept, drops = choose_rows(rows(c=232), default_mix(), max_rows=1_000, tiers=TIERS, seed=0)
    assert (len(kept), drops) == (232, [])


def test_a_weight_applies_within_a_tier_and_zero_drops_the_source() -> None:
    heavy = Mix(tiers={}, tasks={}, weights={"a": 3, "d": 0}, languages={"en": 1})
    kept, drops = choose_rows(rows(a=500, b=500, d=5), heavy, max_rows=100, tiers=TIERS, seed=0)
    assert by_source(kept) == {"a": 75, "b": 25}
    assert {drop.source: drop.n for drop in drops if drop.reason == DropReason.MIX_WEIGHT} == {"d": 5}


def test_a_language_without_a_share_is_dropped() -> None:
    english = Mix(tiers={}, tasks={}, languages={"en": 1})
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
    assert MIN_TAKEN * min(limit, len(candidates)) <= len(kept) <= limit
    shuffled = list(candidates)
    shuffle.shuffle(shuffled)
    assert choose_rows(shuffled, EVEN, max_rows=limit, tiers=TIERS, seed=1) == (kept, drops)


def test_the_default_mix_is_valid_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    # Where every tier has enough rows, as many are taken as were asked for.
    for shares in (default_mix().tiers, default_mix().tasks, default_mix().languages):
        assert sum(shares.values()) >= 1.0
    (tmp_path / "mix.yaml").write_text("tiers: {core: 2}\ntasks: {}\nlanguages: {en: 1}\n")
    with pytest.raises(SettingsError, match=r"tiers"):
        load_mix(tmp_path / "mix.yaml")
    with pytest.raises(SettingsError):
        load_mix(tmp_path / "none.yaml")
