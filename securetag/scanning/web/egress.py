"""The only way out of a web scan: an HTTP proxy that reaches one target and no internal address.

A scanner follows redirects and tries whatever a hostile application makes it try. So it gets this proxy
and no other way: host and port must be the target's; the name is resolved for each connection, every address
is checked, and the connection goes to the address that was checked. A redirect comes back as a request
and is checked like any other, and a name that leads elsewhere a moment later changes nothing.

::

    async with EgressProxy(EgressPolicy(parse_target("https://shop.example.com"))) as proxy:
        ...  # proxy.url; proxy.report says what went through and what was refused

Requests by plain HTTP are forwarded one by one, with the target's own `Host`. HTTPS goes through `CONNECT`
as it is, so that of it connections and bytes are counted.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import h11

from securetag.scanning.web.addresses import Network, Refusal, Target, check_address
from securetag.system.gateway import GATEWAY_URL, short_path
from securetag.system.isolation import probe

log = logging.getLogger(__name__)

#: (host, port) → IP addresses. Raises OSError.
Resolve = Callable[[str, int], Awaitable[list[str]]]

#: Name of the socket in the folder of a tool.
GATEWAY_SOCKET = "gateway"
#: Bytes of a request's or an answer's head.
MAX_HEAD = 128 * 1024
CHUNK = 64 * 1024
#: Refusals that are logged one by one; the report counts all.
MAX_LOGGED = 20
#: Headers of an answer that is the proxy's own: the `Refusal`, or why the target gave none.
REFUSED_HEADER, FAILED_HEADER = "X-Securetag-Refused", "X-Securetag-Failed"
_TARGET = re.compile(rb"http://([^/?#]*)([^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:[^@]*@)?(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\[\]]+))(?::(\d{1,5}))?")
#: Of one connection, so never forwarded.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"expect",
    }
)


class RefusedError(Exception):
    """The connection is not made, or not continued."""

    def __init__(self, reason: Refusal, what: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class EgressPolicy:
    """What a scan may reach, and how much of it."""

    target: Target
    allow_loopback: bool = False
    #: That the operator has allowed beside the public ones.
    networks: Collection[Network] = ()
    #: Requests by HTTP, connections by HTTPS.
    max_requests: int = 50_000
    #: Bytes in both directions.
    max_bytes: int = 1 << 30
    #: Seconds from the first connection on.
    timeout_s: float = 3_600.0
    #: Seconds until a connection is open, and seconds without a byte.
    connect_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    max_connections: int = 32


@dataclass
class EgressReport:
    """What went through a proxy, and what did not."""

    requests: int = 0
    bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)


async def resolve_host(host: str, port: int) -> list[str]:
    """Return the addresses of a host in the system's order. Raises OSError."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


class EgressProxy:
    """A proxy on a free loopback port, while the block runs.

    With `tool_folder`, which an isolated tool can write, it listens at a socket there instead, where tools
    can be isolated: the tool has no network but what leads to it (`securetag.system.gateway`).
    """

    def __init__(
        self, policy: EgressPolicy, *, resolve: Resolve = resolve_host, tool_folder: Path | None = None
    ) -> None:
        self.policy = policy
        self.report = EgressReport()
        #: For a scanner's settings, once the block has begun.
        self.url = ""
        #: The socket that the scanner's gateway leads to.
        self.gateway = tool_folder / GATEWAY_SOCKET if tool_folder is not None and not probe() else None
        self._resolve = resolve
        self._slots = asyncio.Semaphore(policy.max_connections)
        self._connections: set[asyncio.Task[None]] = set()
        self._deadline: float | None = None

    async def __aenter__(self) -> Self:
        if self.gateway is not None:
            listener = socket.socket(socket.AF_UNIX)
            with short_path(self.gateway) as short:
                listener.bind(short)
            self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=CHUNK)
            self.url = GATEWAY_URL
            return self
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        if self.gateway is not None:
            self.gateway.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(_Peer(self, reader, writer, h11.SERVER)))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, client: _Peer) -> None:
        """Answer one connection's requests."""
        try:
            while await self._answer(client):
                client.http.start_next_cycle()
        except RefusedError as error:
            self._note(error)
        except (OSError, TimeoutError, h11.ProtocolError) as error:
            log.debug("a connection of the scanner ended: %s", error)
        finally:
            client.close()

    async def _answer(self, client: _Peer) -> bool:
        """Answer one request; True where another may follow."""
        request = await client.receive()
        if not isinstance(request, h11.Request):
            return False
        try:
            async with self._slots:
                if request.method == b"CONNECT":
                    await self._tunnel(client, request)
                    return False
                await self._forward(client, request)
        except RefusedError as error:
            self._note(error)
            await client.reply(403, str(error), error.reason)
        except h11.RemoteProtocolError as error:
            await client.reply(502, f"the target's answer is not HTTP: {error}")
        except TimeoutError:
            await client.reply(504, "the target doesn't answer in time")
        except OSError as error:
            await client.reply(502, f"the target can't be reached: {error}")
        return client.http.our_state is h11.DONE and client.http.their_state is h11.DONE

    async def _forward(self, client: _Peer, request: h11.Request) -> None:
        match = _TARGET.fullmatch(request.target)
        if match is None:
            raise RefusedError(Refusal.MALFORMED, "a request without an http URL")
        self._admit(match[1].decode("latin-1"), 80)
        server = await self._connect()
        try:
            path = match[2] if match[2].startswith(b"/") else b"/" + match[2]
            target = self.policy.target
            # Of the URL, not the scanner's: at one address there may be others' applications.
            host = target.origin.removeprefix(f"{target.scheme}://").encode()
            headers = [(b"Host", host), (b"Connection", b"close"), *_kept(request.headers)]
            await server.send(h11.Request(method=request.method, target=path, headers=headers))
            await _relay(client, server)
            await _relay(server, client)
        finally:
            server.close()

    async def _tunnel(self, client: _Peer, request: h11.Request) -> None:
        self._admit(request.target.decode("latin-1"), None)
        server = await self._connect()
        try:
            await client.receive()  # the end of the request; what follows is for the target
            await client.send(h11.Response(status_code=200, headers=[], reason=b"Connected"))
            await server.write(client.http.trailing_data[0])
            copies = [
                asyncio.create_task(client.copy_to(server)),
                asyncio.create_task(server.copy_to(client)),
            ]
            try:
                # Whoever ends first ends both: HTTP over TLS has no use for half a connection.
                await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for copy in copies:
                    copy.cancel()
                for error in await asyncio.gather(*copies, return_exceptions=True):
                    if isinstance(error, RefusedError):
                        self._note(error)
        finally:
            server.close()

    def _admit(self, authority: str, default_port: int | None) -> None:
        """Count a request. Raises RefusedError for another host or port, and at the limit."""
        match = _AUTHORITY.fullmatch(authority)
        host = (match[1] or match[2]).lower().removesuffix(".") if match else ""
        port = int(match[3]) if match and match[3] else default_port
        if (host, port) != (self.policy.target.host, self.policy.target.port):
            raise RefusedError(Refusal.OTHER_HOST, authority[:200])
        if self.report.requests >= self.policy.max_requests:
            raise RefusedError(Refusal.LIMIT, f"more than {self.policy.max_requests:,} requests")
        self.report.requests += 1

    async def _connect(self) -> _Peer:
        """Open a connection to an address of the target, after all of them were checked."""
        policy = self.policy
        async with asyncio.timeout(min(policy.connect_timeout_s, self.left_s())):
            addresses = await self._resolve(policy.target.host, policy.target.port)
            for address in addresses:
                refusal = check_address(
                    address, allow_loopback=policy.allow_loopback, networks=policy.networks
                )
                if refusal is not None:
                    raise RefusedError(refusal, f"{policy.target.host} is {address}")
            failure: OSError = OSError(f"{policy.target.host} has no address")
            for address in addresses:
                try:
                    streams = await asyncio.open_connection(address, policy.target.port, limit=CHUNK)
                    return _Peer(self, *streams, h11.CLIENT)
                except OSError as error:
                    failure = error
            raise failure

    def left_s(self) -> float:
        """Return the seconds of the scan's time that are left. Raises RefusedError where there are none."""
        now = asyncio.get_running_loop().time()
        self._deadline = self._deadline or now + self.policy.timeout_s
        if now >= self._deadline:
            raise RefusedError(Refusal.LIMIT, f"more than {self.policy.timeout_s:.0f} s")
        return self._deadline - now

    def count(self, size: int) -> None:
        """Count bytes. Raises RefusedError at the limit."""
        self.report.bytes += size
        if self.report.bytes > self.policy.max_bytes:
            raise RefusedError(Refusal.LIMIT, f"more than {self.policy.max_bytes:,} bytes")

    def _note(self, error: RefusedError) -> None:
        self.report.refused[error.reason] += 1
        if self.report.refused.total() <= MAX_LOGGED:
            log.warning("refused to connect: %s", error)


class _Peer:
    """One end of a connection: the scanner or the target."""

    def __init__(
        self,
        proxy: EgressProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        role: type[h11.CLIENT] | type[h11.SERVER],
    ) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=MAX_HEAD)
        self._proxy, self._reader, self._writer = proxy, reader, writer

    async def receive(self) -> h11.Event | None:
        """Return the next event; None where there is none to wait for. Raises h11.RemoteProtocolError."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self._read())
        return event if isinstance(event, h11.Event) else None

    async def send(self, event: h11.Event) -> None:
        await self.write(self.http.send(event) or b"")

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def copy_to(self, other: _Peer) -> None:
        """Copy bytes until this end closes."""
        while data := await self._read():
            await other.write(data)

    async def reply(self, status: int, text: str, refusal: Refusal | None = None) -> None:
        """Answer in the target's stead, unless its answer has begun; ends the connection."""
        if self.http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        body = f"Securetag: {text}\n".encode()
        headers = [("Content-Length", str(len(body))), ("Connection", "close")]
        if refusal is not None:
            headers.append((REFUSED_HEADER, refusal.value))
        else:
            headers.append((FAILED_HEADER, text[:200].encode("ascii", "replace").decode().replace("\n", " ")))
        with suppress(OSError):
            await self.send(h11.Response(status_code=status, headers=headers))
            await self.send(h11.Data(data=body))
            await self.send(h11.EndOfMessage())

    def close(self) -> None:
        self._writer.close()

    async def _read(self) -> bytes:
        async with asyncio.timeout(min(self._proxy.policy.idle_timeout_s, self._proxy.left_s())):
            data = await self._reader.read(CHUNK)
        self._proxy.count(len(data))
        return data


def _kept(headers: h11._headers.Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers that the other side gets."""
    left_out = {b"host", *_HOP_BY_HOP}
    if any(name == b"transfer-encoding" for name, _ in headers):
        left_out.add(b"content-length")
    return [(name, value) for name, value in headers.raw_items() if name.lower() not in left_out]


async def _relay(source: _Peer, sink: _Peer) -> None:
    """Send one message, head and body, on; its head too where it is an answer."""
    while True:
        event = await source.receive()
        if isinstance(event, h11.Response):
            await sink.send(
                h11.Response(status_code=event.status_code, headers=_kept(event.headers), reason=event.reason)
            )
        elif isinstance(event, h11.Data | h11.EndOfMessage):
            await sink.send(event if isinstance(event, h11.Data) else h11.EndOfMessage())
            if isinstance(event, h11.EndOfMessage):
                return
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the message is cut off")
