"""`<home>/run/services.json`: where each service of a home listens, for processes that find each other.

One JSON object, service name → entry; an entry holds at least `url` and `pid`. Each writer takes the
lock beside the file, so that services that start at the same moment don't lose each other's entries.
This module knows no particular service.
"""

from __future__ import annotations

import json
from pathlib import Path

from securetag.records import JsonObject
from securetag.system.files import write_atomic
from securetag.system.locks import FileLock

FILE = "services.json"


def read_services(run_dir: Path) -> dict[str, JsonObject]:
    """Return all entries; empty when there is no file, or none that can be read."""
    try:
        entries = json.loads((run_dir / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {name: entry for name, entry in entries.items() if isinstance(entry, dict)}


def read_published(run_dir: Path, name: str) -> JsonObject:
    """Return what a service wrote of itself into `<run_dir>/<name>.json`; empty while it hasn't."""
    try:
        entry = json.loads((run_dir / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}


def announce_service(run_dir: Path, name: str, entry: JsonObject) -> None:
    """Write or replace the entry of one service. Raises OSError."""
    with FileLock(_lock_path(run_dir)):
        _write(run_dir, read_services(run_dir) | {name: entry})


def withdraw_service(run_dir: Path, name: str, *, pid: int) -> None:
    """Remove the entry of one service, unless another process has replaced it. Raises OSError."""
    with FileLock(_lock_path(run_dir)):
        entries = read_services(run_dir)
        if entries.get(name, {}).get("pid") == pid:
            del entries[name]
            _write(run_dir, entries)


def _write(run_dir: Path, entries: dict[str, JsonObject]) -> None:
    write_atomic(run_dir / FILE, json.dumps(entries, indent=2, sort_keys=True) + "\n")


def _lock_path(run_dir: Path) -> Path:
    return run_dir / f".{FILE}.lock"
