"""Exclusive advisory locks on a file or a folder, between processes and between threads.

The kernel releases a lock when its process ends, however it ends, so there is no stale lock to detect.
A lock file is never truncated: its content belongs to its holder (a PID, for example).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from filelock import lock_descriptor

#: Seconds between two attempts of a waiting process.
POLL_SECONDS = 0.02


class FileLock:
    """An exclusive lock on `path`, a folder or a file.

    A missing file is made (0600), unless `create` is False.

    ::

        with FileLock(folder / ".lock"):  # waits
            ...

    `acquire(wait=False)` doesn't wait. A lock is not reentrant.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._create = create
        self._descriptor: int | None = None

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock and return True, or return False where another holds it and `wait` is False.

        Raises OSError where the path can't be opened, RuntimeError when this object holds it already.
        """
        if self._descriptor is not None:
            raise RuntimeError(f"the lock on {self.path} is already held")
        descriptor = self._open()
        try:
            acquired = lock_descriptor(descriptor, blocking=wait, poll_interval=POLL_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        if acquired:
            self._descriptor = descriptor
        else:
            os.close(descriptor)
        return acquired

    def release(self) -> None:
        """Give the lock back; no error where it isn't held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> int:
        if self._create and not self.path.is_dir():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def try_lock(path: Path, *, create: bool = True, timeout_s: float = 0.0) -> FileLock | None:
    """Return the lock on `path`, taken, or None where another still holds it after `timeout_s` seconds.

    A process that was killed keeps its locks for as long as the kernel takes to end it. Raises OSError.
    """
    lock = FileLock(path, create=create)
    deadline = time.monotonic() + timeout_s
    while not lock.acquire(wait=False):
        if time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)
    return lock
