"""Starts the services of one home, restarts those that end, and stops them all at the end.

One process at a time runs the services of a home: it holds a lock for as long as they run.

Each service is a process of its own in a session of its own, so that Ctrl-C in the terminal reaches
only this process, which then stops the others in order. Should this process be killed, the kernel
ends the services, and each of them ends its own tools.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from securetag.errors import ConflictError, UnavailableError
from securetag.system.files import make_private_folder
from securetag.system.locks import FileLock, try_lock
from securetag.system.processes import ChildProcess, Limits, log_tail
from securetag.system.services import announce_service, read_services

#: Below `<home>/run`; whoever runs the home's services holds a lock on it and writes its process id there.
LOCK = "services.lock"
#: Services that a person opens: name in `services.json`, and what they are called.
SHOWN = {"api": "api", "dagster": "Dagster UI"}
#: Services that others need stop in a later wave. Seconds that each wave may take before what is left of it
#: is killed; ten in all, with one for reaping. Dagster's code server would take a minute while a client holds
#: a call.
STOP_S = (4.0, 2.0, 3.0)
#: The part of a wave's time after which a second SIGTERM is sent: a worker then gives its task back at once.
INSIST_AFTER = 0.6
#: Seconds before the first restart of a service that has ended, doubling with each further one.
RESTART_S = 0.5
#: Restarts without `STABLE_S` seconds of life between them, after which it is given up.
MAX_RESTARTS = 5
STABLE_S = 60.0
POLL_S = 0.05


@dataclass
class Service:
    """One process, and how it is started again."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    log: Path
    process: ChildProcess
    #: Index into `STOP_S`.
    wave: int
    #: What `services.json` says of it, with the current process id; empty: it announces itself, or nothing.
    url: str = ""
    #: Times that it has ended since it last lived for `STABLE_S` seconds.
    ends: int = 0
    started_at: float = 0.0
    #: When it is started again, by the monotonic clock; None while it runs.
    restart_at: float | None = None


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
        for wave, seconds in enumerate(STOP_S):
            _stop([service.process for service in self._running if service.wave == wave], seconds)
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
        wave: int = 0,
    ) -> Service:
        """Start `python -m …` and wait for `ready`; see `launch` and `wait` for arguments and errors."""
        service = self.launch(name, arguments, extra=extra, wave=wave)
        self.wait(service, ready, timeout_s=timeout_s)
        return service

    def launch(
        self, name: str, arguments: list[str], *, extra: Mapping[str, str] | None = None, wave: int = 0
    ) -> Service:
        """Start `python -m …` without waiting; `extra` sets variables, an empty value unsets one.

        `wave` is 0 for what no other service needs (see `STOP_S`).
        """
        log = self._home / "logs" / f"{name}.log"
        environment = {**os.environ, **self._environment, **(extra or {})}
        environment = {variable: value for variable, value in environment.items() if value}
        process = _launch(arguments, environment, log)
        service = Service(name, arguments, environment, log, process, wave, started_at=time.monotonic())
        self._running.append(service)
        return service

    def wait(self, service: Service, ready: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        """Wait until `ready`. Raises UnavailableError, with the end of the service's log."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not service.process.running:
                raise UnavailableError(
                    f"{service.name} ended with {service.process.end()}: {log_tail(service.log)}",
                    hint=f"See {service.log}",
                )
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{service.name} did not answer in {timeout_s:.0f} s", hint=f"See {service.log}"
                )
            time.sleep(0.1)

    def running(self) -> list[Service]:
        """Return the running services in the order in which they were started."""
        return [service for service in self._running if service.process.running]

    def announce(self, service: Service, url: str) -> None:
        """Say in `services.json` where a service listens, now and after each restart."""
        service.url = url
        announce_service(self._home / "run", service.name, {"url": url, "pid": service.process.pid})

    def restart_ended(self) -> Iterator[str]:
        """Start again what has ended, each after a pause that grows; yield what happened, in words.

        Called again and again, by the thread that started the services. Raises UnavailableError for one that
        keeps ending.
        """
        for service in self._running:
            now = time.monotonic()
            if service.restart_at is None:
                if service.process.running:
                    service.ends = 0 if now - service.started_at > STABLE_S else service.ends
                    continue
                exit_code = service.process.end()
                service.ends += 1
                if service.ends > MAX_RESTARTS:
                    raise UnavailableError(
                        f"{service.name} has ended {service.ends} times in a row, now with {exit_code}: "
                        f"{log_tail(service.log)}",
                        hint=f"See {service.log}; then start it again with `securetag up`.",
                    )
                pause = RESTART_S * 2 ** (service.ends - 1)
                service.restart_at = now + pause
                yield f"{service.name} ended with {exit_code}; it is started again in {pause:g} s"
            elif now >= service.restart_at:
                service.process = _launch(service.arguments, service.environment, service.log)
                service.started_at, service.restart_at = now, None
                if service.url:
                    self.announce(service, service.url)


def _launch(arguments: list[str], environment: Mapping[str, str], log: Path) -> ChildProcess:
    with log.open("ab") as sink:
        return ChildProcess(
            [sys.executable, *arguments],
            env=environment,
            stdout=sink,
            stderr=sink,
            limits=Limits(confined=True),
        )


def _stop(processes: list[ChildProcess], seconds: float) -> None:
    """End them all at once: SIGTERM, again after a while, and SIGKILL to the groups of what is left."""
    started = time.monotonic()
    for limit in (seconds * INSIST_AFTER, seconds):
        for process in processes:
            process.terminate()
        while any(process.running for process in processes) and time.monotonic() < started + limit:
            time.sleep(POLL_S)
    for process in processes:
        # A service ends its own children in order; what it leaves is killed.
        process.end(0)


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
