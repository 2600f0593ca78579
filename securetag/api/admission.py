"""Shed load: a bounded number of calls may wait for the database; one more is refused at once.

A call counts from its arrival to the beginning of its answer. Not counted, and never refused, is what waits
without the database: health, metrics, what workers send, streams and the bodies of uploads.
"""

from __future__ import annotations

import random
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from securetag.api.errors import problem_response

#: Calls that may wait for each connection of the pool. At 4 ms a call a full queue is a second long.
WAITING_PER_CONNECTION = 32
#: Seconds after which a refused client may come back: at random, so that not all come at once, and before its
#: idle connection is closed.
RETRY_AFTER_S = (2, 4)
#: Beginnings and ends of paths that never wait here.
_EXEMPT, _STREAMS = ("/healthz", "/metrics", "/queue/", "/docs", "/openapi.json"), ("/events",)


class Admission:
    """Pure ASGI middleware that lets at most `limit` counted calls in."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit
        #: Calls that are let in and haven't begun to answer.
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_EXEMPT) or scope["path"].endswith(_STREAMS):
            await self.app(scope, receive, send)
            return
        if self.inside >= self.limit:
            await self._refuse(scope)(scope, receive, send)
            return
        if scope["method"] not in {"GET", "HEAD", "DELETE"}:
            # Its body may take long to arrive, and keeps nobody else out meanwhile.
            await self.app(scope, receive, send)
            return
        self.inside += 1
        is_counted = True

        async def answer(message: Message) -> None:
            nonlocal is_counted
            if is_counted and message["type"] == "http.response.start":
                # A client may take long to read the answer.
                is_counted = False
                self.inside -= 1
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            if is_counted:
                self.inside -= 1

    def _refuse(self, scope: Scope) -> ASGIApp:
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "overloaded",
            "too many calls wait already",
            hint="Repeat the call after the seconds that Retry-After says.",
            instance=scope["path"],
            request_id=str(scope.get("securetag.request_id", "")),
            headers={"Retry-After": str(random.randint(*RETRY_AFTER_S))},
        )
