"""Holds a block of a test to a bound of CPU-seconds and of memory: what hostile input must keep to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What a hostile file may cost whoever reads it.
MOST_CPU_S, MOST_BYTES = 10.0, 1 << 30

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@contextmanager
def within(cpu_s: float = MOST_CPU_S, memory: int = MOST_BYTES) -> Iterator[None]:
    """This process spends at most `cpu_s`, and holds at most `memory` bytes more than at the beginning.

    `ru_maxrss` would not do: it never falls, so what an earlier test held hides what this one takes, and a
    process inherits it from the one that started it. Linux forgets the peak when asked (proc(5),
    clear_refs); where it can't be asked, the CPU-seconds alone are held.
    """
    forgets = _RESET.exists()
    if forgets:
        _RESET.write_text("5")
    before, began = _bytes("VmRSS"), time.process_time()
    yield
    took, grown = time.process_time() - began, _bytes("VmHWM") - before
    assert took < cpu_s, f"{took:.1f} CPU-seconds"
    assert not forgets or grown < memory, f"{grown >> 20} MiB"


def alone(code: str, *arguments: str, timeout_s: float = 120.0) -> str:
    """What `code` prints in an interpreter of its own, whose children are then its own, too."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _bytes(name: str) -> int:
    """A figure of /proc/self/status, in bytes; 0 where there is none."""
    if not _STATUS.exists():
        return 0
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024
