"""Claim, work, report, again: until told to stop.

Nothing of a task outlives its attempt here. What the queue must know is sent at the end, and findings that a
model is asked about before. A worker that is killed ends nothing, and the lease's end gives the task to
another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from structlog.contextvars import bound_contextvars
from tenacity import (
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)
from uuid_utils.compat import uuid7

from securetag.client.queue import QueueClient
from securetag.errors import (
    AuthenticationError,
    FencedError,
    LimitError,
    PermissionDeniedError,
    SecuretagError,
    UnavailableError,
    VersionError,
)
from securetag.settings import Settings
from securetag.wire.queue import Lease, ResultRequest, TaskKind
from securetag.worker.attempt import Attempt, CancelledError, ReleasedError
from securetag.worker.metrics import WorkerMetrics
from securetag.worker.sandbox import Workspace
from securetag.worker.sending import BACKOFF_S, send_while_away, shorten, warn
from securetag.worker.tasks import codeaudit, imported, web

log = logging.getLogger(__name__)

TaskFunction = Callable[[Attempt], ResultRequest]
TASKS: Mapping[TaskKind, TaskFunction] = {
    "codeaudit": codeaudit.run,
    "web": web.run,
    "import": imported.run,
}


class Runner:
    """One thread's loop over the queue."""

    def __init__(
        self,
        client: QueueClient,
        settings: Settings,
        workspace: Workspace,
        *,
        stop: threading.Event,
        tasks: Mapping[TaskKind, TaskFunction] = TASKS,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._client = client
        self._settings = settings
        self._workspace = workspace
        self._stop = stop
        self._tasks = tasks
        self._metrics = metrics or WorkerMetrics()
        self._current: Attempt | None = None
        #: True while the api is asked for a task. A process that ends then loses nothing: the api claims no
        #: task for a worker that has hung up, and the lease of one claimed at that very moment runs out.
        self.is_waiting = False

    def run(self, *, once: bool = False) -> bool:
        """Work until `stop` is set. With `once`: at most one task, and True when there was one.

        Raises AuthenticationError or PermissionDeniedError when the api refuses the worker's key, and
        VersionError when one of the two must be updated.
        """
        while not self._stop.is_set():
            lease = self._claim(0 if once else self._settings.worker.poll_s)
            if lease is not None:
                self.attempt(lease)
            if once:
                return lease is not None
        return False

    def _claim(self, wait_s: float) -> Lease | None:
        """Ask for a task until the api answers; None where it has none, or the worker is told to stop."""

        def ask() -> Lease | None:
            self.is_waiting = True
            try:
                return self._client.next(
                    [kind for kind in self._settings.worker.kinds if kind in self._tasks], wait_s
                )
            finally:
                self.is_waiting = False

        def may_pass(error: BaseException) -> bool:
            stays_wrong = isinstance(error, AuthenticationError | PermissionDeniedError | VersionError)
            return isinstance(error, SecuretagError) and not stays_wrong

        retrying = Retrying(
            retry=retry_if_exception(may_pass),
            wait=wait_exponential_jitter(max=BACKOFF_S[1], jitter=BACKOFF_S[0], multiplier=BACKOFF_S[0]),
            stop=stop_when_event_set(self._stop),
            sleep=sleep_using_event(self._stop),
            before_sleep=partial(warn, "no task could be claimed"),
            retry_error_callback=lambda _: None,
        )
        return retrying(ask)

    def release(self) -> None:
        """Give the running task back for another try."""
        current = self._current
        if current is not None:
            current.end(ReleasedError("the worker was told to stop"))

    def attempt(self, lease: Lease) -> None:
        """Do one task to its end; whatever happens is reported, or left to the lease."""
        with (
            bound_contextvars(task_id=str(lease.task_id), request_id=str(uuid7())),
            self._workspace.task() as folder,
        ):
            attempt = Attempt(lease, self._client, self._settings, folder, self._metrics)
            log.info("task %s: attempt %d of %d", lease.task_id, lease.attempt, lease.max_attempts)
            self._current = attempt
            try:
                with attempt.kept_alive():
                    began = time.monotonic()
                    result = self._done(attempt)
                    self._metrics.count_attempt(lease.kind, time.monotonic() - began, result)
                    if result is not None:
                        self._report(attempt, result)
            finally:
                self._current = None

    def _done(self, attempt: Attempt) -> ResultRequest | None:
        """Return the attempt's result; None when the lease is lost."""
        task = attempt.lease.task_id
        try:
            return self._tasks[attempt.lease.kind](attempt)
        except (FencedError, CancelledError) as error:
            log.warning("task %s dropped: %s", task, error)
            return None
        except SecuretagError as error:
            log.warning("task %s is given back: %s", task, error)
            return ResultRequest(task_id=task, outcome="retry", error=str(error))
        except Exception as error:
            # A fault of ours, or of the machine (a full disk): others may do better, and the
            # attempts are counted.
            log.exception("task %s failed", task)
            return ResultRequest(
                task_id=task, outcome="retry", error=f"{type(error).__name__}: {error}"[:500]
            )

    def _report(self, attempt: Attempt, result: ResultRequest) -> None:
        try:
            answer = send_while_away(self._client.result, attempt.lease, result)
        except FencedError as error:
            # Also the answer to a repeated result whose first answer was lost: it counted once.
            log.warning("task %s: %s was not taken: %s", result.task_id, result.outcome, error)
        except UnavailableError:
            log.error("task %s: the api stayed away; the lease runs out", result.task_id)
        except SecuretagError as error:
            self._refused(attempt, result, error)
        else:
            log.info("task %s: %s, %d findings", result.task_id, answer.state, answer.findings)

    def _refused(self, attempt: Attempt, result: ResultRequest, error: SecuretagError) -> None:
        """The api won't take this result: send less of it, or else end the task with the reason."""
        log.error("task %s: the result was refused: %s", result.task_id, error)
        tries = [
            ResultRequest(
                task_id=result.task_id, outcome="failed", error=f"the result can't be stored: {error}"[:1_000]
            )
        ]
        if isinstance(error, LimitError) and result.findings:
            tries.insert(0, shorten(result))
        for less in tries:
            try:
                self._client.result(attempt.lease, less)
            except SecuretagError as again:
                log.error("task %s: so was a shorter one: %s", result.task_id, again)
            else:
                return
