"""The table of what each model's dismissals are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securetag.cli.output import show

if TYPE_CHECKING:
    from securetag.evaluation.compare import Comparison


def show_dismissals(comparison: Comparison) -> None:
    """Print a line for each suite and each of candidate, base and baselines."""
    show(
        ["suite", "model", "lost", "at most", "removed", "AUC", "95 %", "calibration error", "Brier"],
        [
            [
                suite,
                model,
                f"{figures.lost} of {figures.true}",
                f"{figures.lost_upper:.1%}",
                f"{figures.removed} of {figures.false}",
                _number(figures.auc),
                f"{_number(figures.auc_low)} to {_number(figures.auc_high)}" if figures.auc else None,
                _number(figures.calibration_error),
                _number(figures.brier),
            ]
            for suite in comparison.suites
            for model, by_suite in comparison.dismissals.items()
            if (figures := by_suite.get(suite)) is not None
        ],
        title="True positives lost and false positives removed by what is dismissed",
    )


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
