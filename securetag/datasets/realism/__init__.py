"""How close a release's triage code is to real code, and what learned on it scores on real findings.

`measures` counts what one snippet holds, `labeled` reads real code and its labels, `report` compares the two
and `picture` draws them.
"""

from __future__ import annotations

from securetag.datasets.realism.labeled import LabeledSnippet, read_labeled, sample_functions
from securetag.datasets.realism.measures import MEASURES, measure_code
from securetag.datasets.realism.picture import draw_realism
from securetag.datasets.realism.report import (
    Realism,
    Transfer,
    compare_with_real,
    list_spread_rows,
    render_finding,
    score_transfer,
    score_word_transfer,
    score_words,
    triage_code,
)

__all__ = [
    "MEASURES",
    "LabeledSnippet",
    "Realism",
    "Transfer",
    "compare_with_real",
    "draw_realism",
    "list_spread_rows",
    "measure_code",
    "read_labeled",
    "render_finding",
    "sample_functions",
    "score_transfer",
    "score_word_transfer",
    "score_words",
    "triage_code",
]
