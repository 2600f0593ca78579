"""CPU-seconds and peak memory, as every area measures them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def least_cpu_s(run: Callable[[], object], *, runs: int) -> float:
    """CPU-seconds of the quickest of `runs` runs."""
    spent = []
    for _ in range(runs):
        started = time.process_time()
        run()
        spent.append(time.process_time() - started)
    return min(spent)


def repeat_rounds(measure_round: Callable[[], T], *, rounds: int, max_wall_s: float) -> list[T]:
    """Return what up to `rounds` rounds gave; none begins that would end after `max_wall_s`.

    A busy machine makes a round many times as long, and the best of fewer rounds counts as well.
    """
    results: list[T] = []
    started = time.monotonic()
    for number in range(1, rounds + 1):
        results.append(measure_round())
        if (time.monotonic() - started) * (number + 1) > max_wall_s * number:
            break
    return results


def peak_mb(script: str, path: Path, who: str) -> float:
    """What `script`, run by itself with `path` and `who` as its arguments, prints: MiB."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), who], capture_output=True, text=True, check=True
    )
    return float(done.stdout)
