"""A scan's findings through the product's triage, against each by itself in an order of chance.

The findings are Semgrep's on setuptools as the environment has it, up to FINDINGS that need the model. The
product's way is `securetag.worker.triager.Triager` with a runtime of two slots; the other one asks about each
finding of a sample with one slot, in the order of a hash. CPU-seconds are those of server and client
together. A server keeps the state of its last prompts in both.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
import psutil

from benchmarks.figure import Figure
from securetag import triage
from securetag.calibration import WITHHELD
from securetag.records import Finding, JsonObject, Message, Verdict
from securetag.scanning.evidence import combine_evidence
from securetag.scanning.external import make_scanner
from securetag.scanning.scanner import ScanRequest
from securetag.serving import base
from securetag.serving.client import ModelClient, ModelInfo, RuntimeClient
from securetag.serving.runtime import Runtime
from securetag.settings import get_settings
from securetag.settings.sections import TriageSettings
from securetag.worker.triager import Triager, needs_model

FINDINGS = 200
#: Findings that are asked about one at a time: all of them would take twice the time of the rest.
SAMPLE = 40
#: Seconds in which a machine under load must answer; the default is for one that has nothing else to do.
LIMIT_S = 300.0
#: The package that is scanned: its release of November 2026 has 202 findings that need the model.
PACKAGE = "setuptools"
MIN_SPEEDUP = 3.0
MIN_CACHED = 0.7
MAX_CLIENT_MS = 3.0


class _Recorder:
    """A model client that keeps what came back, for its counts of tokens."""

    def __init__(self, client: ModelClient) -> None:
        self._client = client
        self.completions: list[triage.Completion] = []

    def resolve(self) -> ModelInfo:
        return self._client.resolve()

    def chat(
        self,
        messages: Sequence[Message],
        *,
        schema: JsonObject | None,
        max_tokens: int,
        timeout_s: float,
        temperature: float = 0.0,
        seed: int = 0,
        logprobs: bool = False,
    ) -> triage.Completion:
        completion = self._client.chat(
            messages,
            schema=schema,
            max_tokens=max_tokens,
            timeout_s=timeout_s,
            temperature=temperature,
            seed=seed,
            logprobs=logprobs,
        )
        self.completions.append(completion)
        return completion

    def close(self) -> None:
        self._client.close()


class Cost(msgspec.Struct):
    """What one way took, in seconds."""

    wall_s: float = 0.0
    client_s: float = 0.0
    server_s: float = 0.0

    @property
    def cpu_s(self) -> float:
        """CPU-seconds of client and server."""
        return self.client_s + self.server_s


class TriageOutcome(msgspec.Struct, frozen=True):
    """The verdicts of one way in the findings' order, what the model wrote, and what it took."""

    verdicts: list[Verdict]
    completions: list[triage.Completion]
    cost: Cost


def measure() -> Iterator[Figure]:
    """Yield the ratio of both ways, and what the product's own way shares, keeps and costs."""
    yield from compare(scan_package(PACKAGE)[:FINDINGS], SAMPLE)


def compare(findings: Sequence[Finding], sample_size: int) -> Iterator[Figure]:
    """Yield the figures for these findings. Raises LookupError where the sample takes more of them."""
    if len(findings) < sample_size:
        raise LookupError(f"the scan gave {len(findings)} findings, {sample_size} are needed")
    together = run_triage(findings)
    sample = range(0, len(findings), len(findings) // sample_size)
    alone = ask_each([findings[index] for index in sample])
    yield from _report_speed(together, alone, len(sample))
    pairs = [(together.verdicts[index], other) for index, other in zip(sample, alone.verdicts, strict=True)]
    same = sum((a.decision, a.evidence) == (b.decision, b.evidence) for a, b in pairs)
    yield Figure(
        figure="same verdict and evidence",
        value=round(100 * same / len(pairs), 1),
        unit="%",
        peer=f"{same} of {len(pairs)}",
        bar="100",
        ok=same == len(pairs),
    )
    prompt_tokens = sum(completion.prompt_tokens for completion in together.completions)
    cached = sum(completion.cached_tokens for completion in together.completions)
    alone_tokens = sum(completion.prompt_tokens for completion in alone.completions)
    alone_cached = sum(completion.cached_tokens for completion in alone.completions)
    yield Figure(
        figure="prompt tokens from the prefix cache",
        value=round(100 * cached / prompt_tokens, 1),
        unit="%",
        peer=f"one at a time: {100 * alone_cached / alone_tokens:.1f} %; "
        f"{len(findings) - len(together.completions)} of {len(findings)} findings had the prompt of another",
        bar=f"≥ {100 * MIN_CACHED:g}",
        ok=cached >= MIN_CACHED * prompt_tokens,
    )
    valid = sum(not verdict.reason or verdict.reason in WITHHELD for verdict in together.verdicts)
    yield Figure(
        figure="answers that fit the schema",
        value=round(100 * valid / len(findings), 1),
        unit="%",
        bar="100",
        ok=valid == len(findings),
    )
    client_ms = 1000 * together.cost.client_s / len(findings)
    yield Figure(
        figure="client, a finding",
        value=round(client_ms, 2),
        unit="CPU-ms",
        bar=f"≤ {MAX_CLIENT_MS:g}",
        ok=client_ms <= MAX_CLIENT_MS,
    )


def _report_speed(together: TriageOutcome, alone: TriageOutcome, sample_size: int) -> Iterator[Figure]:
    count = len(together.verdicts)
    for what in ("cpu_s", "wall_s"):
        mine, other = getattr(together.cost, what) / count, getattr(alone.cost, what) / sample_size
        unit = "CPU-s" if what == "cpu_s" else "s"
        yield Figure(
            figure=f"one at a time to the product's triage, {unit} a finding",
            value=round(other / mine, 2),
            unit="×",
            peer=f"{other:.2f} ({sample_size} findings) and {mine:.2f} ({count}); "
            f"load {psutil.getloadavg()[0]:.1f}",
            bar=f"≥ {MIN_SPEEDUP:g}",
            ok=other >= MIN_SPEEDUP * mine,
        )


def run_triage(findings: Sequence[Finding]) -> TriageOutcome:
    """Ask about all findings as a worker does."""
    settings = TriageSettings(aliases=[base.ALIAS], timeout_s=LIMIT_S, budget_s=LIMIT_S * len(findings))
    with _serve(slots=2) as (client, cost):
        recorder = _Recorder(client)
        with _clocked(cost):
            run = Triager(recorder, settings).run(findings, budget_s=settings.budget_s)
    verdicts = [verdict for verdict in run.verdicts if verdict is not None]
    return TriageOutcome(verdicts, recorder.completions, cost)


def ask_each(findings: Sequence[Finding]) -> TriageOutcome:
    """Ask about one finding after the other, in the order of a hash."""
    order = sorted(range(len(findings)), key=lambda index: sha256(f"{index}".encode()).digest())
    verdicts: dict[int, Verdict] = {}
    completions: list[triage.Completion] = []
    settings = TriageSettings(aliases=[base.ALIAS], timeout_s=LIMIT_S, budget_s=LIMIT_S)
    with _serve(slots=1) as (client, cost):
        recorder = _Recorder(client)
        with _clocked(cost):
            for index in order:
                run = Triager(recorder, settings).run([findings[index]], budget_s=LIMIT_S)
                verdicts[index] = next(verdict for verdict in run.verdicts if verdict is not None)
        completions = recorder.completions
    return TriageOutcome([verdicts[index] for index in range(len(findings))], completions, cost)


@contextmanager
def _serve(*, slots: int) -> Iterator[tuple[RuntimeClient, Cost]]:
    """Yield a client of a fresh server that has answered once, and the cost, which is complete afterwards."""
    with tempfile.TemporaryDirectory() as folder, Runtime(log_dir=Path(folder)) as runtime:
        url = runtime.serve(base.locate_base(), alias=base.ALIAS, model_id=base.MODEL_ID, slots=slots)
        client = RuntimeClient(url, run_dir=Path(folder), aliases=[base.ALIAS])
        try:
            client.chat([Message("user", "?")], schema=None, max_tokens=1, timeout_s=LIMIT_S)
            yield client, Cost()
        finally:
            client.close()


@contextmanager
def _clocked(cost: Cost) -> Iterator[None]:
    """Set the cost of what is done inside; the server is the only child that has work meanwhile."""
    server_s = _server_cpu_s()  # which costs the client something, as the first answer did
    began_s, client_s = time.monotonic(), time.process_time()
    yield
    cost.client_s = time.process_time() - client_s
    cost.wall_s = time.monotonic() - began_s
    cost.server_s = _server_cpu_s() - server_s


def _server_cpu_s() -> float:
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(spent.user + spent.system for spent in times)


def scan_package(package: str) -> list[Finding]:
    """Return an installed package's findings that need the model, the highest rank first."""
    settings = get_settings()
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"the environment has no package {package}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        sources = Path(spec.submodule_search_locations[0])
        shutil.copytree(sources, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        request = ScanRequest(root, Path(folder) / "out", "en", settings.semgrep.timeout_s)
        run = make_scanner("semgrep", settings).scan(request).check()
        findings = combine_evidence(run.findings, root, path_globs=settings.evidence.path_classes)
    return [finding for finding in findings if needs_model(finding, settings.triage)]
