from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.extractors.readers.advisories.cvss_score import (
    Score,
    best,
    score_of,
    severity_of,
    severity_word,
)


# Scores as FIRST's calculators give them.
@pytest.mark.parametrize(
    ("vector", "value", "severity"),
    [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, "critical"),
        ("CVSS:3.0/AV:L/AC:H/PR:H/UI:N/S:U/C:L/I:L/A:L", 3.9, "low"),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3, "critical"),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0, "high"),
        ("(AV:N/AC:L/Au:N/C:P/I:P/A:P)", 7.5, "high"),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, None),
    ],
)
def test_scores_and_severities(vector: str, value: float, severity: str | None) -> None:
    found = score_of(vector)
    assert found
    assert (found.value, found.severity) == (value, severity)


@pytest.mark.parametrize(
    "vector", ["", "7.5", "CVSS:3.1/AV:N", "CVSS:9.9/AV:N/AC:L", "CVSS:3.1/" + "A" * 9999]
)
def test_what_is_no_vector_has_no_score(vector: str) -> None:
    assert score_of(vector) is None


@given(st.text(max_size=60), st.sampled_from(["", "CVSS:3.1/", "CVSS:4.0/", "AV:N/AC:L/Au:N/"]))
def test_any_text_is_a_score_or_none(text: str, prefix: str) -> None:
    found = score_of(prefix + text)
    assert found is None or 0 <= found.value <= 10


def test_the_order_of_scores() -> None:
    old = Score(9.0, "AV:N", "2.0", 0)
    mine, newer, others = Score(5.0, "a", "3.1", 1), Score(6.0, "b", "4.0", 1), Score(7.0, "c", "3.1", 2)
    assert best([old, others, mine, newer]) is newer
    assert best([old, others]) is others
    assert best([old]) is old
    assert best([]) is None


def test_words() -> None:
    assert [severity_word(w) for w in ("MODERATE", " Important ", "none", None)] == [
        "medium",
        "high",
        None,
        None,
    ]
    assert severity_of(9.5, "2.0") == "high"
