"""A verdict is decided by its probability, with the calibration that its model's registry entry has."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from securetag.calibration import NO_LOGPROBS, NOT_CALIBRATED, Bound, Calibration, apply_calibration
from securetag.errors import NotFoundError
from securetag.records import Decision, Verdict
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings
from securetag.triage import Completion
from securetag.worker.gates import PublishedGates

MODEL = "ab" * 32
CALIBRATION = Calibration(
    model_id=MODEL,
    prompt_version="compact-6",
    method="temperature",
    temperature=2.0,
    threshold=0.9,
    bound=Bound(target=0.05, lost=0, of=59, upper=0.0495, population="validation rows"),
    rows=118,
)
VERDICT = Verdict(decision=Decision.FALSE_POSITIVE, prompt_version="compact-6", model_id=MODEL)


def answer(margin: float | None) -> Completion:
    """An answer whose verdict token has this score; None: a server without log-probabilities."""
    text = '{"verdict":"false_positive","evidence":[1]}'
    if margin is None:
        return Completion(text=text)
    top = [("false", -0.1), ("true", -0.1 - margin)]
    return Completion(text=text, logprobs=[('{"verdict":"', 0.0), ("false", -0.1)], top_logprobs=[[], top])


@pytest.mark.parametrize(
    ("margin", "decision", "probability"),
    [
        pytest.param(6.0, "false_positive", 0.9526, id="above the threshold"),
        pytest.param(2.0, "needs_review", 0.7311, id="in doubt"),
        pytest.param(-2.0, "true_positive", 0.2689, id="true"),
    ],
)
def test_the_probability_decides_and_not_the_word(margin: float, decision: str, probability: float) -> None:
    verdict = apply_calibration(VERDICT, answer(margin), CALIBRATION)
    assert verdict.decision == decision
    assert verdict.p_false_positive == pytest.approx(probability, abs=1e-4)
    assert (verdict.calibration_id, verdict.threshold) == (CALIBRATION.id, 0.9)


def test_without_log_probabilities_nothing_is_dismissed() -> None:
    for calibration in (None, CALIBRATION):
        verdict = apply_calibration(VERDICT, answer(None), calibration)
        assert (verdict.decision, verdict.reason) == (Decision.NEEDS_REVIEW, NO_LOGPROBS)
        assert verdict.p_false_positive is None
        true = msgspec.structs.replace(VERDICT, decision=Decision.TRUE_POSITIVE)
        assert apply_calibration(true, answer(None), calibration) == true


@pytest.mark.parametrize(
    "calibration",
    [
        pytest.param(None, id="none"),
        pytest.param(msgspec.structs.replace(CALIBRATION, prompt_version="full-1"), id="another prompt's"),
    ],
)
def test_an_uncalibrated_model_dismisses_nothing(calibration: Calibration | None) -> None:
    verdict = apply_calibration(VERDICT, answer(2.0), calibration)
    assert (verdict.decision, verdict.reason) == (Decision.NEEDS_REVIEW, NOT_CALIBRATED)
    assert verdict.p_false_positive == pytest.approx(0.8808, abs=1e-4)
    assert (verdict.calibration_id, verdict.threshold) == ("", None)
    true = msgspec.structs.replace(VERDICT, decision=Decision.TRUE_POSITIVE)
    assert apply_calibration(true, answer(2.0), calibration).decision is Decision.TRUE_POSITIVE


def test_the_workers_calibration_is_the_registrys(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    registry = Registry(settings.models_dir)
    with pytest.raises(NotFoundError):
        registry.record_calibration(CALIBRATION)
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    (settings.models_dir / "m.gguf").write_bytes(b"GGUF")
    entry = ModelEntry(
        model_id=MODEL, path="m.gguf", file_sha256="0" * 64, base="b", quantisation="Q8_0", licence="MIT"
    )
    registry.add(entry)
    published = PublishedGates(settings)
    assert published.find_calibration(MODEL) is None
    registry.record_calibration(CALIBRATION)
    assert published.find_calibration(MODEL) == CALIBRATION
    assert published.find_calibration("cd" * 32) is None
    (settings.models_dir / "registry.json").write_text("{")
    assert published.find_calibration(MODEL) is None
