"""What the demo costs: CPU-seconds and memory over the whole process tree, sampled by itself.

CPU is read as a difference of totals: what every living process of the tree has used, plus what its
reaped children used, so that a process which came and went between two samples still counts. Memory
is the summed proportional set size (PSS), which shares a page between the processes that map it.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Seconds between memory samples: short against any stage, and about 1 % of one core.
SAMPLE_S = 1.0


@dataclass(frozen=True)
class Reading:
    """Totals since the machine started counting; subtract two of them."""

    wall_s: float
    cpu_s: float


def tree(root: psutil.Process) -> list[psutil.Process]:
    """`root` and all its living descendants, those in other sessions too."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """User and system seconds of processes and of the children that they have reaped."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += times.user + times.system
        total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def pss_mb(processes: list[psutil.Process]) -> float:
    """Summed PSS in MiB; resident size where the kernel doesn't tell PSS."""
    total = 0
    for process in processes:
        try:
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
                    break
        except (OSError, ValueError):
            try:
                total += process.memory_info().rss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    return total / 2**20


class Meter:
    """Samples this process and its descendants until it is closed."""

    def __init__(self) -> None:
        self._root = psutil.Process(os.getpid())
        self._peak = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        # A detached child that nobody reaps would take its CPU time along; this high-water mark
        # keeps the total from falling when that happens.
        self._highest_cpu = 0.0
        self._thread = threading.Thread(target=self._sample, name="meter", daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self.read()

    def read(self) -> Reading:
        """Take a sample now."""
        processes = tree(self._root)
        memory, cpu = pss_mb(processes), cpu_seconds(processes)
        with self._lock:
            self._peak = max(self._peak, memory)
            self._highest_cpu = max(self._highest_cpu, cpu)
            return Reading(wall_s=time.monotonic(), cpu_s=self._highest_cpu)

    @property
    def peak_mb(self) -> float:
        """Highest summed PSS so far, MiB."""
        with self._lock:
            return self._peak

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
