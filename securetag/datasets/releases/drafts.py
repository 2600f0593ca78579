"""A folder that is written whole or not at all, whoever else writes beside it and whenever one is killed.

A draft is a hidden folder beside its goal, held by an advisory lock on itself. The kernel lets go of
the lock when its process ends, however it ends, so a draft that can be locked by somebody else is
rubbish and is swept. That holds over containers that share a disk, where process ids mean nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".draft-"
#: What rename answers where the goal is a folder with something in it.
_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST})


@contextmanager
def draft(parent: Path) -> Iterator[Path]:
    """A new empty folder in `parent` to write into; whatever is left there at the end is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    with _beside(parent):
        sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        hold = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if hold is not None:
            os.close(hold)


def settle(folder: Path, goal: Path) -> bool:
    """Make a draft durable and read-only and move it to its goal.

    True = it stands there now; False = the goal was there before, and is left as it is. Raises
    OSError where the goal can't be a folder.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        _flush(file)
        file.chmod(0o444)
    folder.chmod(0o755)
    _flush(folder)
    try:
        folder.rename(goal)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    _flush(goal.parent)
    return True


def sweep(parent: Path) -> None:
    """Remove the drafts of processes that are gone."""
    for folder in parent.glob(f"{PREFIX}*"):
        hold = _lock(folder)
        if hold is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(hold)


@contextmanager
def _beside(parent: Path) -> Iterator[None]:
    """Alone among those who begin a draft here: nobody sweeps one that isn't locked yet."""
    handle = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _lock(folder: Path) -> int | None:
    """An open handle that holds the folder's lock; None where it is held, gone, or can't be locked."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
