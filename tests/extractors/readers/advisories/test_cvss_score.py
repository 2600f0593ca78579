from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.readers.advisories.cvss_score import (
    Score,
    choose_best_score,
    compute_score,
    parse_severity,
    rate_severity,
)


# Scores as FIRST's calculators give them.
@pytest.mark.parametrize(
    ("vector", "value", "severity"),
    [
        pytest.param("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, "critical", id="3.1 critical"),
        pytest.param("CVSS:3.0/AV:L/AC:H/PR:H/UI:N/S:U/C:L/I:L/A:L", 3.9, "low", id="3.0 low"),
        pytest.param(
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            9.3,
            "critical",
            id="4.0 critical",
        ),
        pytest.param("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0, "high", id="2.0 high"),
        pytest.param("(AV:N/AC:L/Au:N/C:P/I:P/A:P)", 7.5, "high", id="2.0 in parentheses"),
        pytest.param("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, None, id="3.1 none"),
    ],
)
def test_scores_and_severities(vector: str, value: float, severity: str | None) -> None:
    score = compute_score(vector)
    assert score
    assert (score.value, score.severity) == (value, severity)


@pytest.mark.parametrize(
    "vector",
    [
        pytest.param("", id="empty"),
        pytest.param("7.5", id="number"),
        pytest.param("CVSS:3.1/AV:N", id="incomplete"),
        pytest.param("CVSS:9.9/AV:N/AC:L", id="unknown version"),
        pytest.param("CVSS:3.1/" + "A" * 9999, id="long value"),
    ],
)
def test_what_is_no_vector_has_no_score(vector: str) -> None:
    assert compute_score(vector) is None


@given(st.text(max_size=60), st.sampled_from(["", "CVSS:3.1/", "CVSS:4.0/", "AV:N/AC:L/Au:N/"]))
def test_any_text_is_a_score_or_none(text: str, prefix: str) -> None:
    score = compute_score(prefix + text)
    assert score is None or 0 <= score.value <= 10


def test_the_order_of_scores() -> None:
    old = Score(9.0, "AV:N", "2.0", 0)
    mine, newer, others = Score(5.0, "a", "3.1", 1), Score(6.0, "b", "4.0", 1), Score(7.0, "c", "3.1", 2)
    assert choose_best_score([old, others, mine, newer]) is newer
    assert choose_best_score([old, others]) is others
    assert choose_best_score([old]) is old
    assert choose_best_score([]) is None


def test_words() -> None:
    assert [parse_severity(w) for w in ("MODERATE", " Important ", "none", None)] == [
        "medium",
        "high",
        None,
        None,
    ]
    assert rate_severity(9.5, "2.0") == "high"
