"""Pure ASGI middleware: a request id, body limits, metrics, the access log.

Pure, because two `BaseHTTPMiddleware` layers halved the throughput when measured.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars
from uuid_utils.compat import uuid7

from securetag.api.errors import handle_unexpected_error, problem_response
from securetag.api.metrics import Metrics
from securetag.system.logs import REQUEST_ID_HEADER

access_log = logging.getLogger("securetag.access")

#: A caller's own id is kept where it can't break a log line.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

#: What the page of the api's documentation may load: its parts, and the script that is written into it.
DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class Observe:
    """Give every request an id, count it, log it, and set the headers that every answer carries."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if _REQUEST_ID.fullmatch(given) else str(uuid7())
        scope["securetag.request_id"] = identity
        # The log lines of this request name it; `read_principal` adds whose it is.
        clear_contextvars()
        bind_contextvars(request_id=identity)
        status = 0
        started = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = identity
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
                if scope["path"].startswith("/docs"):
                    headers.setdefault("Content-Security-Policy", DOCS_POLICY)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            if status:
                # Half an answer is out: the server must cut the connection.
                raise
            await handle_unexpected_error(scope, error)(scope, receive, answer)
        finally:
            # The route's template, not the path: ids would give every call its own time series.
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.perf_counter() - started
            method = self.metrics.observe(scope["method"], route, status or 500, seconds)
            access_log.info(
                "request",
                extra={
                    "method": method,
                    "route": route,
                    "status": status or 500,
                    "duration_ms": round(seconds * 1000, 2),
                },
            )


class BodyLimit:
    """Refuse a body over the limit of its path: by its Content-Length at once, else while it streams."""

    def __init__(self, app: ASGIApp, limit: Callable[[str, str], int]) -> None:
        self.app = app
        #: (method, path) → bytes.
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit(scope["method"], scope["path"])
        declared = Headers(scope=scope).get("content-length", "")
        detail = f"the body has more than the {limit:,} bytes that this path takes"
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
            answer = problem_response(
                413,
                "too-large",
                detail,
                hint="Send less, or have the operator raise the limit.",
                instance=scope["path"],
                request_id=str(scope.get("securetag.request_id", "")),
                # The rest of the body stays unread, so the connection can't carry another call.
                headers={"Connection": "close"},
            )
            await answer(scope, receive, send)
            return
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    # FastAPI passes an HTTPException through its body parsing unchanged.
                    raise HTTPException(413, detail)
            return message

        await self.app(scope, limited, send)
