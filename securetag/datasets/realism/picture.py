"""The picture of a realism report: each measure's distribution, of the release and of real code."""

from __future__ import annotations

from collections.abc import Sequence

from securetag.datasets.realism.measures import MEASURES, measure_code
from securetag.datasets.releases.plots import COLOURS, new_figure, to_png

#: Share of values that a panel shows; a few long functions would flatten the others.
_SHOWN = 0.98


def draw_realism(release_code: Sequence[str], real_code: Sequence[str]) -> bytes:
    """Return a PNG with one histogram a measure. The same snippets give the same bytes."""
    import numpy as np

    counts = [[measure_code(snippet) for snippet in snippets] for snippets in (release_code, real_code)]
    figure = new_figure(11, 7)
    for axes, (name, words) in zip(figure.subplots(2, 4).flat, MEASURES.items(), strict=True):
        values = [np.array([count[name] for count in part]) for part in counts]
        limit = max(1.0, *(float(np.quantile(part, _SHOWN)) for part in values))
        bins = np.linspace(0, limit + 1, min(30, int(limit) + 2))
        for part, label, colour in zip(values, ("release", "real"), COLOURS, strict=False):
            axes.hist(
                part,
                bins=bins,
                weights=np.full(len(part), 1 / len(part)),
                alpha=0.55,
                color=colour,
                label=label,
            )
        axes.set_title(words, fontsize=10, loc="left")
        axes.set_ylabel("share of snippets", fontsize=8)
    figure.axes[0].legend(frameon=False, fontsize=8)
    return to_png(figure)
