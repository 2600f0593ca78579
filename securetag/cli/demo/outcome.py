"""What a scan found, held against the ground truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from securetag.records import Finding
from securetag.rules.accuracy import Accuracy, score


class ScanOutcome(msgspec.Struct):
    """What a scan found, and how that compares with the truth."""

    items: list[dict[str, Any]]
    accuracy: Accuracy

    def verdicts(self) -> Counter[str]:
        return Counter((item.get("verdict") or {}).get("decision") or "not triaged" for item in self.items)

    def triage(self) -> Counter[tuple[str, str]]:
        """Return (truth, model's decision) → findings, over the triaged findings that the truth knows."""
        counted: Counter[tuple[str, str]] = Counter()
        for index, row in self.accuracy.matched.items():
            verdict = self.items[index].get("verdict")
            if verdict:
                truth = "true_positive" if row.is_vulnerable else "false_positive"
                counted[truth, verdict["decision"]] += 1
        return counted


def outcome_of(items: Iterable[dict[str, Any]], truth: Path) -> ScanOutcome:
    """Compare the rows of `GET /scans/{id}/findings` with a ground truth. Raises InputError for a bad one."""
    rows = list(items)
    return ScanOutcome(rows, score([finding_of(item) for item in rows], truth))


def finding_of(item: dict[str, Any]) -> Finding:
    """Return the Finding in one row of `GET /scans/{id}/findings`; what else the row holds is left out."""
    fields = {**item["occurrence"], **item}
    return msgspec.convert({name: fields[name] for name in Finding.__struct_fields__}, Finding)
