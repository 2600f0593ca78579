"""Connections to our own runtime: kept open between calls, given up when the server is."""

from __future__ import annotations

import asyncio

import pytest

from securetag.serving.connections import HttpStatusError, LoopbackConnections

pytestmark = pytest.mark.sockets


class Runtime:
    """A server that counts its connections and answers `replies` of them each, then closes."""

    def __init__(self, *replies: bytes) -> None:
        self.connections = 0
        self._replies = replies

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/models"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for reply in self._replies:
                if not await reader.read(65536):
                    break
                writer.write(reply)
        finally:
            writer.close()


def reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def test_a_connection_is_kept_and_replaced_when_the_server_has_closed_it() -> None:
    runtime = Runtime(reply(b"1"), reply(b'{"error": {"message": "no slot"}}', b"503 No"), reply(b"3"))

    async def ask() -> None:
        connections = LoopbackConnections({})
        async with runtime as url:
            assert await connections.request("GET", url) == b"1"
            with pytest.raises(HttpStatusError, match="HTTP 503: no slot"):
                await connections.request("POST", url, b"{}")
            assert await connections.request("GET", url) == b"3"
            assert runtime.connections == 1
            await asyncio.sleep(0.05)  # the server closes it
            assert await connections.request("GET", url) == b"1"
            assert runtime.connections == 2
            await connections.aclose()

    asyncio.run(ask())


def test_a_chunked_reply_is_whole_and_a_server_elsewhere_gets_connections_of_its_own() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n"
    first, second = Runtime(chunked, chunked), Runtime(reply(b"2"))

    async def ask() -> None:
        connections = LoopbackConnections({"Authorization": "Bearer key"})
        async with first as url, second as other:
            assert await connections.request("GET", url) == b"{} "
            assert await connections.request("GET", other) == b"2"
            assert await connections.request("GET", url) == b"{} "
            await connections.aclose()
        assert (first.connections, second.connections) == (2, 1)

    asyncio.run(ask())


def test_a_canceled_call_closes_its_connection() -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()
        await writer.wait_closed()
        closed.set()

    async def ask() -> None:
        connections = LoopbackConnections({})
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connections.request("POST", url, b"{}")
            async with asyncio.timeout(5):
                await closed.wait()

    asyncio.run(ask())


@pytest.mark.parametrize("url", ["https://127.0.0.1:1/", "http://127.0.0.1/", "http://", "x"])
def test_an_address_that_no_runtime_has_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not the address"):
        asyncio.run(LoopbackConnections({}).request("GET", url))
