"""Fit a calibration and a threshold on validation rows, for a stated bound on lost true positives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from securetag.calibration import Bound, Calibration
from securetag.errors import InputError
from securetag.records import Label

#: Rows from which on a curve without a form is fitted; with fewer it follows chance.
MIN_ISOTONIC_ROWS = 1_000
CONFIDENCE = 0.95


class Scored(NamedTuple):
    """A validation row: the model's score (`securetag.calibration.read_margin`) and the truth."""

    margin: float
    label: Label


def fit_calibration(
    rows: Sequence[Scored], *, model_id: str, prompt_version: str, max_lost: float, population: str
) -> Calibration:
    """Fit probability and threshold on `rows`; at most `max_lost` of true positives may be dismissed.

    The threshold is an order statistic of the true positives' scores: as many of them may be above it as
    the one-sided 95 % Clopper-Pearson bound allows. With too few (under 59 for 5 %, 149 for 2 %) there is no
    threshold, and such a model dismisses nothing. Raises InputError where a label is missing.
    """
    import numpy as np

    is_false = np.array([row.label == "false_positive" for row in rows], dtype=bool)
    margins = np.array([row.margin for row in rows], dtype=float)
    if is_false.all() or not is_false.any():
        raise InputError(
            f"a calibration needs rows of both labels, and {len(rows)} rows have one",
            hint="Take a release with more triage rows.",
        )
    temperature, knots = 1.0, []
    if len(rows) >= MIN_ISOTONIC_ROWS:
        knots = _fit_isotonic(margins, is_false)
    else:
        temperature = _fit_temperature(margins, is_false)
    draft = Calibration(
        model_id=model_id,
        prompt_version=prompt_version,
        method="isotonic" if knots else "temperature",
        temperature=temperature,
        knots=knots,
        threshold=None,
        bound=Bound(target=max_lost, lost=0, of=0, upper=1.0, population=population),
        rows=len(rows),
    )
    probabilities = [draft.compute_probability(row.margin) for row in rows]
    true = [p for p, row in zip(probabilities, rows, strict=True) if row.label == "true_positive"]
    threshold = choose_threshold(true, sorted(set(probabilities)), max_lost)
    lost = sum(p >= threshold for p in true) if threshold is not None else 0
    bound = Bound(
        target=max_lost, lost=lost, of=len(true), upper=bound_share(lost, len(true)), population=population
    )
    fields = {name: getattr(draft, name) for name in draft.__struct_fields__}
    return Calibration(**{**fields, "threshold": threshold, "bound": bound})


def bound_share(lost: int, of: int) -> float:
    """Return the one-sided 95 % Clopper-Pearson upper bound of a share: `lost` of `of`."""
    from scipy.stats import binomtest

    if of == 0:
        return 1.0
    interval = binomtest(lost, of, alternative="less").proportion_ci(CONFIDENCE, method="exact")
    return float(interval.high)


def choose_threshold(true: Sequence[float], levels: Sequence[float], max_lost: float) -> float | None:
    """Return the lowest threshold that loses few enough of `true`, or None.

    `true` are the probabilities of true positives, `levels` all probabilities that occur, rising. The
    threshold is between two of these, so that a served model's rounding moves no row across it.
    """
    allowed = -1
    while allowed + 1 < len(true) and bound_share(allowed + 1, len(true)) <= max_lost:
        allowed += 1
    if allowed < 0:
        return None
    # The highest true positive that must be kept.
    kept = sorted(true, reverse=True)[allowed]
    above = next((level for level in levels if level > kept), None)
    return None if above is None else (kept + above) / 2


def _fit_temperature(margins: object, is_false: object) -> float:
    """Return the temperature with the least cross-entropy, in [0.05, 20]."""
    import numpy as np
    from scipy.optimize import minimize_scalar

    signs = np.where(np.asarray(is_false), 1.0, -1.0) * np.asarray(margins)

    def cross_entropy(log_temperature: float) -> float:
        return float(np.logaddexp(0, -signs / np.exp(log_temperature)).mean())

    best = minimize_scalar(cross_entropy, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))


def _fit_isotonic(margins: object, is_false: object) -> list[tuple[float, float]]:
    """Return the ends of the levels of a rising step function with the least squared error."""
    import numpy as np
    from scipy.optimize import isotonic_regression

    scores, counts = np.unique(np.asarray(margins), return_counts=True)
    shares = np.array([np.asarray(is_false)[np.asarray(margins) == score].mean() for score in scores])
    levels = isotonic_regression(shares, weights=counts).x
    changes = np.diff(levels) > 0
    is_end = np.concatenate([[True], changes]) | np.concatenate([changes, [True]])
    return [(float(m), float(p)) for m, p in zip(scores[is_end], levels[is_end], strict=True)]
