"""The demo's home, a folder below the developer's home, and the settings that point there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from securetag.errors import ConflictError, NotFoundError
from securetag.settings import Settings, get_settings
from securetag.system.locks import try_lock


@contextmanager
def create_home() -> Iterator[Settings]:
    """Yield an empty home for this process. Raises ConflictError while services use the old one."""
    from securetag.db.embedded import Cluster

    with _lock_demo(get_settings().home):
        home = _place()
        if home.exists():
            Cluster(home).destroy()
            shutil.rmtree(home)
        settings = _enter(home)
        settings.home.mkdir(parents=True)
        yield settings


def enter_last() -> Settings:
    """Switch this process and its children to the last demo's home. Raises NotFoundError."""
    home = _place()
    if not (home / "report.json").is_file():
        raise NotFoundError(f"no demo has run in {home}", hint="Run `securetag demo` first.")
    return _enter(home)


def _place() -> Path:
    return get_settings().home / "demo"


def _enter(home: Path) -> Settings:
    os.environ["SECURETAG_HOME"] = str(home)
    os.environ["SECURETAG_DATA"] = str(home / "data")
    for variable in ("DATABASE_URL", "DATABASE_URL_FILE", "OLLAMA_HOST", "SECURETAG_TRIAGE__URL"):
        os.environ.pop(variable, None)
    get_settings.cache_clear()
    return get_settings()


@contextmanager
def _lock_demo(home: Path) -> Iterator[None]:
    """Refuse a second demo of one home while the first still runs or stops: they share its state."""
    home.mkdir(parents=True, exist_ok=True)
    lock = try_lock(home / "demo.lock")
    if lock is None:
        raise ConflictError(
            f"another demo is running in {home}",
            hint="Wait for it, or set SECURETAG_HOME to another folder.",
        )
    try:
        yield
    finally:
        lock.release()
