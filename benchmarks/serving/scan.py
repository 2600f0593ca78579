"""A scan's findings through the product's triage, against one request after the other as Semgrep lists them.

The findings are Semgrep's on setuptools as the environment has it, up to SCAN_FINDINGS (200) that need the
model. The product's way is `securetag.worker.triager.Triager` with all of them, four at a time, and a runtime
of as many slots, as `securetag up` starts it. The other way asks about each finding by itself, with one slot,
in the order of Semgrep's JSON: by rule, then by place. Both send the same prompts to the same model, the
embedded base as Q8_0, the kind that is published; a server keeps the state of its last prompts in both.
CPU-seconds are those of server and client together.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from securetag.serving import base, gguf, smoke
from securetag.serving.client import ModelClient, ModelInfo, RuntimeClient
from securetag.serving.runtime import SLOTS, Runtime
from securetag.settings import get_settings
from securetag.settings.sections import TriageSettings
from securetag.system.services import announce_service
from securetag.training import recipe as recipes
from securetag.training.base import unpack_base
from securetag.worker.triager import Triager, needs_model

FINDINGS = int(os.environ.get("SCAN_FINDINGS", "200"))
RECIPE = "securetag-embedded"
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

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts, computed or not."""
        return sum(completion.prompt_tokens for completion in self.completions)

    @property
    def cached_tokens(self) -> int:
        """Tokens of prompts whose state the server had kept."""
        return sum(completion.cached_tokens for completion in self.completions)

    @property
    def computed_tokens(self) -> int:
        """Tokens that the model computed, of prompts and answers."""
        written = sum(completion.completion_tokens for completion in self.completions)
        return self.prompt_tokens - self.cached_tokens + written


def measure() -> Iterator[Figure]:
    """Yield the ratio of both ways, and what the product's own way shares, keeps and costs."""
    findings = scan_package(PACKAGE)[:FINDINGS]
    if len(findings) < FINDINGS:
        raise LookupError(f"the scan gave {len(findings)} findings, {FINDINGS} are needed")
    with tempfile.TemporaryDirectory() as folder:
        yield from compare(findings, make_model(Path(folder)))


def make_model(folder: Path) -> Path:
    """Return the embedded base as a Q8_0 file in `folder`, made as a trained model is."""
    recipe = unpack_base(recipes.load(recipes.find_recipe(RECIPE)), folder)
    half = gguf.convert(Path(recipe.base), folder / "f16.gguf")
    return gguf.quantise(half, folder / "q8_0.gguf", kind="Q8_0", metadata={gguf.MODEL_ID_KEY: base.MODEL_ID})


def compare(findings: Sequence[Finding], model: Path) -> Iterator[Figure]:
    """Yield the figures for these findings."""
    together = run_triage(findings, model)
    alone = ask_each(findings, model)
    yield from _report_speed(together, alone)
    pairs = list(zip(together.verdicts, alone.verdicts, strict=True))
    same = sum(a.decision == b.decision for a, b in pairs)
    evidence = sum((a.decision, a.evidence) == (b.decision, b.evidence) for a, b in pairs)
    yield Figure(
        figure="same verdict",
        value=round(100 * same / len(pairs), 1),
        unit="%",
        peer=f"{same} of {len(pairs)}, {evidence} with the same evidence",
        bar="100",
        ok=same == len(pairs),
    )
    cached = together.cached_tokens / together.prompt_tokens
    yield Figure(
        figure="prompt tokens from the prefix cache",
        value=round(100 * cached, 1),
        unit="%",
        peer=f"one at a time: {100 * alone.cached_tokens / alone.prompt_tokens:.1f} %; "
        f"{len(findings) - len(together.completions)} of {len(findings)} findings had the prompt of another",
        bar=f"≥ {100 * MIN_CACHED:g}",
        ok=cached >= MIN_CACHED,
    )
    yield Figure(
        figure="tokens computed a finding, of prompt and answer",
        value=round(together.computed_tokens / len(findings), 1),
        unit="tokens",
        peer=f"one at a time: {alone.computed_tokens / len(findings):.1f}",
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


def _report_speed(together: TriageOutcome, alone: TriageOutcome) -> Iterator[Figure]:
    count = len(together.verdicts)
    for what, unit in (("cpu_s", "CPU-s"), ("wall_s", "s")):
        mine, other = getattr(together.cost, what) / count, getattr(alone.cost, what) / count
        yield Figure(
            figure=f"one at a time to the product's triage, {unit} a finding",
            value=round(other / mine, 2),
            unit="×",
            peer=f"{other:.2f} and {mine:.2f}; {count} findings, load {psutil.getloadavg()[0]:.1f}",
            bar=f"≥ {MIN_SPEEDUP:g}",
            ok=other >= MIN_SPEEDUP * mine,
        )


def run_triage(findings: Sequence[Finding], model: Path) -> TriageOutcome:
    """Ask about all findings as a worker does."""
    settings = TriageSettings(aliases=[base.ALIAS], timeout_s=LIMIT_S, budget_s=LIMIT_S * len(findings))
    with _serve(model, slots=SLOTS["compact"]) as (client, cost):
        recorder = _Recorder(client)
        with _clocked(cost):
            run = Triager(recorder, settings).run(findings, budget_s=settings.budget_s)
    verdicts = [verdict for verdict in run.verdicts if verdict is not None]
    return TriageOutcome(verdicts, recorder.completions, cost)


def ask_each(findings: Sequence[Finding], model: Path) -> TriageOutcome:
    """Ask about one finding after the other, in the order of Semgrep's JSON."""
    order = sorted(
        range(len(findings)),
        key=lambda index: (findings[index].rule_id, findings[index].path, findings[index].start_line),
    )
    verdicts: dict[int, Verdict] = {}
    settings = TriageSettings(aliases=[base.ALIAS], timeout_s=LIMIT_S, budget_s=LIMIT_S)
    with _serve(model, slots=1) as (client, cost):
        recorder = _Recorder(client)
        with _clocked(cost):
            for index in order:
                run = Triager(recorder, settings).run([findings[index]], budget_s=LIMIT_S)
                verdicts[index] = next(verdict for verdict in run.verdicts if verdict is not None)
    return TriageOutcome([verdicts[index] for index in range(len(findings))], recorder.completions, cost)


@contextmanager
def _serve(model: Path, *, slots: int) -> Iterator[tuple[RuntimeClient, Cost]]:
    """Yield a client of a fresh server that has answered once, and the cost, which is complete afterwards."""
    with tempfile.TemporaryDirectory() as folder, Runtime(log_dir=Path(folder)) as runtime:
        url = runtime.serve(model, alias=base.ALIAS, model_id=base.MODEL_ID, slots=slots)
        announce_service(Path(folder), "runtime", {"url": url})
        client = RuntimeClient(None, run_dir=Path(folder), aliases=[base.ALIAS])
        try:
            smoke.ask(client, TriageSettings(), timeout_s=LIMIT_S)  # what is loaded at its first use
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
