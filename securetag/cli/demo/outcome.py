"""What a scan found, held against the ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from securetag.records import Finding
from securetag.rules.accuracy import Accuracy, score
from securetag.wire.api import FindingAnswer


class ScanOutcome(msgspec.Struct):
    """What a scan found, and how that compares with the truth."""

    items: list[FindingAnswer]
    accuracy: Accuracy

    def verdicts(self) -> Counter[str]:
        return Counter(item.verdict.decision if item.verdict else "not triaged" for item in self.items)

    def triage(self) -> Counter[tuple[str, str]]:
        """(truth, model's decision) → findings, over the triaged findings that the truth knows."""
        counted: Counter[tuple[str, str]] = Counter()
        for index, row in self.accuracy.matched.items():
            verdict = self.items[index].verdict
            if verdict:
                truth = "true_positive" if row.is_vulnerable else "false_positive"
                counted[truth, verdict.decision] += 1
        return counted


def outcome_of(items: Iterable[FindingAnswer], truth: Path) -> ScanOutcome:
    """The rows of `GET /scans/{id}/findings` beside a ground truth. Raises InputError for a bad truth."""
    answers = list(items)
    return ScanOutcome(answers, score([finding_of(answer) for answer in answers], truth))


def finding_of(answer: FindingAnswer) -> Finding:
    """The Finding in one row of `GET /scans/{id}/findings`; what else the row holds is left out."""
    values = {**answer.occurrence.model_dump(), **answer.model_dump()}
    return msgspec.convert({name: values[name] for name in Finding.__struct_fields__}, Finding)
