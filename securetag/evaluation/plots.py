"""Pictures of a comparison and of a training run, as PNG bytes.

matplotlib is used through its object interface with the Agg canvas: no display, no global state, so
several threads may draw at once.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from securetag.evaluation.compare import Comparison
from securetag.evaluation.metrics import DECISIONS, HELD_OUT, LABELS, NAMES, Confusion
from securetag.records import JsonObject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Caption of the embedded model's plots.
EMBEDDED_CAPTION = "135M embedded model: proves the machinery, not security skill"

# Okabe and Ito's palette: told apart by color-blind readers and in gray.
_BASE, _CANDIDATE = "#999999", "#0072B2"
_TASKS = (_CANDIDATE, "#D55E00", "#009E73", "#CC79A7")
_SEVERAL = "several tasks"
_EVAL_LOSS = re.compile(r"eval_((?P<task>\w+)_)?loss")
_DPI = 120


def confusion_matrices(comparison: Comparison, *, suite: str = HELD_OUT, caption: str = "") -> bytes:
    """Draw both models' confusion matrices of one suite: counts, shaded by share of the label.

    Raises KeyError for a suite that the comparison doesn't hold.
    """
    shown = comparison.suites[suite]
    figure = _figure(9.5, 4.2)
    panels = figure.subplots(1, 2, sharey=True)
    titles = (f"base ({_short(comparison.base_model)})", f"candidate ({_short(comparison.candidate_model)})")
    for axes, title, table in zip(
        panels, titles, (shown.base_confusion, shown.candidate_confusion), strict=True
    ):
        _matrix(axes, title, table)
    panels[0].set_ylabel("label")
    figure.suptitle(f"{suite}: {shown.n} examples")
    return _png(figure, caption)


def axis_accuracy(comparison: Comparison, *, metric: str = "accuracy", caption: str = "") -> bytes:
    """Draw a metric of both models on every suite, with 95 % intervals and the majority figure."""
    names = [name for name, suite in comparison.suites.items() if metric in suite.metrics]
    figure = _figure(9.5, 1.6 + 0.75 * max(1, len(names)))
    axes = figure.subplots()
    for row, name in enumerate(names):
        cell = comparison.suites[name].metrics[metric]
        sides = (
            (-0.14, cell.base, cell.base_low, cell.base_high, _BASE, "o", "base"),
            (0.14, cell.candidate, cell.low, cell.high, _CANDIDATE, "s", "candidate"),
        )
        for shift, value, low, high, colour, marker, label in sides:
            axes.errorbar(
                value,
                row + shift,
                xerr=[[value - low], [high - value]],
                fmt=marker,
                color=colour,
                capsize=4,
                label=label if row == 0 else None,
            )
            axes.annotate(
                f"{value:.2f}", (value, row + shift), (0, 5), textcoords="offset points", ha="center"
            )
        if cell.majority is not None:
            named = "majority class alone" if row == 0 else None
            axes.plot([cell.majority] * 2, [row - 0.35, row + 0.35], ":", color="black", label=named)
    axes.set_yticks(
        range(len(names)), [f"{name}\nn={comparison.suites[name].metrics[metric].n}" for name in names]
    )
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"{NAMES[metric][0]}, 95 % interval")
    axes.grid(axis="x", alpha=0.3)
    if names:
        figure.legend(loc="outside upper right", ncols=3, frameon=False)
    return _png(figure, caption)


def loss_curve(history: Sequence[JsonObject], *, caption: str = "") -> bytes:
    """Draw training and validation loss by step, each task in its color.

    `history` is the trainer's log: rows with `step` and `loss`, and perhaps `task_share` (share by task), or
    with `eval_loss` or `eval_<task>_loss`; other rows, and losses that aren't finite, are left out. A step
    that learns from several tasks is drawn apart. What has most steps is a line, the others are points, since
    few of their steps follow each other. Without any usable row the picture says so.
    """
    trained: dict[str, list[tuple[int, float]]] = {}
    validated: dict[str, list[tuple[int, float]]] = {}
    for row in history:
        for key, value in row.items():
            if "step" not in row or not _finite(value):
                continue
            if key == "loss":
                tasks = list(row.get("task_share") or [""])
                task = tasks[0] if len(tasks) == 1 else _SEVERAL
                trained.setdefault(task, []).append((row["step"], value))
            elif match := _EVAL_LOSS.fullmatch(key):
                validated.setdefault(match["task"] or "", []).append((row["step"], value))
    kinds = sorted({**trained, **validated}, key=lambda task: (-len(trained.get(task, ())), task))
    figure = _figure(9.5, 4)
    axes = figure.subplots()
    for place, task in enumerate(kinds):
        for points, style, label in (
            (trained.get(task), "x" if place else "-", "training"),
            (validated.get(task), "o", "validation"),
        ):
            if points:
                named = f"{label}, {task}" if task else label
                axes.plot(
                    *zip(*points, strict=True),
                    style,
                    color=_TASKS[place % len(_TASKS)],
                    label=f"{named} (last {points[-1][1]:.3f})",
                )
    if kinds:
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside right upper", frameon=False)
        axes.grid(alpha=0.3)
    else:
        axes.text(0.5, 0.5, "no loss was logged", ha="center", va="center", transform=axes.transAxes)
    axes.set_xlabel("step")
    axes.set_ylabel("loss on completion tokens")
    return _png(figure, caption)


def _matrix(axes: Axes, title: str, table: Confusion) -> None:
    totals = {label: max(1, sum(table[label].values())) for label in LABELS}
    shares = [[table[label][made] / totals[label] for made in DECISIONS] for label in LABELS]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, label in enumerate(LABELS):
        for column, made in enumerate(DECISIONS):
            share = shares[row][column]
            axes.text(
                column,
                row,
                f"{table[label][made]}\n{share:.0%}",
                ha="center",
                va="center",
                color="white" if share > 0.5 else "black",
                fontsize=12,
            )
    axes.set_xticks(range(len(DECISIONS)), [made.replace("_", "\n") for made in DECISIONS])
    axes.set_yticks(range(len(LABELS)), [label.replace("_", "\n") for label in LABELS])
    axes.set_xlabel("verdict")
    axes.set_title(title, fontsize=11)


def _short(model_id: str) -> str:
    return model_id[:12] or "not answered"


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure, caption: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if caption:
        figure.supxlabel(caption, fontsize=9, color="#444444")
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()
