"""What dismissals are worth, on rows whose figures can be counted by hand."""

from __future__ import annotations

import msgspec
import pytest

from securetag.cli.model.dismissals import show_dismissals
from securetag.evaluation.calibrate import bound_share
from securetag.evaluation.compare import compare
from securetag.evaluation.dismissals import (
    compute_calibration_error,
    count_removable,
    measure_dismissals,
)
from securetag.evaluation.suites import Row, SuiteResult
from securetag.records import Decision, Label

REVIEW = Decision.NEEDS_REVIEW


def make_row(
    label: Label,
    margin: float | None,
    decision: Decision = REVIEW,
    *,
    group: str = "",
    probability: float | None = None,
) -> Row:
    return Row(
        id=f"{label}{margin}{group}",
        axis="in_distribution",
        group=group or f"{label}{margin}",
        label=label,
        lang="en",
        prompt_version="compact-3",
        decision=decision,
        valid=True,
        margin=margin,
        p_false_positive=probability,
    )


def make_rows(true: list[float], false: list[float]) -> list[Row]:
    return [
        *(make_row("true_positive", margin) for margin in true),
        *(make_row("false_positive", margin) for margin in false),
    ]


def test_only_what_is_dismissed_is_lost_or_removed() -> None:
    rows = [
        make_row("true_positive", 0.0, Decision.FALSE_POSITIVE),
        make_row("true_positive", 1.0, REVIEW),
        make_row("true_positive", 2.0, Decision.TRUE_POSITIVE),
        make_row("false_positive", 3.0, Decision.FALSE_POSITIVE),
        make_row("false_positive", 4.0, REVIEW),
    ]
    figures = measure_dismissals(rows)
    assert (figures.true, figures.false, figures.lost, figures.removed) == (3, 2, 1, 1)
    assert figures.lost_upper == bound_share(1, 3)


def test_the_auc_is_the_share_of_pairs_in_order_and_ties_count_half() -> None:
    figures = measure_dismissals(make_rows([0.0, 1.0], [1.0, 2.0]))
    assert figures.auc == pytest.approx(3.5 / 4)
    assert figures.auc_low is not None
    assert figures.auc_high is not None
    assert figures.auc_low <= figures.auc <= figures.auc_high
    perfect = measure_dismissals(make_rows([0.0, 1.0], [2.0, 3.0]))
    assert (perfect.auc, perfect.auc_low, perfect.auc_high) == (1.0, 1.0, 1.0)


def test_a_row_without_a_score_ranks_below_all_others() -> None:
    figures = measure_dismissals([*make_rows([0.0], [1.0]), make_row("false_positive", None)])
    assert figures.auc == 0.5
    assert figures.calibration_error is figures.brier is None


def test_rows_of_one_group_are_drawn_together() -> None:
    """Twenty copies of one pair are as uncertain as one pair, not as twenty."""
    apart = make_rows([i / 100 for i in range(20)], [0.05 + i / 100 for i in range(20)])
    together = [make_row(row.label, row.margin, group=f"g{number % 2}") for number, row in enumerate(apart)]
    wide, narrow = measure_dismissals(together), measure_dismissals(apart)
    assert wide.auc == narrow.auc
    assert None not in (narrow.auc_low, narrow.auc_high)
    assert narrow.auc_low < narrow.auc < narrow.auc_high  # type: ignore[operator]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="no row"),
        pytest.param(make_rows([0.0], []), id="one label"),
        pytest.param([make_row("true_positive", None), make_row("false_positive", None)], id="no score"),
    ],
)
def test_without_both_labels_and_a_score_there_is_no_ranking(rows: list[Row]) -> None:
    figures = measure_dismissals(rows)
    assert figures.auc is figures.auc_low is figures.auc_high is None
    assert figures.calibration_error is figures.brier is None


def test_removable_counts_what_lies_above_the_true_positives_that_stay() -> None:
    rows = make_rows([0.0, 1.0, 5.0], [0.5, 2.0, 6.0])
    assert [count_removable(rows, lost) for lost in (0, 1, 2, 3)] == [1, 2, 3, 3]
    unscored = [*rows, make_row("false_positive", None)]
    assert count_removable(unscored, 3) == 3
    assert measure_dismissals(rows).removable == {"0.00": 1, "0.01": 1, "0.02": 1}


def test_the_calibration_error_is_the_distance_of_probability_and_frequency() -> None:
    assert compute_calibration_error([]) == 0.0
    assert compute_calibration_error([(0.0, False), (1.0, True)], bins=2) == 0.0
    assert compute_calibration_error([(1.0, False), (0.0, True)], bins=2) == 1.0
    # Always .5 of rows half of which are false positives is right, in whatever order and bins.
    assert compute_calibration_error([(0.5, False), (0.5, True)] * 10) == 0.0
    # One bin: the mean probability is the share of false positives.
    assert compute_calibration_error([(0.5, False), (0.5, True)], bins=1) == 0.0
    assert compute_calibration_error([(0.8, False), (0.8, True)], bins=1) == pytest.approx(0.3)


def test_brier_is_the_mean_squared_distance() -> None:
    rows = [
        make_row("true_positive", 0.0, probability=0.25),
        make_row("false_positive", 1.0, probability=0.5),
    ]
    assert measure_dismissals(rows).brier == pytest.approx((0.25**2 + 0.5**2) / 2)


def test_the_table_names_every_model_with_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        make_row("true_positive", 0.0, Decision.TRUE_POSITIVE, probability=0.1),
        make_row("false_positive", 3.0, Decision.FALSE_POSITIVE, probability=0.9),
    ]
    base = [make_row(row.label, row.margin) for row in rows]
    unscored = [msgspec.structs.replace(row, margin=None, decision=REVIEW) for row in base]
    show_dismissals(
        compare(
            SuiteResult(rows=base),
            SuiteResult(rows=rows),
            baselines={"word counts": SuiteResult(rows=unscored)},
        )
    )
    lines = capsys.readouterr().out.splitlines()
    # Both suites have the same rows.
    candidate = next(line for line in lines if "candidate" in line)
    assert candidate.startswith("held_out, trained")
    assert candidate.partition("candidate")[2].split() == [
        *("0", "of", "1", "95.0%", "1", "of", "1", "1.000", "1.000", "to", "1.000", "0.100", "0.010")
    ]
    assert any("word counts" in line and "0 of 1" in line for line in lines)
