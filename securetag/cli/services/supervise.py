"""Starts the services of one home, waits until each answers, and stops them all at the end.

One process at a time runs the services of a home: it holds a lock for as long as they run.

Each service is a process of its own in a session of its own, so that Ctrl-C in the terminal reaches
only this process, which then stops the others in order. Should this process be killed, the kernel
ends the services, and each of them ends its own tools.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from securetag.errors import ConflictError, UnavailableError
from securetag.records import JsonObject
from securetag.system.files import make_private_folder
from securetag.system.locks import FileLock, try_lock
from securetag.system.processes import ChildProcess, Limits, log_tail
from securetag.system.services import read_services

#: Below `<home>/run`; whoever runs the home's services holds a lock on it and writes its process id there.
LOCK = "services.lock"
#: Services that a person opens: name in `services.json`, and what they are called.
SHOWN = {"api": "api", "dagster": "Dagster UI"}
#: Seconds that a service gets to end by itself before it is killed. PostgreSQL's clean stop
#: writes a checkpoint, the slowest of them.
STOP_S = 15.0


@dataclass
class Service:
    """One running process."""

    name: str
    process: ChildProcess
    log: Path


class Services:
    """A context manager; leaving it stops what was started, the last one first.

    Entering it raises ConflictError while another process runs the services of this home.
    """

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self._environment = dict(environment)
        self._running: list[Service] = []
        self._folders = ExitStack()
        self._lock: FileLock | None = None

    def __enter__(self) -> Services:
        make_private_folder(self._home / "run")
        self._lock = lock_home(self._home)
        make_private_folder(self._home / "logs")
        return self

    def __exit__(self, *_: object) -> None:
        for service in reversed(self._running):
            # A service ends its own children in order; what it leaves is killed.
            service.process.end(STOP_S, whole_group=False)
        self._running.clear()
        self._folders.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def socket_folder(self) -> Path:
        """Return a private folder for sockets, whose paths must be short; it goes with the services."""
        return Path(self._folders.enter_context(tempfile.TemporaryDirectory(prefix="securetag-")))

    def start(
        self,
        name: str,
        arguments: list[str],
        *,
        ready: Callable[[], bool],
        extra: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> Service:
        """Start `python -m …` and wait for `ready`; `extra` sets variables, an empty value unsets one.

        Raises UnavailableError with the end of its log.
        """
        log = self._home / "logs" / f"{name}.log"
        environment = {**os.environ, **self._environment, **(extra or {})}
        environment = {variable: value for variable, value in environment.items() if value}
        with log.open("ab") as sink:
            process = ChildProcess(
                [sys.executable, *arguments],
                env=environment,
                stdout=sink,
                stderr=sink,
                limits=Limits(confined=True),
            )
        service = Service(name, process, log)
        self._running.append(service)
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not process.running:
                raise UnavailableError(
                    f"{name} ended with {process.end()}: {log_tail(log)}", hint=f"See {log}"
                )
            if time.monotonic() > deadline:
                raise UnavailableError(f"{name} did not answer in {timeout_s:.0f} s", hint=f"See {log}")
            time.sleep(0.1)
        return service

    def running(self) -> list[Service]:
        """Return the running services in the order in which they were started."""
        return [service for service in self._running if service.process.running]

    def ended(self) -> list[Service]:
        """Return the services that have ended by themselves."""
        return [service for service in self._running if not service.process.running]


def lock_home(home: Path) -> FileLock:
    """Return the lock of a home's services, taken; the end of this process releases it too.

    Raises ConflictError with what runs, where, and how to stop it.
    """
    path = home / "run" / LOCK
    lock = try_lock(path)
    if lock is None:
        # Empty for the moment between the other process's lock and its writing.
        holder = path.read_text(encoding="ascii").strip()
        running = [f"{SHOWN[name]} {url}" for name, url in _addresses(home).items()]
        kill = f" or `kill {holder}`" if holder else ""
        raise ConflictError(
            ", ".join([f"the services of {home} already run: process {holder or 'unknown'}", *running]),
            hint=f"Use them, or stop them with Ctrl-C in their terminal{kill}. "
            "For others beside them set SECURETAG_HOME to another folder.",
        )
    try:
        path.write_text(str(os.getpid()), encoding="ascii")
    except OSError:
        lock.release()
        raise
    return lock


def _addresses(home: Path) -> dict[str, str]:
    """Return the addresses of the living services that a person opens, by name."""
    addresses = {}
    for name, entry in read_services(home / "run").items():
        # Entries of services that have ended stay in the file.
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            os.kill(int(entry["pid"]), 0)
            if name in SHOWN:
                addresses[name] = str(entry["url"])
    return addresses


def is_republished(home: Path, name: str) -> Callable[[], bool]:
    """Return a test of whether `<home>/run/<name>.json` has been written since this call.

    What an earlier run left there says nothing of the service that starts now, and isn't ours to delete:
    the service itself refuses to start while another one owns the file.
    """
    path = home / "run" / f"{name}.json"

    def version() -> tuple[int, int] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    before = version()
    return lambda: version() not in (None, before)


def published(home: Path, name: str) -> JsonObject:
    """Return what a service wrote of itself into `<home>/run/<name>.json`; empty while it hasn't."""
    try:
        entry = json.loads((home / "run" / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}
