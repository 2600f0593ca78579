"""What the worker itself spends on a finding: prompt, request, reply, verdict; the model costs nothing here.

A server in a process of its own sends the same reply to every question, of the size and form of llama.cpp's.
It is asked as our own runtime, and as any other server, which goes through httpx. Each round asks about the
same findings by `securetag.worker.triager.Triager`; the median round counts. The model has passed a gate, and
each reply says which file wrote it, as those of every published one do.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.figure import Figure
from benchmarks.serving import flag_functions
from securetag.records import Finding
from securetag.serving.client import RuntimeClient
from securetag.settings.sections import TriageSettings
from securetag.system.services import announce_service
from securetag.worker.triager import Triager

FINDINGS = 200
ROUNDS = 3
MAX_MS = 3.0
ALIAS = "fixed"
#: 18 tokens, each with the 20 likeliest in its place, as a server sends them for a compact answer.
SERVER = """
import http.server, json

def token(text, logprob):
    return {"id": 1, "token": text, "bytes": list(text.encode()), "logprob": logprob}

likeliest = [token(f"t{rank}", -1.0 * rank) for rank in range(20)]
written = ['{"', 'verdict', '":"', 'false', '_positive', '","', 'evidence', '":[', '1', ']}', *8 * [""]]
tokens = [token(text, -0.1) | {"top_logprobs": likeliest} for text in written]
model_id = 32 * "ab"
reply = {
    "choices": [{
        "finish_reason": "stop", "index": 0,
        "message": {"role": "assistant", "content": '{"verdict":"false_positive","evidence":[1]}'},
        "logprobs": {"content": tokens},
    }],
    "model": "#" + model_id + "@" + 32 * "cd", "usage": {"prompt_tokens": 190, "completion_tokens": 18},
}
models = {"data": [
    {"id": "fixed", "aliases": ["fixed"], "owned_by": "llamacpp",
     "tags": ["securetag.model_id=" + model_id, "securetag.file_sha256=" + 32 * "cd"]}
]}

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self, content=models):
        body = json.dumps(content).encode()
        head = f"HTTP/1.1 200 OK\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
        self.wfile.write(head.encode() + body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET(reply)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def measure() -> Iterator[Figure]:
    """CPU-milliseconds of the worker's process a finding, by both kinds of connections in turn."""
    findings = flag_functions(FINDINGS)
    with tempfile.TemporaryDirectory() as folder, _serve() as url:
        announce_service(Path(folder), "runtime", {"url": url})
        clients = {
            "embedded runtime": RuntimeClient(None, run_dir=Path(folder), aliases=[ALIAS]),
            "any other server": RuntimeClient(url, run_dir=Path(folder), aliases=[ALIAS]),
        }
        rounds: dict[str, list[float]] = {server: [] for server in clients}
        for client in clients.values():
            _ask(client, findings[:1])
        for _ in range(ROUNDS):
            for server, client in clients.items():
                started = time.process_time()
                _ask(client, findings)
                rounds[server].append(1000 * (time.process_time() - started) / len(findings))
        for client in clients.values():
            client.close()
    for server, costs in rounds.items():
        is_bound = server == "embedded runtime"
        cost_ms = statistics.median(costs)
        yield Figure(
            figure=f"worker, a finding, {server}",
            value=round(cost_ms, 2),
            unit="CPU-ms",
            peer=f"{len(findings)} findings, {ROUNDS} rounds of {min(costs):.2f} to {max(costs):.2f}; "
            f"load {psutil.getloadavg()[0]:.1f}",
            bar=f"≤ {MAX_MS:g}" if is_bound else "",
            ok=cost_ms <= MAX_MS or not is_bound,
        )


def _ask(client: RuntimeClient, findings: list[Finding]) -> None:
    settings = TriageSettings(aliases=[ALIAS], timeout_s=300, budget_s=3000)
    run = Triager(client, settings, find_gate=lambda _: "production").run(findings, budget_s=3000)
    if run.metrics.answered != len(findings):
        raise LookupError(f"{run.metrics.answered} of {len(findings)} findings were answered")


@contextmanager
def _serve() -> Iterator[str]:
    """Yield the URL of the server with the fixed reply."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()
