"""CPU time and memory of processes: this one with its ended children, or a tree of living ones."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

#: `ru_maxrss` counts bytes on macOS and kibibytes elsewhere.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def cpu_seconds() -> float:
    """Return user and system seconds of this process and of the children that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_memory_mb(usage: resource.struct_rusage | None = None) -> float:
    """Return the largest resident size in MiB that `usage` (default: this process's) reports.

    Linux carries the figure over `exec`: a child starts with what its parent held when it forked.
    """
    usage = usage or resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss * _RSS_UNIT / 2**20


def process_tree(root: psutil.Process) -> list[psutil.Process]:
    """Return `root` and all its living descendants, those in other sessions too."""
    import psutil

    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def tree_cpu_seconds(processes: list[psutil.Process]) -> float:
    """Return user and system seconds of processes and of the children that they have reaped."""
    import psutil

    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        total += times.user + times.system
        total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def tree_memory_mb(processes: list[psutil.Process]) -> float:
    """Return the summed proportional set size (PSS) in MiB; resident size where there is no PSS.

    PSS shares a page between the processes that map it, so the sum counts no page twice.
    """
    import psutil

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
