"""Send what a scan has found: again while the api is away, and shorter where it is too large."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential,
)

from securetag.client.queue import result_size
from securetag.errors import LimitError, UnavailableError
from securetag.wire.queue import FindingsRequest, Lease, ResultRequest, TriagedFinding

log = logging.getLogger(__name__)

#: Seconds between calls to an api that is away, doubling from the first to the second.
BACKOFF_S = (0.5, 15.0)
#: Bytes of a body with its findings' code whole; below the api's own default limit (`api.max_result`).
MAX_RESULT = 250 << 20
#: Lines on each side of a flagged one that are kept of a body which was too large.
NEXT_TO = 2
#: Times that a call to an api that is away is made, before the lease is left to run out.
RESULT_TRIES = 12

Sent = TypeVar("Sent", FindingsRequest, ResultRequest)
Answer = TypeVar("Answer")


def send_while_away(
    call: Callable[[Lease, Sent], Answer], lease: Lease, body: Sent, stop: threading.Event | None = None
) -> Answer:
    """Return the answer of `call`, which is repeated while the api is away, until `stop` is set.

    Raises what `call` raises, UnavailableError after RESULT_TRIES.
    """
    if result_size(body) > MAX_RESULT:
        # An api that refuses a body may hang up before the worker reads why.
        body = shorten(body)
    return repeat_while_away(partial(call, lease, body), f"task {body.task_id}: it is sent again", stop)


def repeat_while_away(
    call: Callable[[], Answer], log_line: str, stop: threading.Event | None = None
) -> Answer:
    """Return the answer of `call`, which is repeated while the api is away, until `stop` is set.

    Raises what `call` raises, UnavailableError after RESULT_TRIES. `log_line` begins the log of a failure.
    """
    event = stop or threading.Event()
    retrying = Retrying(
        retry=retry_if_exception_type(UnavailableError),
        wait=wait_exponential(BACKOFF_S[0], max=BACKOFF_S[1]),
        stop=stop_after_attempt(RESULT_TRIES) | stop_when_event_set(event),
        sleep=sleep_using_event(event),
        before_sleep=partial(warn, log_line),
        reraise=True,
    )
    return retrying(call)


def send_or_shorten(
    call: Callable[[Lease, Sent], Answer], lease: Lease, body: Sent, stop: threading.Event | None = None
) -> Answer:
    """As `send_while_away`; what the api finds too large is sent once more, shorter."""
    try:
        return send_while_away(call, lease, body, stop)
    except LimitError as error:
        log.warning("task %s: sent again, shorter: %s", body.task_id, error)
        return send_while_away(call, lease, shorten(body), stop)


def warn(what: str, state: RetryCallState) -> None:
    """Log why a try has failed."""
    assert state.outcome is not None, "a try has failed"
    log.warning("%s: %s", what, state.outcome.exception())


def shorten(body: Sent) -> Sent:
    """The body with each finding's code cut to the lines next to the flagged ones."""

    def cut(triaged: TriagedFinding) -> TriagedFinding:
        finding = triaged.finding
        lines = finding.snippet.split("\n")
        flagged = max(0, finding.start_line - finding.snippet_line)
        first, last = max(0, flagged - NEXT_TO), flagged + NEXT_TO + 1
        code = "\n".join(lines[first:last])
        shorter = msgspec.structs.replace(
            finding, snippet=code, snippet_line=finding.snippet_line + first, code_slice=[]
        )
        return triaged.model_copy(update={"finding": shorter})

    return body.model_copy(update={"findings": [cut(triaged) for triaged in body.findings]})
