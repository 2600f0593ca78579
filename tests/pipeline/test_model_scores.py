"""Scores of models on labeled findings: what counts as an answer, and how the labels are told apart."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from securetag.calibration import Bound, Calibration
from securetag.datasets.realism import LabeledSnippet
from securetag.errors import ModelUnavailableError, NotFoundError
from securetag.pipeline.external_suites import measure_threshold
from securetag.pipeline.model_scores import SLOTS, open_model, score_model, score_predictor
from securetag.records import Decision, JsonObject, Message
from securetag.serving.base import entry
from securetag.settings import get_settings
from securetag.triage import Completion
from securetag.triage import answer as write_answer


def finding(number: int, label: str) -> LabeledSnippet:
    return LabeledSnippet(
        file=f"p{number}/a.py",
        line=2,
        label=label,  # type: ignore[arg-type]
        language="python",
        code=f"def f(a):\n    run(a, {'guard' if label == 'false_positive' else 'none'}, {number})",
        first_line=1,
        cwe="CWE-78",
    )


FINDINGS = [finding(n, "true_positive") for n in range(10)] + [
    finding(n, "false_positive") for n in range(30)
]


def answer(verdict: str, logprobs: dict[str, float] | None = None) -> Completion:
    text = write_answer(
        profile="compact", evidence=[(2, 2)], verdict=Decision(verdict), reasoning="", recommendation=""
    )
    if logprobs is None:
        return Completion(text=text, model_id="m")
    likeliest = [*logprobs.items()]
    return Completion(
        text=text,
        model_id="m",
        logprobs=[('{"verdict":"', 0.0), likeliest[0]],
        top_logprobs=[[('{"verdict":"', 0.0)], likeliest],
    )


def is_guarded(messages: Sequence[Message]) -> bool:
    return "guard" in messages[-1].content


def test_log_probabilities_rank_where_every_verdict_is_the_same() -> None:
    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        false = -0.4 if is_guarded(messages) else -2.0
        return answer("true_positive", {"true": -0.3, "false": false})

    scored = score_predictor(predict, FINDINGS, "compact")
    assert (scored.model_id, scored.has_logprobs, scored.unanswered) == ("m", True, 0)
    assert scored.transfer.auc == 1.0
    assert scored.transfer.removed == {"0%": 1.0, "2%": 1.0}


def test_answers_are_cut_off_after_their_verdict() -> None:
    limits: list[int] = []

    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        limits.append(limit)
        whole = answer("true_positive", {"true": -0.3, "false": -0.4 if is_guarded(messages) else -2.0})
        return msgspec.structs.replace(whole, text=whole.text if limit > 2 else '{"verdict":"true')

    scored = score_predictor(predict, FINDINGS, "compact")
    assert (scored.unanswered, scored.transfer.auc) == (0, 1.0)
    # Those that were asked before the first had come were read whole.
    assert limits.count(2) >= len(FINDINGS) - SLOTS


def test_without_log_probabilities_the_verdicts_rank() -> None:
    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        return answer("false_positive" if is_guarded(messages) else "needs_review")

    scored = score_predictor(predict, FINDINGS, "compact")
    assert not scored.has_logprobs
    assert scored.transfer.auc == 1.0


def test_what_is_not_answered_counts_as_kept() -> None:
    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        if messages[-1].content.endswith("guard, 17)"):
            raise ModelUnavailableError("no answer")
        return answer("true_positive", {"true": -0.3, "false": -0.4 if is_guarded(messages) else -2.0})

    scored = score_predictor(predict, FINDINGS, "compact")
    assert scored.unanswered == 1
    assert scored.transfer.removed["0%"] == round(29 / 30, 4)


def test_a_threshold_that_was_chosen_elsewhere_decides_what_is_dismissed() -> None:
    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        code = messages[-1].content
        is_dismissed = is_guarded(messages) or code.endswith("none, 3)")
        return answer("true_positive", {"true": -0.3, "false": -0.1 if is_dismissed else -2.0})

    scored = score_predictor(predict, FINDINGS, "compact")
    calibration = Calibration(
        model_id="m",
        prompt_version="compact",
        method="temperature",
        threshold=0.5,
        bound=Bound(target=0.05, lost=0, of=200, upper=0.015, population="rows of a test"),
        rows=400,
    )
    figures = measure_threshold(FINDINGS, scored, calibration)
    assert (figures.true, figures.lost, figures.false, figures.removed) == (10, 1, 30, 30)
    assert figures.lost_upper > 0.1
    never = measure_threshold(FINDINGS, scored, msgspec.structs.replace(calibration, threshold=None))
    assert (never.lost, never.removed) == (0, 0)


@pytest.mark.parametrize(
    "completion",
    [
        pytest.param(None, id="no answer"),
        pytest.param(Completion(text="I think it is safe."), id="prose"),
    ],
)
def test_a_model_that_gives_no_usable_answers_has_no_score(completion: Completion | None) -> None:
    def predict(messages: Sequence[Message], schema: JsonObject | None, limit: int) -> Completion:
        if completion is None:
            raise ModelUnavailableError("no answer")
        return completion

    with pytest.raises(ModelUnavailableError, match="0 of 40 usable"):
        score_predictor(predict, FINDINGS, "compact")


def test_a_missing_file_is_named() -> None:
    with (
        pytest.raises(NotFoundError, match=r"none\.gguf"),
        open_model("none.gguf", get_settings(), profile="compact"),
    ):
        pass


@pytest.mark.system
@pytest.mark.sockets
def test_the_base_is_served_from_its_file_and_scored() -> None:
    settings = get_settings()
    findings = [*FINDINGS[:3], *FINDINGS[-3:]]
    scored = score_model(entry().path, findings, "compact", settings)
    assert scored.has_logprobs
    assert 0.0 <= scored.transfer.auc <= 1.0
