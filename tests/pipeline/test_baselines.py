"""The baselines that a model is held against learn from training rows alone."""

from __future__ import annotations

import msgspec
import pytest

from securetag.pipeline.baselines import fit_baselines, predict
from securetag.records import Decision, Example, Label, Message, Origin, Task
from securetag.triage import PROMPT_VERSIONS


def make_example(number: int, label: Label, cwe: str, code: str) -> Example:
    return Example.of(
        task=Task.TRIAGE,
        messages=[
            Message("system", ""),
            Message("user", f"{cwe}\n> {code}_{number}"),
            Message("assistant", "{}"),
        ],
        lang="en",
        licence="Apache-2.0",
        group=f"group-{number}",
        origin="composition",
        origins=[Origin(record_id="0" * 64)],
        source="synthetic",
        label=label,
        label_source="execution",
        prompt_version=PROMPT_VERSIONS["compact"],
    )


def make_rows() -> list[Example]:
    """Three of four rows of CWE-89 are true, one of four of CWE-79; `escape` is in false ones alone."""
    rows = []
    for number in range(80):
        cwe = "CWE-89" if number % 2 else "CWE-79"
        is_true = (number // 2 % 4 != 0) == (cwe == "CWE-89")
        label: Label = "true_positive" if is_true else "false_positive"
        rows.append(make_example(number, label, cwe, "execute(value)" if is_true else "escape(value)"))
    return rows


def test_the_majority_has_no_opinion_and_the_class_has_that_of_training() -> None:
    rows = make_rows()
    scores = fit_baselines(rows)
    asked_about = [
        make_example(900, "true_positive", "CWE-89", "x"),
        make_example(901, "true_positive", "CWE-79", "x"),
        make_example(902, "true_positive", "CWE-22", "x"),
    ]
    assert scores["majority"](asked_about) == [0.0, 0.0, 0.0]
    sql, xss, unseen = scores["class"](asked_about)
    assert sql < 0 < xss
    assert unseen == 0.0


def test_word_counts_tell_what_a_word_tells() -> None:
    rows = make_rows()
    result = predict("tfidf", fit_baselines(rows)["tfidf"], rows)
    assert [row.decision for row in result.rows] == [Decision(row.label) for row in result.rows]
    assert {row.model_id for row in result.rows} == {"tfidf"}
    assert predict("tfidf", fit_baselines(rows)["tfidf"], []).rows == []


@pytest.mark.parametrize("size", [0, 3])
def test_too_few_rows_give_no_word_counts(size: int) -> None:
    assert "tfidf" not in fit_baselines(make_rows()[:size])


def test_rows_without_a_label_are_neither_learned_from_nor_scored() -> None:
    unlabeled = [msgspec.structs.replace(row, label=None) for row in make_rows()]
    scores = fit_baselines(unlabeled)
    assert scores["class"](make_rows()[:1]) == [0.0]
    assert predict("class", scores["class"], unlabeled).rows == []
