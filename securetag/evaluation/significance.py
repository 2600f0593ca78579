"""How sure a figure is: Wilson intervals (`securetag.system.intervals`), clustered bootstrap, exact McNemar.

Sources:

- Exact McNemar: the discordant pairs of a paired 2×2 table are binomial with p = 1/2 under the null
  hypothesis. Q. McNemar, Psychometrika 12 (1947), https://doi.org/10.1007/BF02295996; the test is
  scipy's `binomtest`.
- Percentile bootstrap over clusters: Davison and Hinkley, "Bootstrap Methods and their Application"
  (1997), sections 3.8 and 5.3. Whole groups are drawn, since rows of one group (a contrastive pair,
  one project) aren't independent.

Wilson and McNemar take rows as independent. Where groups hold many rows, their intervals are too
narrow; the bootstrapped ones aren't.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from securetag.system.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    #: Counts, shape (resamples, cells).
    Counts = npt.NDArray[np.float64]
    #: (resamples, cells) → (resamples,): a statistic of summed counts.
    Statistic = Callable[[Counts], npt.NDArray[np.float64]]

#: Resamples; the Monte Carlo error of a p near .05 is then about .005.
RESAMPLES = 2_000
#: Resamples drawn at once, so that memory stays flat: 200 × 10,000 groups × 8 bytes is 16 MB.
_BLOCK = 200
#: Up to this many groups the draws are kept between calls: 500 × 2,000 × 8 bytes is 8 MB.
_KEPT_GROUPS = 500


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided exact p of `gained` against `lost` discordant pairs; 1.0 without any."""
    from scipy.stats import binomtest

    if gained + lost == 0:
        return 1.0
    return float(binomtest(min(gained, lost), gained + lost, 0.5).pvalue)


def bootstrap(
    groups: Sequence[str],
    cells: Sequence[Sequence[float]],
    statistic: Statistic,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[float, Interval, float]:
    """Return (estimate, percentile interval, two-sided p against zero) of a statistic of summed counts.

    `cells[i]` are the counts that row i of group `groups[i]` adds; `statistic` maps summed counts of
    shape (k, cells) to k values. Groups are drawn with replacement. The interval is widened to
    contain the estimate where few groups skew the resamples. p doubles the smaller share of
    resamples on one side of zero (ties count on both), with one added so that it is never 0.
    The result doesn't depend on the order of the rows.

    Raises ValueError without rows.
    """
    import numpy as np

    if not groups:
        raise ValueError("a bootstrap needs rows")
    names = sorted(set(groups))
    place = {name: index for index, name in enumerate(names)}
    summed = np.zeros((len(names), len(cells[0])))
    np.add.at(summed, [place[group] for group in groups], np.asarray(cells, dtype=np.float64))
    estimate = float(statistic(summed.sum(axis=0, keepdims=True))[0])
    blocks = _kept_weights if len(names) <= _KEPT_GROUPS else _weights
    drawn = [statistic(weights @ summed) for weights in blocks(len(names), seed, resamples)]
    values = np.concatenate(drawn)
    tail = (1 - confidence) / 2
    low, high = (float(bound) for bound in np.quantile(values, [tail, 1 - tail]))
    # A resample that lands on zero but for rounding is a tie.
    below, above = int((values <= 1e-12).sum()), int((values >= -1e-12).sum())
    p = min(1.0, 2 * (min(below, above) + 1) / (resamples + 1))
    return estimate, Interval(min(low, estimate), max(high, estimate)), p


def draw_row_weights(groups: Sequence[str], seed: int) -> Iterator[Counts]:
    """Yield how often each row is drawn in each resample of whole groups: blocks (resamples, rows)."""
    names = {name: index for index, name in enumerate(sorted(set(groups)))}
    place = [names[group] for group in groups]
    blocks = _kept_weights if len(names) <= _KEPT_GROUPS else _weights
    for weights in blocks(len(names), seed, RESAMPLES):
        yield weights[:, place]


def _weights(groups: int, seed: int, resamples: int) -> Iterator[Counts]:
    """Yield how often each group is drawn in each resample: blocks of shape (at most _BLOCK, groups)."""
    import numpy as np

    random = np.random.default_rng(seed)
    share = np.full(groups, 1 / groups)
    for start in range(0, resamples, _BLOCK):
        drawn = random.multinomial(groups, share, size=min(_BLOCK, resamples - start))
        yield drawn.astype(np.float64)


@lru_cache(maxsize=8)
def _kept_weights(groups: int, seed: int, resamples: int) -> tuple[Counts, ...]:
    """Return the same, cached: drawing is nine tenths of the work, and a suite draws a dozen times."""
    return tuple(_weights(groups, seed, resamples))
