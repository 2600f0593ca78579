"""Which findings `securetag scan` shows, and counts for `--fail-on`, by their confidence."""

from __future__ import annotations

from collections.abc import Sequence

from securetag.cli.scan.options import MinConfidence
from securetag.wire.api import FindingAnswer
from securetag.wire.verdicts import decide, has_passed_production_gate

_ORDER: tuple[MinConfidence, ...] = ("low", "medium", "high")


def select_confident(findings: Sequence[FindingAnswer], minimum: MinConfidence) -> list[FindingAnswer]:
    """Return the findings at or above a confidence, the highest rank first.

    One that a person, or a model behind a production gate, called a true positive is always among them.
    """
    level = _ORDER.index(minimum)
    shown = [item for item in findings if _ORDER.index(item.confidence) >= level or _is_confirmed(item)]
    return sorted(shown, key=lambda finding: -finding.rank)


def _is_confirmed(finding: FindingAnswer) -> bool:
    decided = decide(finding)
    if decided.verdict != "true_positive" or finding.verdict is None:
        return decided == ("true_positive", "person")
    return decided.by == "person" or has_passed_production_gate(finding.verdict)


def describe_hidden(count: int, minimum: MinConfidence) -> str:
    """Return one line on the findings below the confidence; empty where there are none."""
    if not count:
        return ""
    lower = " or ".join(f"--min-confidence {name}" for name in _ORDER[: _ORDER.index(minimum)])
    noun = "1 finding is" if count == 1 else f"{count:,} findings are"
    return f"{noun} below {minimum} confidence, not shown and not counted by --fail-on; {lower} shows more"
