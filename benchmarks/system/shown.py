"""What of labeled findings a system shows, and what a triager leaves of them at a given recall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from securetag.datasets.realism import LabeledSnippet


class Shown(NamedTuple):
    """Vulnerabilities and false alarms that somebody sees."""

    true: int
    false: int

    def recall_of(self, everything: Shown) -> float:
        """Return the share of all vulnerabilities that is shown; 0 where there are none."""
        return self.true / everything.true if everything.true else 0.0


def count_shown(findings: Sequence[LabeledSnippet], is_shown: Sequence[bool]) -> Shown:
    """Count what is shown."""
    true = sum(
        shown and finding.label == "true_positive" for finding, shown in zip(findings, is_shown, strict=True)
    )
    return Shown(true, sum(is_shown) - true)


def show_at_recall(findings: Sequence[LabeledSnippet], scores: Sequence[float], recall: float) -> Shown:
    """Return what is shown by the lowest threshold that leaves at least `recall` of the vulnerabilities.

    `scores` are higher for a false positive. What has the threshold's score is shown, so that equal scores
    are never told apart.
    """
    true = sorted(
        score for finding, score in zip(findings, scores, strict=True) if finding.label == "true_positive"
    )
    needed = math.ceil(recall * len(true) - 1e-9)
    threshold = true[needed - 1] if needed else -math.inf
    return count_shown(findings, [score <= threshold for score in scores])
