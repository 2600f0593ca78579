"""What the comparison of systems counts: thresholds, ties, and what Bandit reports at the same place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.system import compare, compare_with_bandit
from benchmarks.system.bandit import report_places
from benchmarks.system.shown import Shown, count_shown, show_at_recall
from securetag.datasets.realism import LabeledSnippet
from securetag.settings import get_settings


def finding(label: str, *, file: str = "p/a.py", line: int = 1, language: str = "python") -> LabeledSnippet:
    return LabeledSnippet(
        file=file,
        line=line,
        label=label,  # type: ignore[arg-type]
        language=language,
        code="x",
        first_line=1,
        cwe="CWE-78",
    )


FINDINGS = [finding("true_positive")] * 4 + [finding("false_positive")] * 6
PERFECT = [0.0] * 4 + [1.0] * 6


def test_a_triager_shows_what_its_threshold_leaves() -> None:
    assert show_at_recall(FINDINGS, PERFECT, 1.0) == Shown(4, 0)
    assert show_at_recall(FINDINGS, [0.0] * 10, 1.0) == Shown(4, 6)
    # One vulnerability scores like a false alarm: at full recall all is shown.
    scores = [1.0, *PERFECT[1:]]
    assert show_at_recall(FINDINGS, scores, 1.0) == Shown(4, 6)
    assert show_at_recall(FINDINGS, scores, 0.75) == Shown(3, 0)
    assert show_at_recall(FINDINGS, scores, 0.0) == Shown(0, 0)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_recall_holds_and_a_lower_one_shows_no_more(
    rows: list[tuple[bool, int]], first: float, second: float
) -> None:
    findings = [finding("true_positive" if is_true else "false_positive") for is_true, _ in rows]
    scores = [float(score) for _, score in rows]
    everything = count_shown(findings, [True] * len(findings))
    lower, higher = sorted((first, second))
    some, more = (show_at_recall(findings, scores, recall) for recall in (lower, higher))
    assert some.true <= more.true
    assert some.false <= more.false
    assert more.true >= higher * everything.true - 1e-6


def test_the_figures_name_recall_and_false_alarms() -> None:
    figures = {figure.figure: figure for figure in compare(FINDINGS, {"it": PERFECT})}
    untriaged = figures["all: Semgrep with our rules, untriaged: false alarms shown"]
    assert (untriaged.value, untriaged.peer) == (6, "4 of 4 vulnerabilities shown")
    assert figures["all: triaged by it, 100% of vulnerabilities kept: false alarms shown"].value == 0


def test_a_triager_is_compared_at_bandits_recall_on_python_alone() -> None:
    findings = [*FINDINGS, finding("false_positive", file="p/a.js", language="javascript")]
    is_bandit = [True, False, False, False, True, True, *[False] * 4, False]
    figures = {
        figure.figure: (figure.value, figure.peer)
        for figure in compare_with_bandit(findings, {"it": [*PERFECT, 1.0]}, is_bandit)
    }
    assert figures["Python: Bandit: false alarms shown"] == (2, "1 of 4 vulnerabilities shown")
    value, _ = figures["Python: triaged by it at Bandit's recall: false alarms shown"]
    assert value == 0


@pytest.mark.system
def test_bandit_reports_the_same_place(tmp_path: Path) -> None:
    root = tmp_path / "real"
    (root / "p").mkdir(parents=True)
    (root / "p" / "a.py").write_text(
        "import os\n\n\ndef f(a):\n    os.system('ls ' + a)\n" + "\n" * 9 + "x = 1\n"
    )
    findings = [
        finding("true_positive", line=5),
        finding("false_positive", line=15),
        finding("false_positive", file="p/a.js", language="javascript"),
    ]
    assert report_places(findings, root, tmp_path / "work", get_settings()) == [True, False, False]
