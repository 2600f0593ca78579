"""One client's connection, within limits that no client can sit out.

Uvicorn bounds neither the time in which a request must arrive nor the time that an answer may wait for
its reader. This protocol ends a connection whose request line or headers are too large (414, 431) or too
slow (408), whose body trickles (408) or whose answer isn't read, and makes room for a new client by
ending the connection that has waited longest without a whole request.

Uvicorn's own cap, `limit_concurrency`, counts silent connections and then refuses everybody: not used.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from http import HTTPStatus
from typing import ClassVar, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from securetag.api.errors import problem_response
from securetag.settings.sections import ApiSettings

log = logging.getLogger(__name__)

#: Seconds that a refused client gets to read why. Closing at once would reset the connection instead.
LINGER_S = 2.0
#: Bytes that are parsed at a time: 16 KiB of one-byte chunks take 10 ms, a whole read of 256 KiB 0.2 s.
SLICE = 16 * 1024
#: File descriptors that are kept for the database, the storage and temporary files.
SPARE_DESCRIPTORS = 64

#: What is waited for: the rest of a line and headers; the rest of a body that is being read, or of one
#: that was answered already; the next request.
Phase = Literal["head", "body", "rest", "idle"]

#: Slug and detail of the problem that a refused client reads.
_PROBLEMS = {
    HTTPStatus.BAD_REQUEST: ("invalid-request", "this is not an HTTP request"),
    HTTPStatus.REQUEST_TIMEOUT: ("too-slow", "the request arrived too slowly"),
    HTTPStatus.REQUEST_URI_TOO_LONG: ("too-large", "the request line is too long"),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: ("too-large", "the headers are too large"),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "too many connections are open"),
}


class LimitedProtocol(H11Protocol):
    """Uvicorn's HTTP/1.1 protocol with deadlines and a cap on connections."""

    limits: ClassVar[ApiSettings] = ApiSettings()
    max_connections: ClassVar[int] = limits.max_connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; where all places are taken, end another connection or refuse this one."""
        self._phase: Phase | None = None
        #: The request that the phase belongs to: its clock must not run on into the next one.
        self._phase_of: object = None
        self._since = self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        #: Received and not parsed yet; reading is paused while a read is taken slice by slice.
        self._backlog = bytearray()
        self._slicing = False
        self._refused = False
        super().connection_made(transport)
        if len(self.connections) > self.max_connections and not self._evict_another():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, linger_s=0)
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._backlog.clear()
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        # Uvicorn's own is left running where the connection was lost by an error.
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Parse slice by slice, so that other clients are served in between."""
        if self._refused:
            return
        self._backlog += data
        if not self._slicing:
            self._parse()

    def pause_writing(self) -> None:
        """The client doesn't read: it gets as long as a body may pause."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.body_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Uvicorn calls this for whatever h11 can't read or refuses to read on."""
        del msg
        unparsed = self.conn.trailing_data[0]
        if self._phase == "body" or len(unparsed) <= self.limits.max_head:
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif b"\n" in unparsed:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG)

    def _parse(self) -> None:
        if self._refused or self.transport.is_closing():
            self._backlog.clear()
            return
        piece = bytes(self._backlog[:SLICE])
        del self._backlog[:SLICE]
        if self._phase == "body":
            earned = len(piece) / self.limits.min_body_rate
            self._deadline = min(self._deadline + earned, self.loop.time() + self.limits.body_timeout_s)
        super().data_received(piece)
        self._watch()
        if self._backlog:
            self._slicing = True
            self.transport.pause_reading()
            self.loop.call_soon(self._parse)
        elif self._slicing:
            self._slicing = False
            if not self.flow.read_paused and not self.transport.is_closing():
                self.transport.resume_reading()

    def _current_phase(self) -> Phase | None:
        """None while it is the api that is waited for."""
        if self.conn.their_state is h11.SEND_BODY:
            return "rest" if self.cycle.response_complete else "body"
        if self.conn.their_state is not h11.IDLE:
            return None
        return "head" if self.cycle is None or self.conn.trailing_data[0] else "idle"

    def _watch(self) -> None:
        """Start the clock of the phase that has begun."""
        if self._refused:
            return
        phase = self._current_phase()
        if (phase, self.cycle) == (self._phase, self._phase_of):
            return
        self._phase, self._phase_of = phase, self.cycle
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if phase is not None:
            self._since = self.loop.time()
            self._deadline = self._since + self._seconds(phase)
            self._timer = self.loop.call_at(self._deadline, self._look)

    def _seconds(self, phase: Phase) -> float:
        if phase in {"head", "rest"}:
            return self.limits.head_timeout_s
        if phase == "body":
            return self.limits.body_timeout_s
        return self.timeout_keep_alive

    def _look(self) -> None:
        """The clock has run out, unless bytes came meanwhile or it is the api that doesn't take them."""
        now = self.loop.time()
        if self._phase == "body" and (
            self.flow.read_paused or self._backlog or self.cycle.waiting_for_100_continue
        ):
            self._deadline = now + self.limits.body_timeout_s
        if now < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look)
        elif self._phase == "body" or (self._phase == "head" and self.conn.trailing_data[0]):
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _evict_another(self) -> bool:
        """End the connection that has waited longest without a whole request; False where none waits."""
        waiting = [
            other
            for other in self.connections
            if isinstance(other, LimitedProtocol) and other is not self and other._is_evictable()
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda other: other._since)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _is_evictable(self) -> bool:
        return self._phase in {"head", "rest", "idle"} and not self.transport.is_closing()

    def _refuse(self, status: HTTPStatus, *, linger_s: float = LINGER_S) -> None:
        """Answer with a problem where no answer has begun, take nothing more, and close."""
        self._refused = True
        self._phase, self._since = "rest", self.loop.time()
        self._backlog.clear()
        self._unset_keepalive_if_required()
        if self._timer is not None:
            self._timer.cancel()
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering:
            # The application sees that its client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        log.debug("%s refused with %d", self.client, status)
        if answering and self.cycle.response_started:
            self.transport.abort()
            return
        self.transport.write(_answer(status))
        if linger_s:
            # What is on its way is read and dropped: closing on it would reset the connection.
            self._slicing = self.flow.read_paused = False
            self.transport.resume_reading()
            self.transport.write_eof()
            self._timer = self.loop.call_later(linger_s, self.transport.abort)
        else:
            self.transport.close()


def make_protocol(settings: ApiSettings) -> type[LimitedProtocol]:
    """The protocol with the limits of `settings`, as `uvicorn.Config(http=…)` takes it."""
    return type(
        "LimitedProtocol",
        (LimitedProtocol,),
        {"limits": settings, "max_connections": count_allowed_connections(settings)},
    )


def count_allowed_connections(settings: ApiSettings) -> int:
    """`max_connections`, or as many as the process's limit on file descriptors allows."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return settings.max_connections
    return max(1, min(settings.max_connections, soft - SPARE_DESCRIPTORS))


def _answer(status: HTTPStatus) -> bytes:
    """A whole HTTP/1.1 answer, past h11, which may be in any state."""
    slug, detail = _PROBLEMS[status]
    hint = "Try again in a moment." if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    answer = problem_response(status, slug, detail, hint=hint, headers={"Connection": "close"})
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body)
