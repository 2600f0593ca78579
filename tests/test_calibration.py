"""Reading a verdict's probability, and deciding by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.calibration import (
    NOT_CALIBRATED,
    Bound,
    Calibration,
    count_to_verdict,
    judge,
    read_margin,
    read_word,
)
from securetag.records import Decision
from securetag.triage import Completion

BOUND = Bound(target=0.02, lost=0, of=149, upper=0.02, population="validation rows")


def calibrate(**fields: object) -> Calibration:
    values = {
        "model_id": "m",
        "prompt_version": "compact-6",
        "method": "temperature",
        "bound": BOUND,
        "rows": 9,
    }
    return Calibration(**(values | {"threshold": 0.9} | fields))  # type: ignore[arg-type]


def complete(*tokens: tuple[str, dict[str, float]]) -> Completion:
    """A completion that writes the first of each token's alternatives."""
    return Completion(
        text="".join(token for token, _ in tokens),
        logprobs=[(token, alternatives[token]) for token, alternatives in tokens],
        top_logprobs=[list(alternatives.items()) for _, alternatives in tokens],
    )


BEFORE = [(token, {token: -0.1}) for token in ('{"', "ver", "dict", '":"')]


@pytest.mark.parametrize(
    ("token", "alternatives", "expected"),
    [
        pytest.param("true", {"true": -0.5, "false": -2.0, "needs": -3.0}, -1.5, id="true positive"),
        pytest.param("false", {"false": -0.5, "true": -2.0}, 1.5, id="false positive"),
        pytest.param("needs", {"needs": -0.1, "false": -2.0, "true": -3.0}, 1.0, id="abstention"),
        pytest.param("f", {"f": -1.0, "t": -3.0, "x": -0.1}, 2.0, id="pieces of words"),
        pytest.param("false", {"false": -0.1, "The": -7.0}, 6.9, id="the other is less likely than the last"),
        pytest.param("needs", {"needs": -0.1, "The": -7.0}, None, id="neither"),
    ],
)
def test_the_score_is_read_at_the_verdicts_token(
    token: str, alternatives: dict[str, float], expected: float | None
) -> None:
    margin = read_margin(complete(*BEFORE, (token, alternatives), ("_positive", {"_positive": 0.0})))
    assert margin == (None if expected is None else pytest.approx(expected))


def test_a_token_may_hold_the_quotation_mark_and_the_verdict() -> None:
    tokens = ('{"verdict":', {'{"verdict":': 0.0}), ('"true', {'"true': -1.0, '"false': -1.5, "true": -0.1})
    assert read_margin(complete(*tokens)) == pytest.approx(-0.5)


def test_without_log_probabilities_or_a_verdict_there_is_no_score() -> None:
    assert read_margin(Completion(text='{"verdict":"true_positive"}')) is None
    assert read_margin(complete(*BEFORE)) is None
    evidence = complete(("true", {"true": -1.0, "false": -2.0}))
    assert read_margin(evidence) is None


def test_the_decision_is_by_threshold() -> None:
    calibration = calibrate()
    assert calibration.decide(0.9) is Decision.FALSE_POSITIVE
    assert calibration.decide(0.89) is Decision.NEEDS_REVIEW
    assert calibration.decide(0.5) is Decision.TRUE_POSITIVE
    assert calibrate(threshold=None).decide(1.0) is Decision.NEEDS_REVIEW


def test_any_change_is_another_calibration() -> None:
    assert calibrate().id == calibrate().id
    assert calibrate().id != calibrate(threshold=0.91).id


@given(a=st.floats(-1e6, 1e6), b=st.floats(-1e6, 1e6), isotonic=st.booleans())
def test_a_higher_score_is_never_less_probable(a: float, b: float, isotonic: bool) -> None:
    knots = [(-2.0, 0.0), (-1.0, 0.2), (1.0, 0.2), (3.0, 1.0)]
    calibration = calibrate(method="isotonic", knots=knots) if isotonic else calibrate(temperature=3.0)
    low, high = (calibration.compute_probability(margin) for margin in sorted((a, b)))
    assert 0 <= low <= high <= 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('{"verdict":"f', "false_positive"),
        ('{"verdict":"true', "true_positive"),
        ('{"verdict": "needs_review","evidence":[1]}', "needs_review"),
        ('{"verdict":"', None),
        ('{"verdict":"maybe"', None),
        ("", None),
    ],
)
def test_the_word_of_an_answer_that_was_cut_off(text: str, word: str | None) -> None:
    assert read_word(text) == word


def test_tokens_up_to_the_verdict_are_counted() -> None:
    assert (
        count_to_verdict(complete(*BEFORE, ("false", {"false": -0.1}), ("_positive", {"_positive": 0.0})))
        == len(BEFORE) + 1
    )
    assert count_to_verdict(complete(*BEFORE)) is None


def test_a_calibration_of_another_score_is_not_applied() -> None:
    calibration = calibrate(score="verdict-0", threshold=0.5)
    judged = judge(Decision.FALSE_POSITIVE, 9.0, calibration, calibration.prompt_version)
    assert (judged.decision, judged.reason) == (Decision.NEEDS_REVIEW, NOT_CALIBRATED)
