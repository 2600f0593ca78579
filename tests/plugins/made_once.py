"""What is dear to make and the same for all tests: made once a run, in whichever process asks first."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from securetag.system.locks import FileLock

T = TypeVar("T")


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this test run share."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    folder.mkdir(exist_ok=True)
    return folder


def make_once(folder: Path, name: str, make: Callable[[Path], T]) -> T:
    """Return what `make(folder of its own)` gave in the process that called first, pickled for the others."""
    kept = folder / f"{name}.pickle"
    with FileLock(folder / f"{name}.lock"):
        if not kept.exists():
            work = folder / name
            work.mkdir(exist_ok=True)  # there after a try that failed
            kept.write_bytes(pickle.dumps(make(work)))
        made: T = pickle.loads(kept.read_bytes())
    return made
