"""An authenticating proxy in front of a real model server, with the faults of those that one rents.

It forwards to a real llama.cpp server and streams what that answers. What it stands for: RunPod's proxy,
which cuts a request that has no answer after 100 s with 524 (`cut_s` scales that down), a login page, a
server that still loads its model, one that ignores JSON schemas, one that has no log-probabilities.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import httpx
from loopback_server import LoopbackServer

LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}


class ModelProxy(LoopbackServer):
    """One proxy on loopback; its faults are attributes that a test sets."""

    def __init__(self, upstream: str, *, api_key: str) -> None:
        self.upstream, self.api_key = upstream, api_key
        #: Seconds without an answer after which a request is cut.
        self.cut_s = 60.0
        #: Seconds that the model takes before it answers a chat.
        self.delay_s = 0.0
        #: Until this moment of the monotonic clock the model loads.
        self.loads_until = 0.0
        #: Fields that are taken out of each chat request.
        self.ignored: set[str] = set()
        #: Answers everything instead of the server.
        self.page: bytes | None = None
        #: Lets anybody in.
        self.is_open = False
        self.statuses: list[int] = []
        proxy = self

        class Handler(_Handler):
            owner = proxy

        super().__init__(Handler)


class _Handler(BaseHTTPRequestHandler):
    owner: ModelProxy

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _serve(self, body: bytes) -> None:
        owner = self.owner
        with suppress(ConnectionError):
            if not owner.is_open and self.headers.get("Authorization") != f"Bearer {owner.api_key}":
                self._answer(401, b'{"error":{"message":"invalid key"}}')
            elif owner.page is not None:
                self._answer(200, owner.page, "text/html")
            elif time.monotonic() < owner.loads_until:
                self._answer(503, json.dumps(LOADING).encode())
            else:
                self._forward(body)

    def _forward(self, body: bytes) -> None:
        owner = self.owner
        if body:
            if owner.delay_s >= owner.cut_s:
                time.sleep(owner.cut_s)
                return self._answer(524, b"<html>A timeout occurred</html>", "text/html")
            time.sleep(owner.delay_s)
            forwarded = {name: value for name, value in json.loads(body).items() if name not in owner.ignored}
            body = json.dumps(forwarded).encode()
        url = owner.upstream + self.path
        with httpx.stream(self.command, url, content=body, timeout=owner.cut_s, trust_env=False) as response:
            self._begin(response.status_code, response.headers["content-type"])
            for piece in response.iter_raw():
                self.wfile.write(piece)
                self.wfile.flush()

    def _begin(self, status: int, kind: str) -> None:
        self.owner.statuses.append(status)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self._begin(status, kind)
        self.wfile.write(body)
