"""Figures over rows: proportions with Wilson intervals, macro-F1 with a bootstrapped one.

`needs_review` is a model's right to abstain, but it isn't an answer: it counts as wrong in accuracy
and macro-F1, and neither as found in recall nor as dismissed in false-positive reduction. Beside
accuracy and macro-F1 stands what the majority class alone would reach: a figure near it shows no
skill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from securetag.evaluation.significance import bootstrap
from securetag.evaluation.suites import TRAINED_AXES, Row
from securetag.records import Decision
from securetag.system.intervals import wilson

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LABELS = ("true_positive", "false_positive")
DECISIONS = tuple(decision.value for decision in Decision)
#: Suite of all rows together; each axis is a suite of its own.
HELD_OUT = "held_out"
#: Suite of the rows that are like the trained ones: a bound holds for these.
TRAINED = "trained"

#: Most by which two readings of a probability may differ: the order of additions differs with what else a
#: server reads at the time. At one half it is .25 of the score. Thresholds are probabilities, and at −10 a
#: score drifts by .3 while its probability drifts by less than .001. The largest drift of 30 rows was .035.
MAX_PROBABILITY_DRIFT = 0.0625

#: Least overlap of named and known evidence that counts as right.
MIN_EVIDENCE_OVERLAP = 0.8

#: label → decision → rows.
Confusion = dict[str, dict[str, int]]


class Proportion(msgspec.Struct, frozen=True):
    """A share of rows: which rows it is over, which of them count, and what people call it."""

    over: Callable[[Row], bool]
    hit: Callable[[Row], bool]
    en: str
    es: str


def agrees_as_served(row: Row) -> bool:
    """Return whether the whole answer, asked for beside others, has the same decision and probability."""
    alone, served = row.p_false_positive, row.served_p_false_positive
    if row.served_decision is not row.decision or (served is None) != (alone is None):
        return False
    return alone is None or served is None or abs(served - alone) <= MAX_PROBABILITY_DRIFT


#: Every figure that is a share of rows. Higher is better in each.
PROPORTIONS: dict[str, Proportion] = {
    "json_validity": Proportion(
        lambda row: row.free_valid is not None,
        lambda row: bool(row.free_valid),
        "JSON validity without a schema",
        "validez del JSON sin esquema",
    ),
    "answer_validity": Proportion(
        lambda row: row.served_valid is not None,
        lambda row: bool(row.served_valid),
        "validity of the served answer",
        "validez de la respuesta servida",
    ),
    "served_agreement": Proportion(
        lambda row: row.served_decision is not None,
        agrees_as_served,
        "same decision and probability when served beside other questions",
        "misma decisión y probabilidad al servirse junto a otras preguntas",
    ),
    "accuracy": Proportion(
        lambda row: row.is_asked,
        lambda row: row.decision == row.label,
        "verdict accuracy",
        "exactitud del veredicto",
    ),
    "true_positive_recall": Proportion(
        lambda row: row.is_asked and row.label == "true_positive",
        lambda row: row.decision is Decision.TRUE_POSITIVE,
        "recall of true positives",
        "exhaustividad de verdaderos positivos",
    ),
    "true_positives_kept": Proportion(
        lambda row: row.label == "true_positive",
        lambda row: row.decision is not Decision.FALSE_POSITIVE,
        "true positives not dismissed",
        "verdaderos positivos no descartados",
    ),
    "false_positive_reduction": Proportion(
        lambda row: row.label == "false_positive",
        lambda row: row.decision is Decision.FALSE_POSITIVE,
        "false-positive reduction",
        "reducción de falsos positivos",
    ),
    "evidence_right": Proportion(
        lambda row: row.evidence_overlap is not None,
        lambda row: (row.evidence_overlap or 0.0) >= MIN_EVIDENCE_OVERLAP,
        "evidence agrees with the known source, guard and sink",
        "la evidencia coincide con la fuente, la protección y el sumidero conocidos",
    ),
    "decided": Proportion(
        lambda row: row.is_asked,
        lambda row: row.valid and row.decision is not Decision.NEEDS_REVIEW,
        "share decided",
        "proporción decidida",
    ),
}

#: Metric name → (English, Spanish), in the order of tables.
NAMES: dict[str, tuple[str, str]] = {
    **{
        name: (PROPORTIONS[name].en, PROPORTIONS[name].es)
        for name in ("json_validity", "answer_validity", "served_agreement")
    },
    "accuracy": (PROPORTIONS["accuracy"].en, PROPORTIONS["accuracy"].es),
    "macro_f1": ("verdict macro-F1", "macro-F1 del veredicto"),
    **{name: (share.en, share.es) for name, share in PROPORTIONS.items()},
}


class Estimate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    #: Rows that it is over.
    n: int
    #: What always naming the majority label would reach; for accuracy and macro-F1.
    majority: float | None = None


class SuiteMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one suite."""

    n: int
    #: Rows of each label.
    labels: dict[str, int]
    #: Metrics that no row bears on (no free completion was asked, a label is missing) are absent.
    estimates: dict[str, Estimate]
    confusion: Confusion


def split_into_suites(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return `held_out` with every row, then `trained`, then each axis by name.

    Without rows: `held_out` alone, empty.
    """
    by_suite: dict[str, list[Row]] = {HELD_OUT: []}
    ordered = sorted(rows, key=lambda row: (row.axis, row.id))
    if trained := [row for row in ordered if row.axis in TRAINED_AXES]:
        by_suite[TRAINED] = trained
    for row in ordered:
        by_suite[HELD_OUT].append(row)
        by_suite.setdefault(row.axis, []).append(row)
    return by_suite


def count_confusion(rows: Iterable[Row]) -> Confusion:
    """Count rows by label and decision, with every cell present."""
    table: Confusion = {label: dict.fromkeys(DECISIONS, 0) for label in LABELS}
    for row in rows:
        table[row.label][row.decision.value] += 1
    return table


def cells(row: Row) -> list[float]:
    """Return the row as counts for `macro_f1`: six cells, LABELS × DECISIONS, one of them 1."""
    return [float(row.label == label and row.decision == made) for label in LABELS for made in DECISIONS]


def macro_f1(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the unweighted mean of both labels' F1, from counts of shape (k, 6) in the order of `cells`.

    F1 = 2·tp / (2·tp + fp + fn), 0 where a label was neither there nor named: what
    `sklearn.metrics.f1_score(labels=LABELS, average="macro", zero_division=0)` computes, here over
    thousands of resamples at once.
    """
    import numpy as np

    table = counts.reshape(-1, len(LABELS), len(DECISIONS))
    score = np.zeros(len(table))
    for index, label in enumerate(LABELS):
        column = DECISIONS.index(label)
        hits = table[:, index, column]
        total = table[:, index, :].sum(axis=1) + table[:, :, column].sum(axis=1)
        score += np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0) / len(LABELS)
    return score


def majority_share(rows: Sequence[Row]) -> tuple[float, float]:
    """Return (accuracy, macro-F1) of always naming the label that most rows carry; (0, 0) without rows."""
    if not rows:
        return 0.0, 0.0
    share = max(sum(row.label == label for row in rows) for label in LABELS) / len(rows)
    # The majority label's F1 with recall 1 and precision `share`; the other label's is 0.
    return share, share / (1 + share)


def measure(rows: Sequence[Row], *, seed: int = 0) -> SuiteMetrics:
    """Compute every figure of one model on one suite."""
    estimates: dict[str, Estimate] = {}
    accuracy, f1 = majority_share(rows)
    for name, share in PROPORTIONS.items():
        over = [row for row in rows if share.over(row)]
        if not over:
            continue
        hits = sum(share.hit(row) for row in over)
        bounds = wilson(hits, len(over))
        estimates[name] = Estimate(
            value=hits / len(over),
            low=bounds.low,
            high=bounds.high,
            n=len(over),
            majority=accuracy if name == "accuracy" else None,
        )
    questioned = [row for row in rows if row.is_asked]
    if questioned:
        value, bounds, _ = bootstrap(
            [row.group for row in questioned], [cells(row) for row in questioned], macro_f1, seed=seed
        )
        estimates["macro_f1"] = Estimate(
            value=value, low=bounds.low, high=bounds.high, n=len(questioned), majority=f1
        )
    return SuiteMetrics(
        n=len(rows),
        labels={label: sum(row.label == label for row in rows) for label in LABELS},
        estimates={name: estimates[name] for name in NAMES if name in estimates},
        confusion=count_confusion(rows),
    )
