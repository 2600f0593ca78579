"""`<home>/run/services.json`: which service listens where, for processes that find each other by file.

One JSON object, service name → entry; an entry holds at least `url` and `pid`. Every writer takes the
lock beside it, so that services that start at the same moment don't lose each other's entries.
Knows no service.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = "services.json"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """An exclusive lock on `path`, held for the block; the file stays, empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all; a reader never sees half of it, nor does a crash leave half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(run_dir: Path) -> dict[str, dict[str, Any]]:
    """All entries; empty when there is no file, or none that can be read."""
    try:
        found = json.loads((run_dir / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def announce(run_dir: Path, name: str, entry: dict[str, Any]) -> None:
    """Write or replace the entry of one service."""
    with locked(run_dir / f".{FILE}.lock"):
        entries = read(run_dir) | {name: entry}
        write_atomically(run_dir / FILE, json.dumps(entries, indent=2, sort_keys=True) + "\n")


def withdraw(run_dir: Path, name: str, *, pid: int) -> None:
    """Remove the entry of one service, unless another process has replaced it meanwhile."""
    with locked(run_dir / f".{FILE}.lock"):
        entries = read(run_dir)
        if entries.get(name, {}).get("pid") == pid:
            del entries[name]
            write_atomically(run_dir / FILE, json.dumps(entries, indent=2, sort_keys=True) + "\n")
