"""Every source that the mirror and the data packages hold, in a process of its own: first cold, then warm.

Cold starts with an empty data folder; warm finds that nothing has changed, which verifies every file. CPU of
all processes counts, those of the PDF reader too, and their resident memory together.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import psutil

from benchmarks.figure import Figure
from securetag.settings import get_settings

MAX_COLD_CPU_S, MAX_WARM_CPU_S, MAX_GIB = 360, 5, 1.5
COMMAND = "from securetag.cli import app; app()"
#: Seconds between two looks at the memory of all processes.
_POLL_S = 0.1


def measure() -> Iterator[Figure]:
    """CPU-seconds of `securetag source extract --all`, cold and warm, and its peak memory."""
    if get_settings().mirror is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        cold_s, cold_gib = _run(Path(folder))
        warm_s, _ = _run(Path(folder))
    yield _make_figure("whole mirror, cold", cold_s, "CPU-s", MAX_COLD_CPU_S)
    yield _make_figure("whole mirror, warm", warm_s, "CPU-s", MAX_WARM_CPU_S)
    yield _make_figure("whole mirror, peak memory of all processes", cold_gib, "GiB", MAX_GIB)


def _make_figure(name: str, value: float, unit: str, most: float) -> Figure:
    return Figure(figure=name, value=round(value, 2), unit=unit, bar=f"≤ {most:g}", ok=value <= most)


def _run(data: Path) -> tuple[float, float]:
    """Return CPU-seconds and peak GiB of one extraction into `data`. Raises CalledProcessError."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", COMMAND, "source", "extract", "--all", "--json"]
    environment = os.environ | {"SECURETAG_DATA": str(data)}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    ended, peaks = Event(), [0]
    watch = Thread(target=_watch_memory, args=(child.pid, ended, peaks))
    watch.start()
    code = child.wait()
    ended.set()
    watch.join()
    if code:
        raise subprocess.CalledProcessError(code, command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent_s, peaks[0] / 2**30


def _watch_memory(pid: int, ended: Event, peaks: list[int]) -> None:
    """Keep the highest sum of resident bytes of a process and its children in `peaks`."""
    while not ended.wait(_POLL_S):
        try:
            process = psutil.Process(pid)
            tree = [process, *process.children(recursive=True)]
            peaks[0] = max(peaks[0], sum(member.memory_info().rss for member in tree))
        except psutil.NoSuchProcess:
            continue
