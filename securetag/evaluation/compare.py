"""Base against candidate on the same examples, row by row.

The pairing is what gives a small held-out set its strength: both models saw the same cases, so only
the cases on which they differ bear on the question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from securetag.errors import InputError
from securetag.evaluation.dismissals import AucDifference, Dismissals, compare_aucs, measure_dismissals
from securetag.evaluation.fixes import FixFigures
from securetag.evaluation.injection import Injection
from securetag.evaluation.metrics import (
    NAMES,
    PROPORTIONS,
    Confusion,
    Proportion,
    SuiteMetrics,
    cells,
    macro_f1,
    measure,
    split_into_suites,
)
from securetag.evaluation.significance import bootstrap, mcnemar
from securetag.evaluation.suites import Row, SuiteResult
from securetag.records import JsonObject
from securetag.system.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Pairs = Sequence[tuple[Row, Row]]


class Cell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One metric on one suite, both models, all figures between 0 and 1."""

    base: float
    candidate: float
    #: 95 % interval of `candidate`.
    low: float
    high: float
    #: Two-sided p that candidate and base differ: exact McNemar, for macro-F1 the paired bootstrap.
    p: float
    #: Rows that the metric is over.
    n: int
    base_low: float
    base_high: float
    #: candidate − base, with its 95 % interval by paired bootstrap over groups.
    difference: float
    difference_low: float
    difference_high: float
    #: What always naming the majority label would reach; for accuracy and macro-F1.
    majority: float | None = None


class SuiteComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One suite: its size, its metrics by name, and both confusion matrices."""

    n: int
    labels: dict[str, int]
    metrics: dict[str, Cell]
    base_confusion: Confusion
    candidate_confusion: Confusion


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All suites: `held_out` first, then `trained`, then each axis."""

    base_model: str
    candidate_model: str
    #: Rows on which a call failed: the model wasn't heard.
    base_unanswered: int
    candidate_unanswered: int
    suites: dict[str, SuiteComparison]
    #: `candidate`, `base` or a baseline's name → suite → what its dismissals are worth.
    dismissals: dict[str, dict[str, Dismissals]] = {}
    #: A baseline's name → suite → the candidate's AUC less the baseline's.
    auc_differences: dict[str, dict[str, AucDifference]] = {}
    #: Rows that the base was asked about, of all: its ranking, accuracy and recall are of these.
    base_questions: tuple[int, int] = (0, 0)
    #: The candidate's, where it was attacked.
    injection: Injection | None = None
    #: `candidate` or `base` → what its recommendations that carry code are worth.
    fixes: dict[str, FixFigures] = {}

    def as_json(self) -> JsonObject:
        """Return `{suite: {metric: {base, candidate, low, high, p, …}}}`; the gate adds its own key."""
        return {
            name: {metric: msgspec.to_builtins(cell) for metric, cell in suite.metrics.items()}
            for name, suite in self.suites.items()
        }


def compare(
    base: SuiteResult,
    candidate: SuiteResult,
    *,
    baselines: Mapping[str, SuiteResult] | None = None,
    seed: int = 0,
) -> Comparison:
    """Pair the rows of two results by example; `baselines` are other predictors on the same ones.

    Raises InputError when they hold other examples.
    """
    ours = {row.id: row for row in candidate.rows}
    theirs = {row.id: row for row in base.rows}
    if ours.keys() != theirs.keys() or len(ours) != len(candidate.rows) or len(theirs) != len(base.rows):
        only = len(ours.keys() ^ theirs.keys())
        raise InputError(
            f"base and candidate weren't scored on the same examples ({only} differ or some repeat)",
            hint="Score both models on the same held-out split in one run.",
        )
    # The base may be asked for less: its free completions are no part of any decision.
    changed = sum(
        _question(row) != _question(ours[row.id])
        or (row.free_valid is not None and ours[row.id].free_valid is None)
        for row in base.rows
    )
    if changed:
        raise InputError(
            f"{changed} examples were put otherwise to the base than to the candidate",
            hint="Label, axis, prompt version and the kinds of completion asked for must be equal.",
        )
    compared = {}
    for name, rows in split_into_suites(base.rows).items():
        pairs = [(row, ours[row.id]) for row in rows]
        compared[name] = _suite(pairs, seed)
    return Comparison(
        base_model=base.model_id,
        candidate_model=candidate.model_id,
        base_unanswered=base.unanswered,
        candidate_unanswered=candidate.unanswered,
        suites=compared,
        base_questions=(sum(row.is_asked for row in base.rows), len(base.rows)),
        dismissals={
            name: {
                suite: measure_dismissals(rows, seed=seed)
                for suite, rows in split_into_suites(result.rows).items()
                if rows
            }
            for name, result in {"candidate": candidate, "base": base, **(baselines or {})}.items()
        },
        auc_differences={
            name: _compare_aucs(candidate, result, seed) for name, result in (baselines or {}).items()
        },
    )


def _compare_aucs(candidate: SuiteResult, baseline: SuiteResult, seed: int) -> dict[str, AucDifference]:
    compared = {
        suite: compare_aucs(rows, baseline.rows, seed=seed)
        for suite, rows in split_into_suites(candidate.rows).items()
    }
    return {suite: difference for suite, difference in compared.items() if difference is not None}


def _question(row: Row) -> tuple[object, ...]:
    # A model that gave no score was asked for its whole answer under the schema: that may differ.
    return row.label, row.axis, row.group, row.prompt_version


def _suite(pairs: Pairs, seed: int) -> SuiteComparison:
    base = measure([first for first, _ in pairs], seed=seed)
    candidate = measure([second for _, second in pairs], seed=seed)
    metrics: dict[str, Cell] = {}
    for name in NAMES:
        if name not in base.estimates or name not in candidate.estimates:
            continue
        if name == "macro_f1":
            metrics[name] = _macro_f1(pairs, base, candidate, seed)
        else:
            metrics[name] = _proportion(name, pairs, base, candidate, seed)
    return SuiteComparison(
        n=candidate.n,
        labels=candidate.labels,
        metrics=metrics,
        base_confusion=base.confusion,
        candidate_confusion=candidate.confusion,
    )


def _proportion(name: str, pairs: Pairs, base: SuiteMetrics, candidate: SuiteMetrics, seed: int) -> Cell:
    share: Proportion = PROPORTIONS[name]
    over = [(first, second) for first, second in pairs if share.over(first) and share.over(second)]
    gained = sum(share.hit(second) and not share.hit(first) for first, second in over)
    lost = sum(share.hit(first) and not share.hit(second) for first, second in over)

    def difference(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        import numpy as np

        n = counts[:, 0]
        return np.divide(counts[:, 1], n, out=np.zeros_like(n), where=n > 0)

    # A resample without any row of the label is counted as no difference.
    change = [[1.0, float(share.hit(second)) - float(share.hit(first))] for first, second in over]
    delta = bootstrap([first.group for first, _ in over], change, difference, seed=seed)
    return _cell(name, base, candidate, mcnemar(gained, lost), delta)


def _macro_f1(pairs: Pairs, base: SuiteMetrics, candidate: SuiteMetrics, seed: int) -> Cell:
    def difference(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        half = counts.shape[1] // 2
        return macro_f1(counts[:, half:]) - macro_f1(counts[:, :half])

    over = [(first, second) for first, second in pairs if first.is_asked and second.is_asked]
    both = [cells(first) + cells(second) for first, second in over]
    delta = bootstrap([first.group for first, _ in over], both, difference, seed=seed)
    return _cell("macro_f1", base, candidate, delta[2], delta)


def _cell(
    name: str, base: SuiteMetrics, candidate: SuiteMetrics, p: float, delta: tuple[float, Interval, float]
) -> Cell:
    ours, theirs = candidate.estimates[name], base.estimates[name]
    value, bounds, _ = delta
    return Cell(
        base=theirs.value,
        candidate=ours.value,
        low=ours.low,
        high=ours.high,
        p=p,
        n=ours.n,
        base_low=theirs.low,
        base_high=theirs.high,
        difference=value,
        difference_low=bounds.low,
        difference_high=bounds.high,
        majority=ours.majority,
    )
