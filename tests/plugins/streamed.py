"""A transport that answers from a function, with bodies that arrive as from a connection: unread."""

from __future__ import annotations

from collections.abc import Callable

import httpx


class StreamedTransport(httpx.MockTransport):
    """`httpx.MockTransport`, whose responses the client still has to read."""

    def __init__(self, handler: Callable[[httpx.Request], httpx.Response]) -> None:
        super().__init__(lambda request: _unread(handler(request)))


def _unread(response: httpx.Response) -> httpx.Response:
    if not response.is_stream_consumed:
        return response
    stream = httpx.ByteStream(response.content)
    return httpx.Response(response.status_code, headers=response.headers, stream=stream)
