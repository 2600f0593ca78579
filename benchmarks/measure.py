"""CPU-seconds and peak memory, as every area measures them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def least_cpu_s(run: Callable[[], object], *, runs: int) -> float:
    """CPU-seconds of the quickest of `runs` runs."""
    spent = []
    for _ in range(runs):
        started = time.process_time()
        run()
        spent.append(time.process_time() - started)
    return min(spent)


def peak_mb(script: str, path: Path, who: str) -> float:
    """What `script`, run by itself with `path` and `who` as its arguments, prints: MiB."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), who], capture_output=True, text=True, check=True
    )
    return float(done.stdout)
