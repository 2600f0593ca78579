"""Answers that go on while something happens: server-sent events, a bounded number of them a process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from securetag.errors import UnavailableError
from securetag.records import JsonObject

#: Streams of one process, and of one tenant: each asks the database once a second.
MAX_STREAMS = 64
MAX_OF_TENANT = 16
#: Milliseconds after which a client connects again.
RETRY_MS = 2_000


class TooManyStreamsError(UnavailableError):
    """The process serves as many streams as it may."""


class Streams:
    """The streams of one process."""

    def __init__(self) -> None:
        self._open: Counter[UUID] = Counter()
        #: Set when the process is told to end: every stream ends, and its client connects to another one.
        self.closing = asyncio.Event()

    def check(self, tenant_id: UUID) -> None:
        """Raise TooManyStreamsError where this tenant may not open another stream."""
        if self._open.total() >= MAX_STREAMS or self._open[tenant_id] >= MAX_OF_TENANT:
            raise TooManyStreamsError(
                "too many scans are followed at once", hint="Ask for the scan itself now and then instead."
            )

    async def pause(self, seconds: float) -> bool:
        """Wait; return False where the process ends meanwhile."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return True
        return False

    def answer(self, tenant_id: UUID, events: AsyncIterator[bytes]) -> StreamingResponse:
        """Return the answer that sends these events, counted as long as it lasts."""
        self.check(tenant_id)
        counter = self._open

        class Counted(StreamingResponse):
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                counter[tenant_id] += 1
                try:
                    await super().__call__(scope, receive, send)
                finally:
                    counter[tenant_id] -= 1
                    if not counter[tenant_id]:
                        del counter[tenant_id]

        # A proxy that collects an answer before it passes it on would keep the events.
        return Counted(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


#: What OpenAPI says of such an answer: before 3.2 its `schema` describes each event.
EVENT_STREAM: JsonObject = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": {"type": "string"},
                "data": {"type": "string", "description": "JSON."},
                "retry": {"type": "integer", "description": "Milliseconds."},
            },
        }
    }
}


def format_event(name: str, data: str) -> bytes:
    """Return one event as it is sent."""
    return format_sse_event(event=name, data_str=data, retry=RETRY_MS)


#: Keeps the connection open through proxies that close idle ones.
SIGN_OF_LIFE = format_sse_event(comment="")
