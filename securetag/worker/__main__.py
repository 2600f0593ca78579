"""`python -m securetag.worker [--once] [--concurrency N]`: work until SIGTERM or SIGINT.

The first signal lets running tasks finish for GRACE_S seconds and then gives them back; a second
one gives them back at once. Exits with 0; with 1 when the api refuses the key or the worker's version,
or a setting is wrong. `--once` does at most one task, and exits with 3 when there was none.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Protocol

from securetag.errors import SecuretagError, SettingsError
from securetag.settings import Settings, get_settings
from securetag.system.extras import describe_failure, exit_if_missing
from securetag.system.isolation import has_process_limit, probe

with exit_if_missing():
    from securetag.client.queue import QueueClient
    from securetag.scanning.external import list_scanners, make_scanner
    from securetag.scanning.web.scanner import select_scanners
    from securetag.system.logs import configure_logs
    from securetag.system.metrics import serve_metrics
    from securetag.worker.metrics import WorkerMetrics
    from securetag.worker.runner import Runner
    from securetag.worker.sandbox import Workspace

log = logging.getLogger("securetag.worker")

#: Seconds that a running task may go on after the first signal. Kubernetes kills after 30.
GRACE_S = 10.0
NOTHING_TO_DO = 3


def main(argv: list[str] | None = None) -> int:
    """Run the worker; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m securetag.worker", description="Scan what is queued.")
    parser.add_argument("--once", action="store_true", help="do at most one task and end")
    parser.add_argument("--concurrency", type=int, default=1, metavar="N", help="tasks at a time (1)")
    options = parser.parse_args(argv)
    # Whatever is written from here on, by scanners too, may hold customers' code.
    os.umask(0o077)
    configure_logs()
    try:
        return work(once=options.once, concurrency=max(1, options.concurrency))
    except SecuretagError as error:
        print(*describe_failure(str(error), error.hint), sep="\n", file=sys.stderr)
        return 1


def work(*, once: bool, concurrency: int) -> int:
    """Start the loops and wait for their end. Raises SettingsError and what `Runner.run` raises."""
    settings = get_settings()
    _check_isolation(settings)
    if "codeaudit" in settings.worker.kinds:
        for name in list_scanners(settings):
            log.info("scanner %s: %s", name, make_scanner(name, settings).detect())
    if "web" in settings.worker.kinds:
        _look_for_web_scanners(settings)
    stop = threading.Event()
    client = QueueClient(settings.worker, f"{socket.gethostname()}:{os.getpid()}")
    outcomes: list[bool | SecuretagError] = []
    metrics, worker = WorkerMetrics(), settings.worker
    with (
        serve_metrics(metrics.registry, worker.metrics_host, worker.metrics_port, section="worker"),
        Workspace(settings.run_dir) as workspace,
    ):
        runners = [
            Runner(client, settings, workspace, stop=stop, metrics=metrics) for _ in range(concurrency)
        ]

        def loop(runner: Runner) -> None:
            try:
                outcomes.append(runner.run(once=once))
            except SecuretagError as error:
                outcomes.append(error)
                stop.set()

        # Daemons, so that one which waits for the api's answer doesn't keep a stopped worker.
        threads = [
            threading.Thread(target=loop, args=(runner,), name="runner", daemon=True) for runner in runners
        ]
        _on_signals(stop, runners)
        log.info("working for %s", settings.worker.api_url)
        for thread in threads:
            thread.start()
        wait_for_end(threads, runners, stop)
    client.close()
    for outcome in outcomes:
        if isinstance(outcome, SecuretagError):
            raise outcome
    return NOTHING_TO_DO if once and not any(outcomes) else 0


def _check_isolation(settings: Settings) -> None:
    """Log how tools are isolated. Raises SettingsError where they must be and can't."""
    reason = probe()
    if not reason:
        log.info("tools run without a network, on a read-only view of the system")
        if not has_process_limit():
            log.warning("tools may start any number of processes: the worker is root and can't start others")
        return
    if settings.worker.isolation == "required":
        raise SettingsError(
            f"tools can't be isolated here: {reason}",
            hint="Allow user namespaces, or set SECURETAG_WORKER__ISOLATION=auto.",
        )
    log.warning("tools run with limits alone: %s", reason)


def _look_for_web_scanners(settings: Settings) -> None:
    """Log which there are. A worker that lacks one still audits code."""
    try:
        for scanner in select_scanners(settings):
            log.info("web scanner %s: %s", scanner.name, scanner.detect())
    except SettingsError as error:
        log.warning("web scans will fail here: %s. %s", error, error.hint)


class Waiting(Protocol):
    """A runner as far as its end is concerned."""

    is_waiting: bool


def wait_for_end(
    threads: Sequence[threading.Thread], runners: Sequence[Waiting], stop: threading.Event
) -> None:
    """Return when every thread has ended, or, after `stop`, none that lives has a task."""
    # Looked at together each time: a runner that waits may have a task a moment later.
    while any(
        thread.is_alive() and not (stop.is_set() and runner.is_waiting)
        for thread, runner in zip(threads, runners, strict=True)
    ):
        # A join without a limit would keep signals from being handled.
        for thread in threads:
            thread.join(0.1 / len(threads))


def _on_signals(stop: threading.Event, runners: list[Runner]) -> None:
    def release() -> None:
        for runner in runners:
            runner.release()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            release()
            return
        log.info("%s: finishing", signal.Signals(number).name)
        stop.set()
        timer = threading.Timer(GRACE_S, release)
        timer.daemon = True
        timer.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


if __name__ == "__main__":
    sys.exit(main())
