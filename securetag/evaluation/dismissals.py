"""What a model's dismissals are worth: false positives removed, true positives lost, ranking, calibration.

A finding that needs review is not dismissed: it counts as neither removed nor lost.

Ranking is the AUC of the score (`securetag.calibration.read_margin`), with an interval by bootstrap over
groups; two models on the same rows are compared within each resample.

Calibration is the expected calibration error over `BINS` bins of equally many rows (Naeini et al., AAAI
2015, with equal mass in place of equal width) and Brier's score. What could be removed at a threshold that
is chosen on these very rows favors the model: it is an upper bound, and comparable between models.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from securetag.evaluation.calibrate import bound_share
from securetag.evaluation.significance import draw_row_weights
from securetag.evaluation.suites import Row
from securetag.records import Decision

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Bins of the calibration error.
BINS = 10
#: Shares of true positives at whose loss the removable false positives are counted.
LOSSES = (0.0, 0.01, 0.02)


class Dismissals(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one suite."""

    #: Rows of each label. Ranking and calibration are of those that the model was asked about.
    true: int
    false: int
    #: True positives that were dismissed, and the one-sided 95 % Clopper-Pearson bound of their share.
    lost: int
    lost_upper: float
    #: False positives that were dismissed.
    removed: int
    #: Share of pairs in which the false positive's score is above the true positive's, with a 95 % interval;
    #: None where a label is missing or no row has a score.
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    #: Of the probability; None where a row has none.
    calibration_error: float | None = None
    brier: float | None = None
    #: Share of true positives lost (`0.01`) → false positives removed at the best threshold for these rows.
    removable: dict[str, int] = {}


class AucDifference(msgspec.Struct, frozen=True, kw_only=True):
    """By how much one model's AUC is above another's on the same rows."""

    difference: float
    #: Ends of the 90 % interval by paired bootstrap over groups: each by itself holds with 95 %.
    low: float
    high: float


def measure_dismissals(rows: Sequence[Row], *, seed: int = 0) -> Dismissals:
    """Compute every figure of one model on one suite, from rows that `apply_to_rows` has decided."""
    true = [row for row in rows if row.label == "true_positive"]
    false = [row for row in rows if row.label == "false_positive"]
    lost = sum(row.decision is Decision.FALSE_POSITIVE for row in true)
    questioned = [row for row in rows if row.is_asked]
    auc = _bootstrap_auc(questioned, seed)
    scored = [(row.p_false_positive, row.label == "false_positive") for row in questioned]
    probabilities = [(p, is_false) for p, is_false in scored if p is not None]
    is_whole = bool(questioned) and len(probabilities) == len(questioned)
    return Dismissals(
        true=len(true),
        false=len(false),
        lost=lost,
        lost_upper=bound_share(lost, len(true)),
        removed=sum(row.decision is Decision.FALSE_POSITIVE for row in false),
        auc=auc[0] if auc else None,
        auc_low=auc[1] if auc else None,
        auc_high=auc[2] if auc else None,
        calibration_error=compute_calibration_error(probabilities) if is_whole else None,
        brier=sum((p - is_false) ** 2 for p, is_false in probabilities) / len(questioned)
        if is_whole
        else None,
        removable={f"{share:.2f}": count_removable(rows, round(share * len(true))) for share in LOSSES},
    )


def compute_calibration_error(probabilities: Sequence[tuple[float, bool]], bins: int = BINS) -> float:
    """Return the mean distance of probability and frequency over bins of equally many rows, 0 to 1.

    `probabilities` are (probability of a false positive, is it one). Rows of the same probability count with
    their mean, so that their order says nothing.
    """
    tied: dict[float, list[bool]] = {}
    for p, is_false in probabilities:
        tied.setdefault(p, []).append(is_false)
    ordered = sorted((p, sum(tied[p]) / len(tied[p])) for p, _ in probabilities)
    error = 0.0
    for number in range(bins):
        part = ordered[number * len(ordered) // bins : (number + 1) * len(ordered) // bins]
        error += abs(sum(p - share for p, share in part))
    return error / len(ordered) if ordered else 0.0


def count_removable(rows: Sequence[Row], lost: int) -> int:
    """Return how many false positives score above all but `lost` of the true positives.

    A row without a score can't be dismissed.
    """
    true = sorted(row.margin for row in rows if row.label == "true_positive" and row.margin is not None)
    kept = true[-1 - lost] if len(true) > lost else float("-inf")
    return sum(row.label == "false_positive" and row.margin is not None and row.margin > kept for row in rows)


def compare_aucs(rows: Sequence[Row], others: Sequence[Row], *, seed: int = 0) -> AucDifference | None:
    """Return the AUC of `rows` less that of `others`, which are another model's rows of the same examples.

    None where a label is missing, or one of the models has no score at all.
    """
    import numpy as np

    paired = {row.id: row for row in others}
    ours = _score_aucs(rows, seed)
    theirs = _score_aucs([paired[row.id] for row in rows], seed)
    if ours is None or theirs is None:
        return None
    low, high = np.quantile(ours.resampled - theirs.resampled, [0.05, 0.95])
    value = ours.value - theirs.value
    return AucDifference(difference=value, low=min(float(low), value), high=max(float(high), value))


class _Aucs(NamedTuple):
    value: float
    #: Of resamples that hold both labels: the same ones for any scores of the same rows.
    resampled: npt.NDArray[np.float64]


def _bootstrap_auc(rows: Sequence[Row], seed: int) -> tuple[float, float, float] | None:
    """Return (AUC, low, high); None where a label is missing or no row has a score."""
    import numpy as np

    aucs = _score_aucs(rows, seed)
    if aucs is None:
        return None
    low, high = np.quantile(aucs.resampled, [0.025, 0.975])
    return aucs.value, min(float(low), aucs.value), max(float(high), aucs.value)


def _score_aucs(rows: Sequence[Row], seed: int) -> _Aucs | None:
    """Return the AUC of the rows and of resamples of whole groups; those of one label are left out.

    A row without a score can't be dismissed, so it ranks below all others. None where a label is missing or
    no row has a score.
    """
    is_false = tuple(row.label == "false_positive" for row in rows)
    if all(is_false) or not any(is_false) or all(row.margin is None for row in rows):
        return None
    lowest = min(row.margin for row in rows if row.margin is not None) - 1
    margins = tuple(lowest if row.margin is None else row.margin for row in rows)
    return _resample_aucs(margins, is_false, tuple(row.group for row in rows), seed)


@lru_cache(maxsize=64)
def _resample_aucs(
    scores: tuple[float, ...], labels: tuple[bool, ...], groups: tuple[str, ...], seed: int
) -> _Aucs:
    """Resample, once for the same rows: suites may be equal, and a model is compared with several others."""
    import numpy as np

    margins, is_false = np.array(scores, dtype=float), np.array(labels, dtype=bool)
    above = margins[is_false][:, None] - margins[~is_false][None, :]
    wins = (above > 0) + (above == 0) / 2
    values = []
    for weights in draw_row_weights(groups, seed):
        false, true = weights[:, is_false], weights[:, ~is_false]
        pairs = false.sum(axis=1) * true.sum(axis=1)
        has_both = pairs > 0
        values.append((((false @ wins) * true).sum(axis=1))[has_both] / pairs[has_both])
    return _Aucs(float(wins.mean()), np.concatenate(values))
