"""The table of what each model's dismissals are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from securetag.cli.output import show

if TYPE_CHECKING:
    from securetag.evaluation.compare import Comparison
    from securetag.evaluation.dismissals import Dismissals

T = TypeVar("T")


def show_dismissals(comparison: Comparison) -> None:
    """Print a line for each suite and each of candidate, base and baselines; suites of equal figures once."""
    by_suite = {
        suite: {model: suites[suite] for model, suites in comparison.dismissals.items() if suite in suites}
        for suite in comparison.suites
    }
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
            for suite, models in join_equal(by_suite).items()
            for model, figures in models.items()
        ],
        title="True positives lost and false positives removed by what is dismissed",
    )


def join_equal(by_name: Mapping[str, T]) -> dict[str, T]:
    """Return the values once each, under all names that have the same: `trained, in_distribution`."""
    names: list[tuple[list[str], T]] = []
    for name, value in by_name.items():
        same = next((members for members, other in names if other == value), None)
        if same is None:
            names.append(([name], value))
        else:
            same.append(name)
    return {", ".join(members): value for members, value in names}


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def describe_worth(figures: Dismissals) -> str:
    """Return the false alarms that are left, and the vulnerabilities lost with their bound."""
    return (
        f"false alarms {figures.false} → {figures.false - figures.removed}, "
        f"vulnerabilities lost {figures.lost} of {figures.true} "
        f"(at most {figures.lost_upper:.1%} with 95 % confidence)"
    )
