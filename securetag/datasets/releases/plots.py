"""Pictures beside a release's card: funnel of rows, lengths by task, sources and labels. PNG bytes.

matplotlib is used through its object interface with the Agg canvas: no display and no global state. The
same counts and rows give the same bytes, as long as matplotlib is the same; they are outside the digest.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from securetag.datasets import filters
from securetag.datasets.drops import ROW_STEPS, BuildStep, DropReason
from securetag.records import Example

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Counts = Mapping[str, Mapping[str, int]]
#: File → what a reader who can't see it is told.
ALT = {
    "funnel.png": "rows that are left after each step of the build",
    "lengths.png": "lengths of rows by task, in estimated tokens",
    "mix.png": "rows by source and by label",
}
#: Sources that have a bar of their own.
_SOURCES = 22
# Okabe and Ito's palette: told apart by color-blind readers and in gray.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
_DPI = 120


def draw_plots(examples: Sequence[Example], counts: Counts) -> dict[str, bytes]:
    """File name → PNG, of a release's rows and the counts of its manifest."""
    return {
        "funnel.png": _funnel(counts),
        "lengths.png": _lengths(examples),
        "mix.png": _mix(examples, counts),
    }


def count_after_steps(counts: Counts) -> dict[str, int]:
    """Return the number of rows made, and after each step that dropped some; the last are the release's."""
    lost: Counter[BuildStep] = Counter()
    for reason, n in counts["dropped"].items():
        lost[DropReason(reason).step] += n
    remaining = sum(counts["splits"].values()) + sum(lost[step] for step in ROW_STEPS)
    rows_after = {"made": remaining}
    for step in ROW_STEPS:
        if lost[step]:
            remaining -= lost[step]
            rows_after[f"after {step}"] = remaining
    return rows_after


def count_before_rows(counts: Counts) -> int:
    """Return how many Records, functions and verdicts never became rows."""
    dropped = counts["dropped"].items()
    return sum(n for reason, n in dropped if DropReason(reason).step not in ROW_STEPS)


def _funnel(counts: Counts) -> bytes:
    left = count_after_steps(counts)
    figure = new_figure(9, 1.6 + 0.5 * len(left))
    axes = figure.subplots()
    _bars(axes, left, COLOURS[0])
    previous: int | None = None
    for place, rows in enumerate(left.values()):
        note = f"{rows:,}" if previous is None else f"{rows:,}  (−{previous - rows:,})"
        axes.annotate(note, (rows, place), (4, 0), textcoords="offset points", va="center")
        previous = rows
    axes.set_xlabel("rows")
    axes.set_title(
        f"Rows through the build; {count_before_rows(counts):,} items never became rows", fontsize=11
    )
    return to_png(figure)


def _lengths(examples: Sequence[Example]) -> bytes:
    by_task: dict[str, list[int]] = {}
    for row in examples:
        tokens = filters.TEMPLATE_TOKENS + sum(
            filters.estimate_tokens(message.content) for message in row.messages
        )
        by_task.setdefault(row.task.value, []).append(tokens)
    longest = max((max(lengths) for lengths in by_task.values()), default=1)
    figure = new_figure(9, 1.2 + 1.5 * max(1, len(by_task)))
    panels = figure.subplots(max(1, len(by_task)), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (task, lengths), colour in zip(panels, sorted(by_task.items()), COLOURS, strict=False):
        axes.hist(lengths, bins=60, range=(0, longest), color=colour)
        middle = sorted(lengths)[len(lengths) // 2]
        axes.axvline(middle, color="black", linestyle=":")
        axes.set_title(f"{task}: {len(lengths):,} rows, median {middle:,}", fontsize=10, loc="left")
        axes.set_ylabel("rows")
        axes.grid(axis="y", alpha=0.3)
    panels[-1].set_xlabel("tokens of a row, estimated from above (2.2 characters each)")
    return to_png(figure)


def _mix(examples: Sequence[Example], counts: Counts) -> bytes:
    ranked = sorted(counts["by_source"].items(), key=lambda entry: (-entry[1], entry[0]))
    shown = dict(ranked[:_SOURCES])
    if rest := ranked[_SOURCES:]:
        shown[f"{len(rest)} others"] = sum(n for _, n in rest)
    figure = new_figure(11, 2.2 + 0.27 * max(8, len(shown)))
    source_axes, label_axes = figure.subplots(1, 2, width_ratios=(3, 2))
    _bars(source_axes, shown, COLOURS[0])
    for place, rows in enumerate(shown.values()):
        source_axes.annotate(
            f"{rows:,}", (rows, place), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    source_axes.tick_params(axis="y", labelsize=8)
    source_axes.set_xlabel("rows")
    source_axes.set_title("source", fontsize=11)
    _labels(label_axes, examples)
    return to_png(figure)


def _labels(axes: Axes, examples: Sequence[Example]) -> None:
    """Draw a stacked bar for each split, a part for each label and its origin."""
    table: dict[str, Counter[str]] = {"train": Counter(), "validation": Counter(), "test": Counter()}
    for row in examples:
        name = f"{row.label.replace('_', ' ')} ({row.label_source})" if row.label else "knowledge, no label"
        table[row.split or "train"][name] += 1
    names = sorted({name for row in table.values() for name in row}, key=lambda name: (name[0] == "k", name))
    base = [0] * len(table)
    for name, colour in zip(names, COLOURS, strict=False):
        heights = [row[name] for row in table.values()]
        axes.bar(list(table), heights, bottom=base, color=colour, label=name, width=0.6)
        base = [low + height for low, height in zip(base, heights, strict=True)]
    for place, rows in enumerate(base):
        axes.annotate(f"{rows:,}", (place, rows), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    axes.set_title("label, and what gave it", fontsize=11)
    axes.set_ylabel("rows")
    if names:
        # The bar of the training split, the first, is the highest.
        axes.legend(loc="upper right", frameon=False, fontsize=8)


def _bars(axes: Axes, values: Mapping[str, int], colour: str) -> None:
    axes.barh(range(len(values)), list(values.values()), color=colour)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.22 * max([1, *values.values()]))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of inches, which belongs to no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG bytes, the same each time."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    out = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()
