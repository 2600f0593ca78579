"""A fake Ollama: it holds no model and runs none. It enforces the published HTTP contract, no more.

No binary of Ollama can be installed where these tests run, so what is tested here is that our requests
are well-formed and that we read the documented replies; not that a real server likes the model.
Contract: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from loopback_server import LoopbackServer

from securetag.records import JsonObject
from securetag.serving import gguf

_CREATE = {
    "model",
    "from",
    "files",
    "adapters",
    "template",
    "license",
    "system",
    "parameters",
    "messages",
    "quantize",
    "stream",
}
_CHAT = {
    "model",
    "messages",
    "tools",
    "stream",
    "format",
    "options",
    "keep_alive",
    "think",
    "logprobs",
    "top_logprobs",
}
_PARAMETERS = {"temperature", "num_ctx", "stop", "seed", "num_predict", "top_k", "top_p", "repeat_penalty"}
#: A reply in pieces; the word that begins a verdict is one of them.
_PIECE = re.compile(r"(?s)(?:true|false)(?=_positive)|.{1,7}?(?=(?:true|false)_positive)|.{1,7}")


def _score(piece: str) -> JsonObject:
    """Return a piece with its log-probability; beside a verdict's word the other one is less likely."""
    others = {"true": "false", "false": "true"}
    alternatives = [{"token": others[piece], "logprob": -3.0}] if piece in others else []
    return {"token": piece, "logprob": -0.1, "top_logprobs": alternatives}


@dataclass
class Stop:
    """A request at which the server stops: before it does what it is asked, or after, without a reply."""

    method: str
    path: str
    when: str
    #: Such requests that pass before it.
    passing: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


class FakeOllama(LoopbackServer):
    """One server on loopback. `blobs`, `models` and `requests` are there to be looked at.

    With `api_keys` it answers 401 without one of them, as the proxy in front of a rented one does.
    """

    def __init__(self, port: int = 0) -> None:
        self.blobs: dict[str, bytes] = {}
        self.models: dict[str, JsonObject] = {}
        self.requests: list[tuple[str, str]] = []
        #: What a chat answers; a function of the request asks a real model instead.
        self.answer: str | Callable[[JsonObject], str] = '{"evidence":[1],"verdict":"true_positive"}'
        #: Where there are any, one of them must come with each request.
        self.api_keys: set[str] = set()
        #: Called when a request has come.
        self.observe: Callable[[], None] = lambda: None
        #: Log-probabilities came with 0.12.11.
        self.version = "0.34.1"
        #: Shown instead of the given one, as where the server thinks that it has a better one.
        self.template: str | None = None
        self.stop: Stop | None = None
        self.clock = itertools.count(1)
        fake = self

        class Handler(_Handler):
            ollama = fake

        super().__init__(Handler, port)
        self.host = self.url


class _Handler(BaseHTTPRequestHandler):
    ollama: FakeOllama
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):  # of a client that was killed
            super().handle_one_request()

    def do_HEAD(self) -> None:
        if not self._admit():
            return
        is_held = self.path.removeprefix("/api/blobs/") in self.ollama.blobs
        self._reply(200 if is_held else 404, None)

    def do_GET(self) -> None:
        if not self._admit():
            return None
        if self.path != "/api/tags":
            return self._reply(404, {"error": "not found"})
        models = [
            {
                "name": name,
                "model": name,
                "digest": made["digest"],
                "size": 1,
                "modified_at": f"2026-11-01T00:{made['made'] // 60:02}:{made['made'] % 60:02}Z",
                "details": {"format": "gguf", "family": "llama"},
            }
            for name, made in self.ollama.models.items()
        ]
        return self._reply(200, {"models": models})

    def do_DELETE(self) -> None:
        body = self._body()
        if not self._admit():
            return None
        name = self._full(json.loads(body)["model"])
        if self.ollama.models.pop(name, None) is None:
            return self._reply(404, {"error": f"model '{name}' not found"})
        return self._reply(200, None)

    def do_POST(self) -> None:
        body = self._body()
        if not self._admit():
            return None
        if self.path.startswith("/api/blobs/"):
            return self._blob(self.path.removeprefix("/api/blobs/"), body)
        try:
            request = json.loads(body)
        except ValueError:
            return self._reply(400, {"error": "invalid JSON"})
        route = {
            "/api/create": self._create,
            "/api/show": self._show,
            "/api/chat": self._chat,
            "/api/copy": self._copy,
        }
        return route.get(self.path, lambda _: self._reply(404, {"error": "not found"}))(request)

    def _blob(self, digest: str, body: bytes) -> None:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            return self._reply(400, {"error": "invalid digest"})
        if hashlib.sha256(body).hexdigest() != digest.removeprefix("sha256:"):
            return self._reply(400, {"error": "digest does not match"})
        self.ollama.blobs[digest] = body
        return self._reply(201, None)

    def _create(self, request: JsonObject) -> None:
        unknown = set(request) - _CREATE | set(request.get("parameters") or {}) - _PARAMETERS
        if unknown or not request.get("model"):
            return self._reply(400, {"error": f"unexpected: {sorted(unknown)}"})
        if request.get("adapters"):  # since 0.34.1
            return self._reply(400, {"error": "adapters are no longer supported"})
        files = request.get("files") or {}
        if not files and not request.get("from"):
            return self._reply(400, {"error": "neither 'from' or 'files' was specified"})
        if missing := [digest for digest in files.values() if digest not in self.ollama.blobs]:
            return self._reply(400, {"error": f"blob {missing[0]} not found"})
        weights = self.ollama.blobs[next(iter(files.values()))]
        if not weights.startswith(b"GGUF"):
            return self._reply(400, {"error": "invalid file magic"})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.gguf"
            path.write_bytes(weights)
            shown = {k: v for k, v in gguf.read_metadata(path).items() if not k.startswith("GGUF.")}
        if shown.get("general.type") == "adapter":
            return self._reply(400, {"error": "adapters are no longer supported"})
        layers = {name: request.get(name) for name in ("template", "license", "system", "parameters")}
        manifest = json.dumps([files, layers], sort_keys=True).encode()
        made = {"digest": hashlib.sha256(manifest).hexdigest(), "made": next(self.ollama.clock)}
        self.ollama.models[self._full(request["model"])] = {**request, **made, "info": shown}
        return self._reply(200, {"status": "success"})

    def _copy(self, request: JsonObject) -> None:
        source = self.ollama.models.get(self._full(request["source"]))
        if source is None:
            return self._reply(404, {"error": f"model '{request['source']}' not found"})
        made = {"made": next(self.ollama.clock)}
        self.ollama.models[self._full(request["destination"])] = source | made
        return self._reply(200, None)

    def _show(self, request: JsonObject) -> None:
        made = self._named(request)
        if made is None:
            return self._reply(404, {"error": "model not found"})
        return self._reply(
            200,
            {
                "template": self.ollama.template or made["template"],
                "system": made.get("system", ""),
                "parameters": "",
                "license": "\n".join(made["license"]),
                "model_info": made["info"],
                "details": {"format": "gguf"},
                "capabilities": ["completion"],
            },
        )

    def _chat(self, request: JsonObject) -> None:
        if unknown := set(request) - _CHAT:
            return self._reply(400, {"error": f"unexpected: {sorted(unknown)}"})
        if self._named(request) is None:
            return self._reply(404, {"error": f"model '{request['model']}' not found"})
        answer = self.ollama.answer if isinstance(self.ollama.answer, str) else self.ollama.answer(request)
        has_logprobs = bool(request.get("logprobs")) and self.ollama.version != "0.12.10"
        lines = [
            {
                "model": request["model"],
                "created_at": "2026-11-01T00:00:00Z",
                "done": False,
                "message": {"role": "assistant", "content": piece},
                "logprobs": [_score(piece)] if has_logprobs else None,
            }
            for piece in _PIECE.findall(answer)
        ]
        lines.append(
            {
                "model": request["model"],
                "created_at": "2026-11-01T00:00:00Z",
                "done": True,
                "done_reason": "stop",
                "message": {"role": "assistant", "content": ""},
                "prompt_eval_count": 70,
                "eval_count": 18,
                "total_duration": 5,
                "eval_duration": 3,
            }
        )
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        self._stop_after()
        for line in lines:
            self.wfile.write(json.dumps(line).encode() + b"\n")
        self.close_connection = True

    def _named(self, request: JsonObject) -> JsonObject | None:
        return self.ollama.models.get(self._full(str(request.get("model"))))

    def _full(self, name: str) -> str:
        return name if ":" in name else f"{name}:latest"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _admit(self) -> bool:
        """Note the request; answer it here and return False without the key, or where a stop drops it."""
        self.ollama.requests.append((self.command, self.path))
        self.ollama.observe()
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.ollama.api_keys and key not in self.ollama.api_keys:
            self._reply(401, {"error": "unauthorized"})
            return False
        if self._stops("before"):
            self.close_connection = True
            return False
        return True

    def _stops(self, when: str) -> bool:
        stop = self.ollama.stop
        if stop is None or (stop.method, stop.when) != (self.command, when) or stop.path not in self.path:
            return False
        if stop.passing:
            stop.passing -= 1
            return False
        stop.reached.set()
        stop.go_on.wait(60)
        return True

    def _stop_after(self) -> None:
        if self._stops("after"):
            raise ConnectionError("the client was killed meanwhile")

    def _reply(self, status: int, value: object) -> None:
        self._stop_after()
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
