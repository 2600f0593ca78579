"""Which gate a verdict carries: that of the digest which the registry recorded, and of nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from constructed_models import UNMOVED_BY_500
from fake_ollama import FakeOllama
from rows import make_finding
from small_models import MODEL_ID, VERSION, weights

from securetag.calibration import WITHHELD
from securetag.errors import ConflictError, GateError, ModelUnavailableError
from securetag.evaluation import gate
from securetag.evaluation.compare import Cell, Comparison, SuiteComparison
from securetag.evaluation.dismissals import AucDifference, Dismissals
from securetag.pipeline import publish
from securetag.pipeline.evaluate import Evaluation
from securetag.records import Gate, Verdict
from securetag.serving import base
from securetag.serving.client import connect
from securetag.serving.registry import GatePass, ModelEntry, Registry
from securetag.settings import Settings
from securetag.settings.sections import TriageSettings
from securetag.worker.gates import PublishedGates
from securetag.worker.triager import Triager

PRODUCTION = gate.load(gate.find_gate("production"))
DEMO = gate.load(gate.find_gate("demo"))
#: A file of one's own that has the name of the production gate and asks for nearly nothing.
FORGED = msgspec.structs.replace(DEMO, name="production")
FINDING = make_finding(
    severity="high", snippet="def f(q):\n    run(q)", snippet_line=1, start_line=2, end_line=2
)


def compared(candidate: float, base_figure: float, n: int = 1000) -> Comparison:
    """A comparison in which every figure of every suite is the same."""
    difference = candidate - base_figure
    cell = Cell(
        base=base_figure,
        base_low=base_figure - 0.01,
        base_high=base_figure + 0.01,
        candidate=candidate,
        low=candidate - 0.01,
        high=min(1.0, candidate + 0.01),
        p=0.001,
        n=n,
        difference=difference,
        difference_low=difference - 0.01,
        difference_high=difference + 0.01,
        majority=0.5,
    )
    metrics = {requirement.metric for spec in (PRODUCTION, DEMO) for requirement in spec.require}
    suites = {"held_out"} | {line.suite for spec in (PRODUCTION, DEMO) for line in spec.require}
    suite = SuiteComparison(
        n=n,
        labels={"true_positive": n // 2, "false_positive": n // 2},
        metrics=dict.fromkeys(sorted(metrics), cell),
        base_confusion={},
        candidate_confusion={},
    )
    return Comparison(
        base_model=base.MODEL_ID,
        candidate_model=MODEL_ID,
        suites=dict.fromkeys(sorted(suites), suite),
        base_unanswered=0,
        candidate_unanswered=0,
        dismissals={
            name: {"trained": make_dismissals(n, auc)}
            for name, auc in (("candidate", candidate), ("base", base_figure), ("tfidf", base_figure))
        },
        injection=UNMOVED_BY_500,
        auc_differences={
            "tfidf": {
                "trained": AucDifference(difference=difference, low=difference - 0.01, high=difference + 0.01)
            }
        },
    )


def make_dismissals(n: int, auc: float) -> Dismissals:
    return Dismissals(
        true=n // 2,
        false=n // 2,
        lost=0,
        lost_upper=0.01,
        removed=n // 4,
        auc=auc,
        auc_low=auc - 0.01,
        auc_high=min(1.0, auc + 0.01),
        calibration_error=0.05,
    )


GOOD, BETTER_THAN_BAD = compared(0.99, 0.6), compared(0.85, 0.5)


def evaluated(comparison: Comparison, spec: gate.GateSpec, model_id: str = MODEL_ID) -> Evaluation:
    return Evaluation(
        folder="",
        model_id=model_id,
        base_id=base.MODEL_ID,
        release="4f" * 6,
        comparison=comparison,
        decision=gate.decide(comparison, spec),
    )


@pytest.fixture
def fake_ollama() -> Iterator[FakeOllama]:
    """A running FakeOllama (see fake_ollama.py: it holds no model)."""
    with FakeOllama() as fake:
        yield fake


@pytest.fixture
def home(fake_ollama: FakeOllama, tmp_path: Path) -> Settings:
    """A home whose registry has a model that nobody has published yet."""
    home = Settings(home=tmp_path, ollama_host=fake_ollama.host, triage=TriageSettings(backend="ollama"))
    home.models_dir.mkdir(parents=True)
    Registry(home.models_dir).add(weights(home.models_dir / "m.gguf"))
    return home


def ask(home: Settings, before: Callable[[], None] = lambda: None) -> Verdict:
    """The verdict that a worker with these settings stores; `before` runs before the question."""
    client = connect(home)
    try:
        triager = Triager(client, home.triage, find_gate=PublishedGates(home).find)
        verdict = triager.run([FINDING], budget_s=60, progress=lambda *_: before()).verdicts[0]
    finally:
        client.close()
    assert verdict is not None
    assert verdict.reason in {"", *WITHHELD}  # the embedded model isn't calibrated
    return verdict


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("comparison", "spec", "expected"),
    [
        pytest.param(GOOD, PRODUCTION, "production", id="the production gate"),
        pytest.param(GOOD, DEMO, "demo", id="the gate of the demo"),
        pytest.param(BETTER_THAN_BAD, FORGED, "demo", id="a gate that is called production"),
    ],
)
def test_a_verdict_carries_the_gate_that_its_model_was_published_with(
    home: Settings, comparison: Comparison, spec: gate.GateSpec, expected: Gate
) -> None:
    publish.publish(evaluated(comparison, spec), "securetag-v1", home)
    verdict = ask(home)
    assert (verdict.gate, verdict.model_id, verdict.alias) == (expected, MODEL_ID, "securetag-v1")


@pytest.mark.sockets
def test_a_rejected_model_has_no_gate_even_where_somebody_serves_it(
    home: Settings, fake_ollama: FakeOllama
) -> None:
    with pytest.raises(GateError):
        publish.publish(evaluated(BETTER_THAN_BAD, PRODUCTION), "securetag-v1", home)
    assert not fake_ollama.models
    from securetag.serving import ollama

    ollama.publish(Registry(home.models_dir).get(MODEL_ID), "securetag-v1", home)
    assert ask(home).gate == "none"


@pytest.mark.sockets
def test_a_model_of_another_registry_has_no_gate(
    home: Settings, fake_ollama: FakeOllama, tmp_path: Path
) -> None:
    publish.publish(evaluated(GOOD, PRODUCTION), "securetag-v1", home)
    stranger = home.model_copy(update={"home": tmp_path / "stranger"})
    assert ask(stranger).gate == "none"
    # The publisher's registry may be carried to a worker on another machine.
    copy = shutil.copy(home.models_dir / "registry.json", tmp_path / "copied.json")
    triage = home.triage.model_copy(update={"registry": Path(copy)})
    assert ask(stranger.model_copy(update={"triage": triage})).gate == "production"
    Path(copy).write_text("{", encoding="utf-8")
    assert ask(stranger.model_copy(update={"triage": triage})).gate == "none"


@pytest.mark.sockets
def test_a_name_that_got_another_model_has_no_gate(home: Settings, fake_ollama: FakeOllama) -> None:
    publish.publish(evaluated(GOOD, PRODUCTION), "securetag-v1", home)
    name = "securetag-v1:latest"
    gated = fake_ollama.models[name]
    # The same id in the metadata of other bytes: whoever may push to the server can write that.
    swapped = gated | {"digest": "ab" * 32}

    def swap() -> None:
        fake_ollama.models[name] = swapped

    assert ask(home, before=swap).gate == "none"  # between the question and the answer
    assert ask(home).gate == "none"
    fake_ollama.models[name] = gated
    assert ask(home).gate == "production"


@pytest.mark.sockets
def test_a_third_partys_model_has_no_gate_whatever_its_server_shows(home: Settings) -> None:
    publish.publish(evaluated(GOOD, PRODUCTION), "securetag-v1", home)
    triage = home.triage.model_copy(update={"location": "third_party"})
    assert ask(home.model_copy(update={"triage": triage})).gate == "none"


@pytest.mark.sockets
def test_a_stricter_gate_stays_and_a_rollback_finds_it_again(home: Settings, fake_ollama: FakeOllama) -> None:
    other = "6f" * 32
    entry = weights(home.models_dir / "other.gguf", model_id=other)
    Registry(home.models_dir).add(msgspec.structs.replace(entry, model_id=other))
    publish.publish(evaluated(GOOD, PRODUCTION), "securetag-v1", home)
    publish.publish(evaluated(GOOD, DEMO), "securetag-v1", home)
    assert ask(home).gate == "production"
    publish.publish(evaluated(GOOD, DEMO, other), "securetag-v1", home)
    assert ask(home).gate == "demo"
    publish.rollback("securetag-v1", home)
    assert fake_ollama.models["securetag-v1:latest"]["digest"] == fake_ollama.models[VERSION]["digest"]
    assert ask(home).gate == "production"


@pytest.mark.sockets
def test_a_file_that_was_changed_after_its_evaluation_is_not_published(
    home: Settings, fake_ollama: FakeOllama
) -> None:
    with (home.models_dir / "m.gguf").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ConflictError, match="not the file that was evaluated"):
        publish.publish(evaluated(GOOD, PRODUCTION), "securetag-v1", home)
    assert not fake_ollama.models


@contextmanager
def serving(home: Settings) -> Iterator[None]:
    """The embedded runtime's daemon over a home; entered once it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "securetag.serving.runtime", "--home", str(home.home), "--slots", "1"]
    )
    client = connect(home)
    deadline = time.monotonic() + 120
    try:
        while True:
            try:
                client.resolve()
                break
            except ModelUnavailableError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield
    finally:
        client.close()
        process.terminate()
        process.wait(60)


@pytest.mark.sockets
@pytest.mark.system
def test_the_embedded_runtime_shows_the_digest_of_the_file_that_it_serves(tmp_path: Path) -> None:
    triage = TriageSettings(aliases=["securetag-v1"], timeout_s=60)
    home = Settings(home=tmp_path, triage=triage)
    home.models_dir.mkdir(parents=True)
    file = Path(shutil.copy(base.locate_base(), home.models_dir / "tuned.gguf"))
    entry = ModelEntry(
        model_id=MODEL_ID,
        path="tuned.gguf",
        file_sha256=base.SHA256,
        base=base.NAME,
        quantisation=base.QUANTISATION,
        licence="Apache-2.0",
    )
    Registry(home.models_dir).add(entry)
    publish.publish(evaluated(GOOD, PRODUCTION), "securetag-v1", home)
    with serving(home):
        verdict = ask(home)
    assert (verdict.gate, verdict.model_id) == ("production", MODEL_ID)
    # Other bytes under the same name and id: a GGUF's tensors end before the file does.
    with file.open("ab") as tail:
        tail.write(bytes(32))
    with serving(home):
        verdict = ask(home)
    assert (verdict.gate, verdict.model_id) == ("none", MODEL_ID)


def test_a_gate_is_of_the_recorded_digest_and_id_together(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    entry = registry.add(weights(tmp_path / "m.gguf"))
    file = f"file:{entry.file_sha256}"
    assert registry.find_gate(file, MODEL_ID) == "none"
    registry.record_gate(
        MODEL_ID, GatePass(gate="production", release="r", base_id="b", at="2026-11-28T00:00:00Z")
    )
    assert registry.find_gate(file, MODEL_ID) == "production"
    assert registry.find_gate(file, "6f" * 32) == "none"
    assert registry.find_gate(f"ollama:{entry.file_sha256}", MODEL_ID) == "none"
    assert registry.find_gate("", MODEL_ID) == "none"
