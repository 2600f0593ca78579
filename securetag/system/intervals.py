"""How sure a proportion is.

Wilson score interval: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
JASA 22 (1927), https://doi.org/10.2307/2276774. Rows are taken as independent.
"""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """A two-sided confidence interval."""

    low: float
    high: float


def wilson(hits: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Return the Wilson interval of a proportion; (0, 1) for n = 0.

    Raises ValueError unless 0 ≤ hits ≤ n.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no proportion")
    if n == 0:
        return Interval(0.0, 1.0)
    z, share = NormalDist().inv_cdf((1 + confidence) / 2), hits / n
    scale = 1 + z * z / n
    center = (share + z * z / (2 * n)) / scale
    half = z / scale * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # The bounds contain hits / n and lie in [0, 1] by algebra; rounding may miss it by one ulp.
    return Interval(max(0.0, min(center - half, share)), min(1.0, max(center + half, share)))
