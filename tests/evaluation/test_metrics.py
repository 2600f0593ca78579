from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.calibration import Bound, Calibration
from securetag.errors import InputError
from securetag.evaluation import compare, metrics, suites
from securetag.evaluation.suites import Row, SuiteResult
from securetag.records import Decision, Example, Label
from securetag.triage import Predictor


def row(number: int, label: Label, decision: str, **fields: Any) -> Row:
    given = {
        "id": f"{number:03}",
        "axis": "in_distribution",
        "group": f"g{number}",
        "label": label,
        "lang": "en",
        "prompt_version": "compact-6",
        "decision": Decision(decision),
        "valid": decision != "needs_review",
    }
    return Row(**{**given, **fields})


def rows_of(pairs: list[tuple[str, str]]) -> list[Row]:
    return [row(i, label, decision) for i, (label, decision) in enumerate(pairs)]  # type: ignore[arg-type]


outcomes = st.tuples(st.sampled_from(metrics.LABELS), st.sampled_from(metrics.DECISIONS))


@settings(max_examples=60, deadline=None)
@given(st.lists(outcomes, min_size=1, max_size=50))
def test_figures_equal_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    rows = rows_of(pairs)
    labels, made = [label for label, _ in pairs], [decision for _, decision in pairs]
    counts = np.asarray([metrics.cells(row) for row in rows]).sum(axis=0, keepdims=True)
    theirs = f1_score(labels, made, labels=list(metrics.LABELS), average="macro", zero_division=0)
    assert metrics.macro_f1(counts)[0] == pytest.approx(theirs)
    measured = metrics.measure(rows)
    assert measured.estimates["macro_f1"].value == pytest.approx(theirs)
    assert measured.estimates["accuracy"].value == pytest.approx(accuracy_score(labels, made))
    table = confusion_matrix(labels, made, labels=list(metrics.DECISIONS))
    for i, label in enumerate(metrics.DECISIONS[:2]):
        assert [measured.confusion[label][decision] for decision in metrics.DECISIONS] == list(table[i])


@settings(max_examples=30, deadline=None)
@given(st.lists(outcomes, min_size=1, max_size=50))
def test_every_interval_contains_its_figure(pairs: list[tuple[str, str]]) -> None:
    for estimate in metrics.measure(rows_of(pairs)).estimates.values():
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1 + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(metrics.LABELS), min_size=1, max_size=40))
def test_the_majority_figure_is_what_a_constant_model_reaches(labels: list[str]) -> None:
    common = max(metrics.LABELS, key=labels.count)
    rows = rows_of([(label, common) for label in labels])
    accuracy, f1 = metrics.majority_share(rows)
    estimates = metrics.measure(rows).estimates
    assert estimates["accuracy"].value == pytest.approx(accuracy)
    assert estimates["macro_f1"].value == pytest.approx(f1)
    assert estimates["accuracy"].majority == accuracy


def test_abstaining_is_neither_found_nor_dismissed() -> None:
    rows = rows_of(
        [
            ("true_positive", "true_positive"),
            ("true_positive", "needs_review"),
            ("true_positive", "false_positive"),
            ("true_positive", "true_positive"),
            ("false_positive", "false_positive"),
            ("false_positive", "needs_review"),
        ]
    )
    values = {name: estimate.value for name, estimate in metrics.measure(rows).estimates.items()}
    assert values["true_positive_recall"] == 0.5
    assert values["true_positives_kept"] == 0.75
    assert values["false_positive_reduction"] == 0.5
    assert values["accuracy"] == 0.5
    assert values["decided"] == pytest.approx(4 / 6)
    assert "json_validity" not in values


def test_what_no_row_bears_on_is_absent() -> None:
    assert metrics.measure([]).estimates == {}
    assert metrics.majority_share([]) == (0.0, 0.0)
    only = metrics.measure(rows_of([("true_positive", "true_positive")])).estimates
    assert "false_positive_reduction" not in only


def test_suites_are_all_rows_and_each_axis(examples: list[Example], perfect: Predictor) -> None:
    by_suite = metrics.split_into_suites(suites.run_suite(perfect, examples).rows)
    assert {name: len(rows) for name, rows in by_suite.items()} == {
        "held_out": 120,
        "trained": 30,
        "in_distribution": 30,
        "unseen_framework": 30,
        "unseen_guard": 30,
        "unseen_sink": 30,
    }
    assert next(iter(by_suite)) == "held_out"
    assert metrics.split_into_suites([]) == {"held_out": []}


def test_comparison_has_the_shape_that_scripts_read(
    examples: list[Example], constant: Predictor, perfect: Predictor
) -> None:
    base, candidate = suites.run_suite(constant, examples), suites.run_suite(perfect, examples)
    compared = compare.compare(base, candidate).as_json()
    axes = {"in_distribution", "unseen_sink", "unseen_framework", "unseen_guard"}
    assert set(compared) == {"held_out", "trained", *axes}
    for suite in compared.values():
        for cell in suite.values():
            assert {"base", "candidate", "low", "high", "p"} <= set(cell)
            assert cell["low"] <= cell["candidate"] <= cell["high"]
            assert cell["difference_low"] <= cell["difference"] <= cell["difference_high"]
            assert cell["difference"] == pytest.approx(cell["candidate"] - cell["base"])
    held_out = compared["held_out"]
    assert (held_out["json_validity"]["base"], held_out["json_validity"]["candidate"]) == (0, 1)
    assert (held_out["accuracy"]["base"], held_out["accuracy"]["majority"]) == (0.5, 0.5)
    assert held_out["true_positive_recall"]["p"] == 1.0
    assert held_out["macro_f1"]["p"] < 0.01


def test_comparison_of_a_model_with_itself_finds_nothing(examples: list[Example], noisy: Predictor) -> None:
    result = suites.run_suite(noisy, examples)
    for suite in compare.compare(result, result).suites.values():
        for cell in suite.metrics.values():
            assert (cell.difference, cell.p) == (0, 1.0)
            assert cell.difference_low == cell.difference_high == 0


def test_swapping_the_models_mirrors_the_difference(
    examples: list[Example], noisy: Predictor, dismissive: Predictor
) -> None:
    first, second = suites.run_suite(noisy, examples), suites.run_suite(dismissive, examples)
    forward, backward = compare.compare(first, second), compare.compare(second, first)
    for name, suite in forward.suites.items():
        for metric, cell in suite.metrics.items():
            mirrored = backward.suites[name].metrics[metric]
            assert cell.difference == pytest.approx(-mirrored.difference)
            assert cell.p == pytest.approx(mirrored.p)
            assert cell.difference_low == pytest.approx(-mirrored.difference_high)


def test_the_order_of_rows_changes_nothing(examples: list[Example], noisy: Predictor) -> None:
    result = suites.run_suite(noisy, examples)
    shuffled = SuiteResult(rows=result.rows[::-1])
    assert compare.compare(result, result) == compare.compare(shuffled, shuffled)


def test_results_over_other_examples_are_not_compared(examples: list[Example], perfect: Predictor) -> None:
    result = suites.run_suite(perfect, examples)
    less, doubled = SuiteResult(rows=result.rows[1:]), SuiteResult(rows=[*result.rows, result.rows[0]])
    for other in (less, doubled):
        with pytest.raises(InputError, match="the same examples"):
            compare.compare(result, other)
    bound = suites.run_suite(perfect, examples, free=False)
    with pytest.raises(InputError, match="put otherwise"):
        compare.compare(result, bound)
    # The base may be asked for fewer whole answers; a share of them is of those that it was asked for.
    suite = compare.compare(SuiteResult(rows=[*result.rows[:5], *bound.rows[5:]]), result).suites["held_out"]
    assert (suite.metrics["json_validity"].n, suite.n) == (len(examples), len(examples))


@pytest.mark.parametrize(
    ("margin", "served", "agrees"),
    [
        pytest.param(-9.8, -9.2, True, id="of no weight where it is sure"),
        pytest.param(-0.6, -0.4, True, id="a little"),
        pytest.param(-0.6, -0.2, False, id="much"),
        pytest.param(-0.05, 0.05, False, id="another decision"),
    ],
)
def test_served_answers_agree_in_decision_and_probability(margin: float, served: float, agrees: bool) -> None:
    calibration = Calibration(
        model_id="m",
        prompt_version="compact",
        method="temperature",
        threshold=0.9,
        bound=Bound(target=0.05, lost=0, of=200, upper=0.015, population="rows of a test"),
        rows=400,
    )
    alone = row(1, "true_positive", "true_positive", margin=margin, prompt_version="compact")
    answered = msgspec.structs.replace(
        alone, served_margin=served, served_decision=Decision.TRUE_POSITIVE, served_valid=True
    )
    (judged,) = suites.apply_to_rows(SuiteResult(rows=[answered]), calibration).rows
    assert metrics.agrees_as_served(judged) is agrees
