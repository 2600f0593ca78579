"""A fake Ollama: it holds no model and runs none. It enforces the published HTTP contract, no more.

No binary of Ollama can be installed where these tests run, so what is tested here is that our requests
are well-formed and that we read the documented replies; not that a real server likes the model.
Contract: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from securetag.records import JsonObject
from securetag.serving import gguf

_CREATE = {"model", "from", "files", "adapters", "template", "license", "system", "parameters", "messages",
           "quantize", "stream"}  # fmt: skip
_CHAT = {"model", "messages", "tools", "stream", "format", "options", "keep_alive", "think", "logprobs",
         "top_logprobs"}  # fmt: skip
_PARAMETERS = {"temperature", "num_ctx", "stop", "seed", "num_predict", "top_k", "top_p", "repeat_penalty"}


class FakeOllama:
    """One server on loopback. `blobs`, `models` and `requests` are there to be looked at."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.models: dict[str, JsonObject] = {}
        self.requests: list[tuple[str, str]] = []
        self.answer = '{"evidence":[1],"verdict":"true_positive"}'
        fake = self

        class Handler(_Handler):
            ollama = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> FakeOllama:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    ollama: FakeOllama
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._note()
        found = self.path.removeprefix("/api/blobs/") in self.ollama.blobs
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self._note()
        if self.path != "/api/tags":
            return self._reply(404, {"error": "not found"})
        models = [
            {
                "name": name,
                "model": name,
                "digest": made["digest"],
                "size": 1,
                "modified_at": "2026-11-01T00:00:00Z",
                "details": {"format": "gguf", "family": "llama"},
            }
            for name, made in self.ollama.models.items()
        ]
        return self._reply(200, {"models": models})

    def do_POST(self) -> None:
        self._note()
        body = self._body()
        if self.path.startswith("/api/blobs/"):
            return self._blob(self.path.removeprefix("/api/blobs/"), body)
        try:
            asked = json.loads(body)
        except ValueError:
            return self._reply(400, {"error": "invalid JSON"})
        route = {"/api/create": self._create, "/api/show": self._show, "/api/chat": self._chat}
        return route.get(self.path, lambda _: self._reply(404, {"error": "not found"}))(asked)

    def _blob(self, digest: str, body: bytes) -> None:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            return self._reply(400, {"error": "invalid digest"})
        if hashlib.sha256(body).hexdigest() != digest.removeprefix("sha256:"):
            return self._reply(400, {"error": "digest does not match"})
        self.ollama.blobs[digest] = body
        return self._reply(201, None)

    def _create(self, asked: JsonObject) -> None:
        unknown = set(asked) - _CREATE | set(asked.get("parameters") or {}) - _PARAMETERS
        if unknown or not asked.get("model"):
            return self._reply(400, {"error": f"unexpected: {sorted(unknown)}"})
        files = asked.get("files") or {}
        if not files and not asked.get("from"):
            return self._reply(400, {"error": "neither 'from' or 'files' was specified"})
        if missing := [digest for digest in files.values() if digest not in self.ollama.blobs]:
            return self._reply(400, {"error": f"blob {missing[0]} not found"})
        weights = self.ollama.blobs[next(iter(files.values()))]
        if not weights.startswith(b"GGUF"):
            return self._reply(400, {"error": "invalid file magic"})
        name = asked["model"] if ":" in asked["model"] else f"{asked['model']}:latest"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.gguf"
            path.write_bytes(weights)
            shown = {k: v for k, v in gguf.read_metadata(path).items() if not k.startswith("GGUF.")}
        self.ollama.models[name] = {**asked, "digest": hashlib.sha256(weights).hexdigest(), "info": shown}
        return self._reply(200, {"status": "success"})

    def _show(self, asked: JsonObject) -> None:
        made = self._named(asked)
        if made is None:
            return self._reply(404, {"error": "model not found"})
        return self._reply(
            200,
            {
                "template": made["template"],
                "license": "\n".join(made["license"]),
                "model_info": made["info"],
                "details": {"format": "gguf"},
                "capabilities": ["completion"],
            },
        )

    def _chat(self, asked: JsonObject) -> None:
        if unknown := set(asked) - _CHAT:
            return self._reply(400, {"error": f"unexpected: {sorted(unknown)}"})
        if self._named(asked) is None:
            return self._reply(404, {"error": f"model '{asked['model']}' not found"})
        lines = [
            {
                "model": asked["model"],
                "created_at": "2026-11-01T00:00:00Z",
                "done": False,
                "message": {"role": "assistant", "content": piece},
            }
            for piece in re.findall(r".{1,7}", self.ollama.answer)
        ]
        lines.append(
            {
                "model": asked["model"],
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
        for line in lines:
            self.wfile.write(json.dumps(line).encode() + b"\n")
        self.close_connection = True

    def _named(self, asked: JsonObject) -> JsonObject | None:
        name = str(asked.get("model"))
        return self.ollama.models.get(name if ":" in name else f"{name}:latest")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _note(self) -> None:
        self.ollama.requests.append((self.command, self.path))

    def _reply(self, status: int, value: object) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
