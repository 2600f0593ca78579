"""Assert that the CPU time of a function grows no faster than its input."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: CPU of 2n over CPU of n: 2 is linear and 4 quadratic. 3.2 lies between them, with room for the caches of a
#: shared machine, which were measured to add up to a third to one of the two.
MAX_RATIO = 3.2
#: CPU-seconds that are too short to compare: the clock and the allocator vary by a few milliseconds.
NEGLIGIBLE_S = 0.02
ROUNDS = 3
#: A busy machine may slow down all rounds of one size; what is quadratic fails every time.
ATTEMPTS = 4


def assert_grows_linearly(run: Callable[[T], object], make_input: Callable[[int], T], size: int) -> None:
    """Compare the least CPU time of `run` for an input of `size` with that for one of twice the size.

    Choose a size that takes about a tenth of a second, so that a quadratic function is seen.
    """
    for _ in range(ATTEMPTS):
        single, double = _measure(run, make_input(size)), _measure(run, make_input(2 * size))
        if double <= MAX_RATIO * single + NEGLIGIBLE_S:
            return
    raise AssertionError(f"{single:.3f} s for n, {double:.3f} s for 2n")


def _measure(run: Callable[[T], object], value: T) -> float:
    durations = []
    for _ in range(ROUNDS):
        start = time.process_time()
        run(value)
        durations.append(time.process_time() - start)
    return min(durations)
