"""A scan's findings compared with the ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from securetag.rules.accuracy import Accuracy, score
from securetag.wire.api import FindingAnswer


class ScanOutcome(msgspec.Struct):
    """The rows of a scan's findings, and their accuracy."""

    items: list[FindingAnswer]
    accuracy: Accuracy

    def count_verdicts(self) -> Counter[str]:
        """Count findings by the model's decision, or `not triaged`."""
        return Counter(item.verdict.decision if item.verdict else "not triaged" for item in self.items)

    def count_triage(self, paths: Collection[str] | None = None) -> Counter[tuple[str, str]]:
        """Count triaged findings that are in the ground truth, by (truth, model's decision).

        `paths`: of these files alone.
        """
        counted: Counter[tuple[str, str]] = Counter()
        for index, row in self.accuracy.matched.items():
            verdict = self.items[index].verdict
            if verdict and (paths is None or row.path in paths):
                truth = "true_positive" if row.is_vulnerable else "false_positive"
                counted[truth, verdict.decision] += 1
        return counted


def compare_scan(items: Iterable[FindingAnswer], truth: Path) -> ScanOutcome:
    """Compare the rows of `GET /scans/{id}/findings` with a ground truth. Raises InputError for a bad one."""
    answers = list(items)
    return ScanOutcome(answers, score([answer.to_finding() for answer in answers], truth))
