"""Fitted probabilities and thresholds, on samples whose truth is known."""

from __future__ import annotations

import math
import random

import pytest

from securetag.errors import InputError
from securetag.evaluation.calibrate import Scored, bound_share, choose_threshold, fit_calibration


def sample(rng: random.Random, count: int, temperature: float = 1.0) -> list[Scored]:
    """Rows whose label has the probability that their score at `temperature` says."""
    rows = []
    for _ in range(count):
        margin = rng.gauss(0, 3)
        is_false = rng.random() < 1 / (1 + math.exp(-margin / temperature))
        rows.append(Scored(margin, "false_positive" if is_false else "true_positive"))
    return rows


def fit(rows: list[Scored], max_lost: float = 0.05):  # type: ignore[no-untyped-def]
    return fit_calibration(
        rows, model_id="m", prompt_version="compact-6", max_lost=max_lost, population="a sample"
    )


def test_the_bounds_of_the_literature() -> None:
    """0 of 59 is the least sample for 5 %, 0 of 149 for 2 %: 1 − 0.05^(1/n)."""
    assert bound_share(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert bound_share(0, 59) <= 0.05 < bound_share(0, 58)
    assert bound_share(0, 149) <= 0.02 < bound_share(0, 148)
    assert bound_share(0, 0) == bound_share(3, 3) == 1.0


def test_the_temperature_of_a_sample_is_found() -> None:
    calibration = fit(sample(random.Random(1), 900, temperature=2.5))
    assert calibration.method == "temperature"
    assert calibration.temperature == pytest.approx(2.5, rel=0.25)


def test_with_many_rows_the_curve_follows_them() -> None:
    rows = [Scored(row.margin, row.label) for row in sample(random.Random(2), 4_000)]
    calibration = fit(rows)
    assert calibration.method == "isotonic"
    for margin in (-3.0, 0.0, 3.0):
        assert calibration.compute_probability(margin) == pytest.approx(1 / (1 + math.exp(-margin)), abs=0.1)


def test_few_true_positives_allow_no_threshold() -> None:
    rows = [Scored(3.0, "false_positive")] * 50 + [Scored(-3.0, "true_positive")] * 58
    assert fit(rows).threshold is None
    rows.append(Scored(-3.0, "true_positive"))
    calibration = fit(rows)
    assert calibration.threshold is not None
    assert (calibration.bound.lost, calibration.bound.of) == (0, 59)
    assert calibration.bound.upper <= 0.05
    assert fit(rows, max_lost=0.02).threshold is None


def test_the_threshold_is_above_the_true_positives_that_must_be_kept() -> None:
    true = [0.1] * 57 + [0.6, 0.8]
    assert choose_threshold(true, [0.1, 0.6, 0.8, 0.9], 0.05) == pytest.approx(0.85)
    assert choose_threshold(true, [0.1, 0.6, 0.8], 0.05) is None
    # 100 true positives: one may be lost (upper bound 4.7 %), two may not (6.2 %).
    assert choose_threshold([*([0.1] * 98), 0.6, 0.8], [0.1, 0.6, 0.8, 0.9], 0.05) == pytest.approx(0.7)


def test_one_label_is_an_error() -> None:
    with pytest.raises(InputError, match="both labels"):
        fit([Scored(1.0, "false_positive")] * 5)


def test_the_bound_holds_in_most_samples() -> None:
    """Of thresholds fitted on 100 samples few lose more than 5 % of all true positives."""
    population = [row.margin for row in sample(random.Random(3), 4_000) if row.label == "true_positive"]
    misses = 0
    for seed in range(100):
        calibration = fit(sample(random.Random(100 + seed), 260))
        if calibration.threshold is not None:
            lost = sum(calibration.compute_probability(m) >= calibration.threshold for m in population)
            misses += lost > 0.05 * len(population)
    assert misses <= 12  # 5 % are expected; more than 12 of 100 have a chance of 0.15 % then
