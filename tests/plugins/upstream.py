"""The internet of a test: a server on loopback that is every host of the catalog, with an authority for TLS.

`resolve_to(upstream)` changes how names resolve in this process, and nothing else: the client connects to
loopback, but checks the certificate of, and sends its request to, the host that the URL names.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

import trustme

#: Stands for every host name; the guard against private addresses accepts it.
PUBLIC_ADDRESS = "93.184.215.14"


@dataclass
class Request:
    """A request as the server received it."""

    url: str
    headers: dict[str, str]
    #: How many requests for this URL came before it.
    number: int


@dataclass
class Reply:
    """What is sent, byte for byte; without one a stored body is served as a good server would."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    #: Sent instead of the body, one after the other.
    chunks: Iterable[bytes] = ()
    #: Content-Length that is claimed; by default the length of the body. -1: none, the connection ends it.
    length: int | None = None


Body = bytes | Callable[[Request], "Reply | bytes"]


class Upstream:
    """Serves `bodies` by URL under http and https; keeps what was asked for."""

    def __init__(self, hosts: Iterable[str], bodies: dict[str, Body] | None = None) -> None:
        self.bodies: dict[str, Body] = dict(bodies or {})
        #: By URL without its query, for what `bodies` doesn't hold.
        self.queries: dict[str, Body] = {}
        self.requests: list[Request] = []
        #: Most requests in progress at the same time, by host.
        self.most: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._lock = Lock()
        self._authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(*sorted({*hosts, "localhost"})).configure_cert(context)
        self.servers = {"http": self._serve(None), "https": self._serve(context)}

    def port(self, scheme: str) -> int:
        """Return the port of loopback that stands for the port of `scheme`."""
        return self.servers[scheme].server_port

    def write_authority(self, path: Path) -> Path:
        """Write the certificate of the authority for SSL_CERT_FILE and return its path."""
        self._authority.cert_pem.write_to_path(path)
        return path

    def urls(self) -> list[str]:
        """Return the URLs that were asked for, in order."""
        return [request.url for request in self.requests]

    def close(self) -> None:
        """End both servers."""
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    def _serve(self, context: ssl.SSLContext | None) -> ThreadingHTTPServer:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            scheme = "https" if context else "http"
            timeout = 30

            def setup(self) -> None:
                if context:  # here, in the thread of the connection: a client may refuse the certificate
                    self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def finish(self) -> None:
                try:
                    super().finish()
                finally:
                    self.request.close()

            def do_GET(self) -> None:
                upstream._answer(self, f"{self.scheme}://{self.headers['Host']}{self.path}")

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                pass  # a client that goes away, or that doesn't trust the authority

        server = Server(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server

    def _answer(self, handler: BaseHTTPRequestHandler, url: str) -> None:
        host = urlsplit(url).netloc
        with self._lock:
            number = sum(request.url == url for request in self.requests)
            request = Request(url, dict(handler.headers), number)
            self.requests.append(request)
            self._open[host] += 1
            self.most[host] = max(self.most[host], self._open[host])
        try:
            body = self.bodies.get(url, self.queries.get(url.partition("?")[0]))
            answer = body(request) if callable(body) else body
            reply = (
                Reply(404, b"not found")
                if answer is None
                else serve_file(answer, request)
                if isinstance(answer, bytes)
                else answer
            )
            _send(handler, reply)
        finally:
            with self._lock:
                self._open[host] -= 1


def serve_file(body: bytes, request: Request) -> Reply:
    """Return what a good server answers: with a strong ETag, conditional requests and ranges (RFC 9110)."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    if request.headers.get("If-None-Match") == etag:
        return Reply(304, headers=headers)
    wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if wanted and request.headers.get("If-Range", etag) == etag:
        start = int(wanted[1])
        if start >= len(body):
            return Reply(416, headers={"Content-Range": f"bytes */{len(body)}"})
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return Reply(206, body[start:], headers)
    return Reply(200, body, headers)


def drip(body: bytes, size: int, pause_s: float) -> Iterator[bytes]:
    """Yield the body in pieces of `size` bytes, with a pause before each but the first."""
    for start in range(0, len(body), size):
        if start:
            time.sleep(pause_s)
        yield body[start : start + size]


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    length = len(reply.body) if reply.length is None else reply.length
    if reply.status != 304 and length >= 0:
        handler.send_header("Content-Length", str(length))
    if length != len(reply.body) or reply.chunks:
        handler.send_header("Connection", "close")
        handler.close_connection = True
    handler.end_headers()
    for chunk in reply.chunks or (reply.body,):
        handler.wfile.write(chunk)
        handler.wfile.flush()


@contextmanager
def resolve_to(http_port: int, https_port: int) -> Iterator[None]:
    """Let every host name lead to loopback: port 80 to `http_port`, port 443 to `https_port`."""
    ports = {80: http_port, 443: https_port}
    original, original_connect = socket.getaddrinfo, socket.create_connection

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer the guard of a crawl, which looks at the address before it connects."""
        if port in ports and host not in ("127.0.0.1", "localhost"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC_ADDRESS, port))]
        return original(host, port, *args, **kwargs)

    def create_connection(address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        host, port = address
        target = ("127.0.0.1", ports[port]) if port in ports else (host, port)
        return original_connect(target, *args, **kwargs)

    socket.getaddrinfo, socket.create_connection = getaddrinfo, create_connection  # type: ignore[assignment]
    try:
        yield
    finally:
        socket.getaddrinfo, socket.create_connection = original, original_connect


def main() -> None:
    """Run the command line with the internet of a test, in a process that a test can kill.

    UPSTREAM_PORTS holds both ports.
    """
    from securetag.cli import app

    http_port, https_port = map(int, os.environ["UPSTREAM_PORTS"].split(","))
    with resolve_to(http_port, https_port):
        app()


if __name__ == "__main__":
    main()
