"""Starts the services of one home, waits until each answers, and stops them all at the end.

Each service is a process of its own in a session of its own, so that Ctrl-C in the terminal reaches
only this process, which then stops the others in order. Should this process be killed, the kernel
ends the services (`securetag.scanning.launch` asks it to), and each of them ends its own tools.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from securetag.errors import UnavailableError
from securetag.system.files import make_private_folder

#: `launch`'s limits of memory and file size: services have none.
UNLIMITED = "-1"
#: Seconds that a service gets to end by itself before it is killed. PostgreSQL's clean stop
#: writes a checkpoint, the slowest of them.
STOP_S = 15.0


@dataclass
class Service:
    """One running process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Services:
    """A context manager; leaving it stops what was started, the last one first."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self._environment = dict(environment)
        self._running: list[Service] = []
        self._folders = ExitStack()
        for name in ("run", "logs"):
            make_private_folder(home / name)

    def __enter__(self) -> Services:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in reversed(self._running):
            self._stop(service)
        self._running.clear()
        self._folders.close()

    def socket_folder(self) -> Path:
        """A private folder for sockets, whose paths must be short; it goes with the services."""
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
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", "securetag.scanning.launch", str(os.getpid()),
                 UNLIMITED, UNLIMITED, "--", sys.executable, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )  # fmt: skip
        service = Service(name, process, log)
        self._running.append(service)
        deadline = time.monotonic() + timeout_s
        while not ready():
            if process.poll() is not None:
                raise UnavailableError(
                    f"{name} ended with {process.returncode}: {tail(log)}", hint=f"See {log}"
                )
            if time.monotonic() > deadline:
                raise UnavailableError(f"{name} did not answer in {timeout_s:.0f} s", hint=f"See {log}")
            time.sleep(0.1)
        return service

    def running(self) -> list[Service]:
        """Services that live, in the order in which they were started."""
        return [service for service in self._running if service.process.poll() is None]

    def ended(self) -> list[Service]:
        """Services that have ended although nobody asked them to."""
        return [service for service in self._running if service.process.poll() is not None]

    def _stop(self, service: Service) -> None:
        if service.process.poll() is None:
            service.process.send_signal(signal.SIGTERM)
            try:
                service.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log, on one line."""
    try:
        text = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return " | ".join(line.strip() for line in text[-lines:] if line.strip())


def published(home: Path, name: str) -> dict[str, Any]:
    """What a service wrote of itself into `<home>/run/<name>.json`; empty while it hasn't."""
    try:
        found = json.loads((home / "run" / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
