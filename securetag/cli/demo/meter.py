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

import psutil

from securetag.system.resources import process_tree, tree_cpu_seconds, tree_memory_mb

#: Seconds between memory samples: short against any stage, and about 1 % of one core.
SAMPLE_S = 1.0


@dataclass(frozen=True)
class Reading:
    """Totals since the machine started counting; subtract two of them."""

    wall_s: float
    cpu_s: float


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
        processes = process_tree(self._root)
        memory, cpu = tree_memory_mb(processes), tree_cpu_seconds(processes)
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
