"""The receipt of a published file: what is counted as another verdict, and when publishing stops."""

from __future__ import annotations

import math
import re
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_models import make_parity, weights

from securetag.calibration import Bound, Calibration, read_margin
from securetag.errors import ConflictError, GateError
from securetag.pipeline.parity import DEMO_ROWS, _read, _split, compare, compare_rows, require_parity
from securetag.pipeline.publish import _check_parity
from securetag.serving.registry import ModelEntry, Parity, Registry
from securetag.settings import Settings
from securetag.triage import PROMPT_VERSIONS, Completion

VERSION = PROMPT_VERSIONS["compact"]
ENTRY = ModelEntry(
    model_id="5e" * 32,
    path="m.gguf",
    file_sha256="0" * 64,
    base="b",
    quantisation="Q8_0",
    licence="Apache-2.0",
    adapter="ad" * 32,
)


def test_flips_and_shifts_are_counted_against_the_adapter() -> None:
    receipt = compare(
        adapter=[2.0, -2.0, 0.1, None, 1.0],
        merged=[2.0, -2.0, 0.1, 1.0, 1.0],
        served=[2.5, -2.0, -0.1, 1.0, None],
        entry=ENTRY,
        prompt_version=VERSION,
        release="r",
        rows=6,
    )
    assert (receipt.rows, receipt.unscored) == (6, 3), "one wasn't answered, two lack a score"
    assert (receipt.flips_merged, receipt.flips_served) == (0, 1)
    assert receipt.shift_merged == 0
    assert receipt.shift_served == pytest.approx(1 / (1 + math.exp(-0.1)) - 1 / (1 + math.exp(0.1)))


def test_a_calibrated_model_is_judged_as_a_worker_judges() -> None:
    bound = Bound(target=0.05, lost=0, of=10, upper=0.05, population="p")
    calibration = Calibration(
        model_id=ENTRY.model_id,
        prompt_version=VERSION,
        method="temperature",
        temperature=2.0,
        threshold=0.9,
        bound=bound,
        rows=10,
    )
    entry = msgspec.structs.replace(ENTRY, calibration=calibration)
    # Probabilities .88 and .92: on both sides of the threshold, though both scores say false positive.
    margins = [2 * math.log(0.88 / 0.12)], [2 * math.log(0.92 / 0.08)]
    receipt = compare(margins[0], margins[0], margins[1], entry, VERSION, "r", 1)
    assert (receipt.flips_served, receipt.shift_served) == (1, pytest.approx(0.04))
    assert compare(margins[0], margins[0], margins[1], ENTRY, VERSION, "r", 1).flips_served == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"flips_served": 3}, "3 of 200 verdicts (1.5%) of the served file"),
        ({"flips_merged": 3}, "3 of 200 verdicts (1.5%) of the merged model"),
        ({"rows": 199}, "on 199 rows; 200 are needed"),
        ({"unscored": 5}, "5 of 200 rows have no score"),
    ],
    ids=["served file", "merged model", "too few rows", "no scores"],
)
def test_publishing_stops_with_the_reason(change: dict[str, int], reason: str) -> None:
    receipt = make_parity("0" * 64)
    require_parity(msgspec.structs.replace(receipt, flips_served=2, flips_merged=2, unscored=4), 200, 0.01)
    with pytest.raises(GateError) as stopped:
        require_parity(msgspec.structs.replace(receipt, **change), 200, 0.01)
    assert reason in str(stopped.value)


@pytest.mark.parametrize(
    ("flips", "compared", "reason"),
    [
        ({DEMO_ROWS: 0}, [DEMO_ROWS], ""),
        ({DEMO_ROWS: 1, 200: 2}, [DEMO_ROWS, 200], ""),
        ({DEMO_ROWS: 1, 200: 3}, [DEMO_ROWS, 200], "3 of 200 verdicts (1.5%)"),
        # A release with no further rows.
        ({DEMO_ROWS: 1, 200: 1}, [DEMO_ROWS, 200], "1 of 90 verdicts (1.1%)"),
    ],
    ids=["none of the demo's rows", "1 % of all rows", "more than 1 %", "few rows"],
)
def test_where_a_demos_verdict_differs_all_rows_decide(
    flips: dict[int, int], compared: list[int], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = 90 if "90" in reason else 200
    sizes: list[int] = []

    def measure(*_: object, max_rows: int, progress: object) -> Parity:
        sizes.append(max_rows)
        return make_parity(ENTRY.file_sha256, rows=min(max_rows, held_out), flips=flips[max_rows])

    monkeypatch.setattr("securetag.pipeline.publish.measure_parity", measure)
    with pytest.raises(GateError, match=re.escape(reason)) if reason else nullcontext():
        _check_parity(ENTRY, "r", "demo", Settings(), None)
    assert sizes == compared


def test_a_model_of_production_is_compared_on_all_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def measure(*_: object, max_rows: int, progress: object) -> Parity:
        sizes.append(max_rows)
        return make_parity(ENTRY.file_sha256, rows=max_rows, flips=3)

    monkeypatch.setattr("securetag.pipeline.publish.measure_parity", measure)
    with pytest.raises(GateError, match="3 of 200 verdicts"):
        _check_parity(ENTRY, "r", "production", Settings(), None)
    assert sizes == [200]


@given(scores=st.lists(st.tuples(*[st.floats(-50, 50)] * 2), max_size=20))
def test_a_receipt_of_equal_models_is_clean_and_flips_need_a_shift(scores: list[tuple[float, float]]) -> None:
    first, second = [pair[0] for pair in scores], [pair[1] for pair in scores]
    same = compare(first, first, first, ENTRY, VERSION, "r", len(first))
    assert (same.flips_merged, same.flips_served, same.shift_merged, same.shift_served) == (0, 0, 0, 0)
    other = compare(first, first, second, ENTRY, VERSION, "r", len(first))
    assert 0 <= other.shift_served <= 1
    assert other.flips_served == sum((a > 0) != (b > 0) for a, b in scores)


Tokens = list[tuple[str, float]]


def answer(*tokens: str) -> Completion:
    logprobs = [(token, -0.1) for token in tokens]
    return Completion(text="".join(tokens), logprobs=logprobs, top_logprobs=[[pair] for pair in logprobs])


@pytest.mark.parametrize(
    ("tokens", "before", "first"),
    [
        (['{"', "verdict", '":"', "false", "_positive"], ['{"', "verdict", '":"'], "false"),
        (['{"verdict":', '"tr', "ue"], ['{"verdict":'], '"tr'),
        (
            ['{"evidence":[[1,2]],', '"verdict": "', "true_positive"],
            ['{"evidence":[[1,2]],', '"verdict": "'],
            "true_positive",
        ),
    ],
    ids=["compact", "a quote in the verdict's token", "full, with white space"],
)
def test_an_answer_is_split_before_the_token_that_begins_its_verdict(
    tokens: list[str], before: list[str], first: str
) -> None:
    assert _split(answer(*tokens)) == (before, first)
    assert _split(answer("I", " think")) is None
    assert _split(Completion(text="".join(tokens))) is None, "no log-probabilities"


def test_the_score_of_the_trained_model_is_the_products_score() -> None:
    likeliest: Tokens = [("false", -0.1), ("true", -2.5), ("needs", -6.0), ("x", -7.0)]
    assert _read(['{"', 'verdict":"'], "true", likeliest) == pytest.approx(2.4)
    assert _read(['{"verdict":'], '"true', [('"false', -0.5), ('"true', -1.0)]) == pytest.approx(0.5)
    assert _read(['{"verdict":"'], "true", [("x", -0.1), ("y", -3.0)]) is None
    assert _read(['{"verdict":"'], "true", []) is None


@given(first=st.floats(-9, -0.01), second=st.floats(-9, -0.01))
def test_the_same_tokens_give_file_and_adapter_the_same_score(first: float, second: float) -> None:
    likeliest: Tokens = [("false", first), ("true", second)]
    served = Completion(
        text='{"verdict":"false',
        logprobs=[('{"verdict":"', -0.1), likeliest[0]],
        top_logprobs=[[('{"verdict":"', -0.1)], likeliest],
    )
    parts = _split(served)
    assert parts is not None
    assert _read(*parts, likeliest) == read_margin(served)


def test_a_model_without_the_folder_of_its_run_says_what_is_needed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.models_dir.mkdir(parents=True)
    entry = Registry(settings.models_dir).add(weights(settings.models_dir / "m.gguf"))
    with pytest.raises(ConflictError, match="doesn't hold the adapter") as refused:
        compare_rows(entry, [], "compact", "r", settings)
    assert "bring the run's folder back" in (refused.value.hint or "")
