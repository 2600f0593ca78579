"""One attempt at one task: the lease that is kept alive beside the work, and the reasons to stop.

A thread sends heartbeats. When the lease is lost, the task is canceled or the worker is told to go,
it sets `stop`, which ends the running tool; `Attempt.check` then raises what happened, and nothing
else of the attempt is written.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from securetag.client.queue import QueueClient
from securetag.errors import FencedError, SecuretagError
from securetag.settings import Settings
from securetag.wire.queue import HEARTBEAT_S, Lease
from securetag.worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)


class CancelledError(SecuretagError):
    """The user canceled the task: clean up and send nothing."""

    slug = "cancelled"


class ReleasedError(SecuretagError):
    """The worker is going away: give the task back for another try."""

    slug = "released"


class TimeLimitError(SecuretagError):
    """The task used up its time."""

    slug = "time-limit"


class Attempt:
    """What a task's code gets to work with."""

    def __init__(
        self,
        lease: Lease,
        client: QueueClient,
        settings: Settings,
        folder: Path,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self.lease = lease
        self.client = client
        self.settings = settings
        self.metrics = metrics or WorkerMetrics()
        #: Private to this attempt, and gone after it.
        self.folder = folder
        #: Set when the work is to end now; tools take it as their `stop`.
        self.stop = threading.Event()
        self._began = time.monotonic()
        self._ended: SecuretagError | None = None
        self._wake = threading.Event()
        self._stage = ""
        self._group: int | None = None

    def stage(self, text: str) -> None:
        """Say what is being done, for the people who wait. Raises what `check_lease` raises."""
        self.check_lease()
        changed, self._stage = self._stage.split(" ")[0] != text.split(" ", maxsplit=1)[0], text
        if changed:
            self._wake.set()

    def tool_started(self, group: int | None) -> None:
        """The process group of the running tool, or None when it has ended."""
        self._group = group

    def left_s(self) -> float:
        """Seconds of the task's time limit that remain; zero or less when there are none."""
        return self.lease.time_limit_s - (time.monotonic() - self._began)

    def check(self) -> None:
        """Raise when the attempt is to end: what `check_lease` raises, or TimeLimitError.

        Only for the time before anything was found: afterwards the limit shortens what is left to do,
        and what is there is reported.
        """
        self.check_lease()
        if self.left_s() <= 0:
            raise TimeLimitError(
                f"the task took longer than its {self.lease.time_limit_s} s",
                hint="Upload less code, or have the limit raised.",
            )

    def check_lease(self) -> None:
        """Raise FencedError, CancelledError or ReleasedError when the lease is lost."""
        if self._ended is not None:
            raise self._ended

    def end(self, why: SecuretagError) -> None:
        """Stop the work; the first reason counts."""
        self._ended = self._ended or why
        self.stop.set()
        self._wake.set()

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Send heartbeats until the block ends."""
        done = threading.Event()
        # The same ids in its log lines and calls.
        beat = partial(contextvars.copy_context().run, self._beat, done)
        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            self._wake.set()
            thread.join()

    def _beat(self, done: threading.Event) -> None:
        # A lease shorter than usual still survives three lost heartbeats.
        interval = min(HEARTBEAT_S, self.lease.lease_s / 4)
        while True:
            self._wake.wait(interval)
            self._wake.clear()
            if done.is_set():
                return
            try:
                answer = self.client.heartbeat(self.lease, stage=self._stage, process_group=self._group)
            except FencedError as error:
                self.end(error)
                return
            except SecuretagError as error:
                # The lease may still be ours when the api comes back; only it can say.
                log.warning("heartbeat of %s failed: %s", self.lease.task_id, error)
                continue
            if answer.cancelled:
                self.end(CancelledError("the task was canceled"))
                return
