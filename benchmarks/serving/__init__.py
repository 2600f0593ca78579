"""What a triage costs on the embedded runtime: latency, tokens a second, memory.

The code is that of functions of Werkzeug, each flagged in its middle; every prompt is new to the server, but
for the system message.
"""

from __future__ import annotations

import ast
import re
import statistics
import tempfile
import textwrap
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import msgspec
import psutil
import werkzeug

from benchmarks.figure import Figure
from securetag import triage
from securetag.records import Finding
from securetag.serving import base, smoke
from securetag.serving.client import RuntimeClient
from securetag.serving.runtime import Runtime
from securetag.settings import cores

#: Seconds in which a finding must be answered: the default of SECURETAG_TRIAGE__TIMEOUT_S.
LIMIT_S = 30.0
FUNCTIONS = 40
_METRICS = {
    "prompt": ("prompt_tokens_total", "prompt_seconds_total"),
    "generation": ("tokens_predicted_total", "tokens_predicted_seconds_total"),
}


def measure() -> Iterator[Figure]:
    """Latency of compact triages one after the other, with one slot; speed by the server's own counters."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Runtime(log_dir=Path(folder)) as runtime:
        url = runtime.serve(base.locate_base(), alias="securetag-base", model_id=base.MODEL_ID, slots=1)
        started_s = time.monotonic() - began
        client = RuntimeClient(url, run_dir=Path(folder), aliases=["securetag-base"])
        seconds = []
        for finding in flag_functions(FUNCTIONS):
            prompt = triage.render(finding, profile="compact")
            sent_s = time.perf_counter()
            client.chat(
                prompt.messages,
                schema=triage.schema(prompt),
                max_tokens=triage.MAX_ANSWER_TOKENS[prompt.profile],
                timeout_s=LIMIT_S,
            )
            seconds.append(time.perf_counter() - sent_s)
        client.close()
        metrics = httpx.get(f"{url}/metrics", trust_env=False).text
        memory = max(
            child.memory_info().rss
            for child in psutil.Process().children(recursive=True)
            if "llama_server" in " ".join(child.cmdline())
        )
    note = f"{len(seconds)} findings, {base.NAME} {base.QUANTISATION}, {cores()} cores, load {_load():.1f}"
    centiles = statistics.quantiles(seconds, n=20)
    yield Figure(figure="triage, median", value=round(statistics.median(seconds), 2), unit="s", peer=note)
    yield Figure(
        figure="triage, 95th percentile",
        value=round(centiles[-1], 2),
        unit="s",
        bar=f"≤ {LIMIT_S:g}",
        ok=centiles[-1] <= LIMIT_S,
    )
    for name, (tokens, spent) in _METRICS.items():
        rate = _counter(metrics, tokens) / _counter(metrics, spent)
        yield Figure(figure=f"{name}, one slot", value=round(rate, 1), unit="tokens/s")
    yield Figure(figure="memory of the server", value=round(memory / 2**20), unit="MiB")
    yield Figure(figure="from start to the first health check", value=round(started_s, 1), unit="s")


def flag_functions(count: int) -> list[Finding]:
    """Return a finding in the middle of each of `count` functions of 10 to 40 lines, chosen by their digests.

    Raises LookupError where Werkzeug has fewer.
    """
    functions: set[str] = set()
    for path in Path(werkzeug.__file__).parent.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and 10 <= (node.end_lineno or 0) - node.lineno < 40:
                functions.add(textwrap.dedent("\n".join(lines[node.lineno - 1 : node.end_lineno])))
    chosen = sorted(functions, key=lambda code: sha256(code.encode()).digest())[:count]
    if len(chosen) < count:
        raise LookupError(f"Werkzeug has {len(chosen)} functions of this length, {count} are needed")
    return [_flag_middle(code) for code in chosen]


def _flag_middle(code: str) -> Finding:
    middle = 1 + code.count("\n") // 2
    return msgspec.structs.replace(smoke.FINDING, snippet=code, start_line=middle, end_line=middle)


def _counter(metrics: str, name: str) -> float:
    matched = re.search(rf"^llamacpp:{name} ([\d.e+]+)$", metrics, re.MULTILINE)
    if matched is None:
        raise LookupError(f"the server counts no {name}")
    return float(matched[1])


def _load() -> float:
    return psutil.getloadavg()[0]
