"""A private folder for each task, and the end of whatever a killed worker left behind.

`<home>/run/worker/<name>/` belongs to one worker process for as long as it holds the lock on the
file `lock` in it; the kernel gives the lock back however that process ends. Every tool carries its
folder in its environment (`SECURETAG_SANDBOX`), so a sweep ends exactly the processes that were
started for a dead worker, and no process that merely got its number later.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from securetag.scanning.process import SANDBOX_VARIABLE
from securetag.system.files import make_private_folder
from securetag.system.locks import FileLock, try_lock

log = logging.getLogger(__name__)

#: Seconds in which a killed process disappears.
_END_S = 3.0


class Workspace:
    """One worker process's folder. A context manager: leaving it removes the folder."""

    def __init__(self, run_dir: Path) -> None:
        """Sweep what dead workers left under `run_dir`/worker, then make a folder of our own."""
        self._root = run_dir / "worker"
        make_private_folder(self._root)
        # Nobody may sweep between the folder's creation and its lock.
        with FileLock(self._root / ".sweep"):
            sweep(self._root)
            self.folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._root))
            self._lock = FileLock(self.folder / "lock")
            self._lock.acquire()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        with FileLock(self._root / ".sweep"):
            end_processes_of(self.folder)
            shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.release()

    @contextlib.contextmanager
    def task(self) -> Iterator[Path]:
        """A folder (0700) for one attempt; it goes at the end, whatever happened in it."""
        folder = Path(tempfile.mkdtemp(prefix="task-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> int:
    """Remove the folders under `root` whose worker is dead, after ending its tools; returns how many."""
    swept = 0
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        lock = try_lock(folder / "lock")
        if lock is None:
            continue
        ended = end_processes_of(folder)
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        log.warning("swept %s, left by a worker that died, and ended %d of its processes", folder.name, ended)
        swept += 1
    return swept


def end_processes_of(folder: Path) -> int:
    """Kill every process that was started for `folder` or a folder in it; returns how many."""
    killed: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            sandbox = process.environ().get(SANDBOX_VARIABLE, "") if process.pid != os.getpid() else ""
            if sandbox and Path(sandbox).is_relative_to(folder):
                # psutil compares start times first, so a reused number is never hit.
                process.kill()
                killed.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's: not ours
    psutil.wait_procs(killed, timeout=_END_S)
    return len(killed)
