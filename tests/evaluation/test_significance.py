"""Known values, and what must hold of any interval and any paired test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.evaluation.significance import bootstrap, mcnemar
from securetag.system.intervals import wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    ids=["81 of 263", "15 of 148", "0 of 20", "1 of 29"],
)
def test_wilson_known_values(hits: int, n: int, low: float, high: float) -> None:
    interval = wilson(hits, n)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_wilson_of_nothing_knows_nothing() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("hits", "n"), [(-1, 3), (4, 3), (1, 0)], ids=["negative", "more than all", "of none"]
)
def test_wilson_refuses_what_is_no_proportion(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(hits, n)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_its_estimate_and_is_symmetric(drawn: tuple[int, int]) -> None:
    hits, n = drawn
    interval, mirrored = wilson(hits, n), wilson(n - hits, n)
    assert 0 <= interval.low <= hits / n <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-9)
    wider = wilson(hits, n, confidence=0.99)
    assert wider.low <= interval.low
    assert interval.high <= wider.high


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    # 2 · Σ C(12, 0..2) / 2¹² and so on, by hand.
    [(10, 2, 158 / 4096), (2, 10, 158 / 4096), (5, 0, 0.0625), (6, 0, 0.03125), (0, 0, 1.0), (7, 7, 1.0)],
    ids=["10 gained", "10 lost", "5 of 5", "6 of 6", "none", "equal"],
)
def test_mcnemar_known_values(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == pytest.approx(p)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_symmetric_and_a_probability(gained: int, lost: int) -> None:
    p = mcnemar(gained, lost)
    assert 0 <= p <= 1
    assert p == pytest.approx(mcnemar(lost, gained))


def _mean(counts: np.ndarray) -> np.ndarray:
    return counts[:, 1] / counts[:, 0]


rows = st.lists(
    st.tuples(st.sampled_from([f"g{i}" for i in range(9)]), st.integers(-1, 1)), min_size=1, max_size=60
)


@settings(max_examples=40, deadline=None)
@given(rows, st.integers(0, 99))
def test_bootstrap_contains_its_estimate_is_seeded_and_antisymmetric(
    drawn: list[tuple[str, int]], seed: int
) -> None:
    groups = [group for group, _ in drawn]
    cells = [[1.0, float(value)] for _, value in drawn]
    value, bounds, p = bootstrap(groups, cells, _mean, seed=seed, resamples=200)

    assert bounds.low <= value <= bounds.high
    assert 0 < p <= 1
    assert (value, bounds, p) == bootstrap(groups[::-1], cells[::-1], _mean, seed=seed, resamples=200)
    flipped = bootstrap(groups, [[1.0, -cell] for _, cell in cells], _mean, seed=seed, resamples=200)
    assert flipped[0] == pytest.approx(-value)
    assert flipped[1].low == pytest.approx(-bounds.high)
    assert flipped[2] == p


def test_bootstrap_agrees_with_theory_where_rows_are_independent() -> None:
    random = np.random.default_rng(3)
    values = (random.random(400) < 0.3).astype(float)
    _, bounds, p = bootstrap([str(i) for i in range(400)], [[1.0, v] for v in values], _mean)
    half = 1.96 * float(values.std()) / 20
    assert bounds.low == pytest.approx(values.mean() - half, abs=0.008)
    assert bounds.high == pytest.approx(values.mean() + half, abs=0.008)
    assert p < 0.01


def test_bootstrap_of_clusters_is_wider_than_of_rows() -> None:
    """Forty rows in four groups that agree with one another are four facts, not forty."""
    cells = [[1.0, float(group % 2)] for group in range(4) for _ in range(10)]
    clustered = bootstrap([str(i // 10) for i in range(40)], cells, _mean)[1]
    independent = bootstrap([str(i) for i in range(40)], cells, _mean)[1]
    assert clustered.high - clustered.low > 2 * (independent.high - independent.low)


def test_bootstrap_of_no_difference_is_no_evidence() -> None:
    assert bootstrap(["a", "b"], [[1.0, 0.0], [1.0, 0.0]], _mean)[2] == 1.0
    with pytest.raises(ValueError, match="needs rows"):
        bootstrap([], [], _mean)
