"""The HTTP connections of a model client: to our own runtime, and to any other server.

Our own runtime listens on loopback, without TLS, proxy or redirect. Through httpx a call to it costs the
worker about 3 ms of CPU, most of it in layers for what a loopback connection never needs; h11 over asyncio's
streams needs a quarter of that (`python -m benchmarks serving.client`). All else goes through httpx.

Used inside one event loop, whose caller bounds the time of each call by canceling it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import h11
import httpx

#: Bytes of any reply beyond which a server talks nonsense.
MAX_REPLY = 4 << 20
#: Bytes that are read at once.
_CHUNK = 1 << 16


class HttpStatusError(ValueError):
    """A reply with an error's status."""

    def __init__(self, status_code: int, reason: str) -> None:
        super().__init__(f"HTTP {status_code}: {reason}")
        self.status_code = status_code


class Connections(Protocol):
    """Connections that are kept open between calls."""

    async def request(self, method: str, url: str, content: bytes = b"") -> bytes:
        """Return the body of a successful reply. `content` is JSON.

        Raises HttpStatusError with the server's reason, ValueError for a body beyond MAX_REPLY, OSError,
        httpx.HTTPError or h11.ProtocolError for a server that is absent, breaks off or speaks no HTTP.
        """

    async def aclose(self) -> None:
        """Close the connections."""


class RemoteConnections:
    """Connections to any server, through the proxies of the environment."""

    def __init__(self, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(timeout=None, headers=headers, transport=transport)

    async def request(self, method: str, url: str, content: bytes = b"") -> bytes:
        kind = {"Content-Type": "application/json"} if content else {}
        body = b""
        async with self._http.stream(method, url, content=content, headers=kind) as response:
            async for piece in response.aiter_bytes():
                body += piece
                _check_size(body)
        _check_status(response.status_code, body)
        return body

    async def aclose(self) -> None:
        await self._http.aclose()


class LoopbackConnections:
    """Connections to the server that was asked last, which listens on loopback."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = list(headers.items())
        self._address: tuple[str, int] | None = None
        self._idle: list[_Connection] = []

    async def request(self, method: str, url: str, content: bytes = b"") -> bytes:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError(f"{url} is not the address of a server on this machine")
        headers = [("Host", parts.netloc), *self._headers]
        if content:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        connection = await self._connect((parts.hostname, parts.port))
        try:
            status, body = await connection.exchange(
                h11.Request(method=method, target=parts.path, headers=headers), content
            )
        except BaseException:
            # Canceled ones too: the server must see that nobody waits for its answer.
            connection.close()
            raise
        if connection.is_reusable and connection.address == self._address:
            self._idle.append(connection)
        else:
            connection.close()
        _check_status(status, body)
        return body

    async def aclose(self) -> None:
        self._address = None
        while self._idle:
            self._idle.pop().close()

    async def _connect(self, address: tuple[str, int]) -> _Connection:
        if address != self._address:
            await self.aclose()  # that server was replaced
            self._address = address
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            connection.close()
        return _Connection(address, *await asyncio.open_connection(*address))


class _Connection:
    """One connection, which has one request at a time."""

    def __init__(
        self, address: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.address = address
        self.is_reusable = False
        self._http = h11.Connection(h11.CLIENT)
        self._reader, self._writer = reader, writer

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, as far as is known."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def exchange(self, request: h11.Request, content: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and body of its reply. Raises as `Connections.request`."""
        http = self._http
        events = [request, *([h11.Data(data=content)] if content else []), h11.EndOfMessage()]
        self._writer.write(b"".join(http.send(event) or b"" for event in events))
        status, body = 0, bytearray()
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await self._reader.read(_CHUNK))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                _check_size(body)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                raise OSError("the server closed the connection")
        self.is_reusable = http.our_state is h11.DONE and http.their_state is h11.DONE
        if self.is_reusable:
            http.start_next_cycle()
        return status, bytes(body)

    def close(self) -> None:
        """Close it at once, whatever is still under way."""
        self._writer.transport.abort()


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > MAX_REPLY:
        raise ValueError("the reply has no end")


def _check_status(status: int, body: bytes) -> None:
    if not 200 <= status < 300:
        raise HttpStatusError(status, _read_reason(body))


def _read_reason(body: bytes) -> str:
    """Return the message of an error reply, shortened."""
    try:
        return str(json.loads(body)["error"]["message"])[:300]
    except (ValueError, TypeError, KeyError):
        return body[:300].decode(errors="replace")
