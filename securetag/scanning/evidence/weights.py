"""How much the evidence of one place counts: its confidence, and with severity and path class its rank.

The weights are precisions from a laboratory's run over applications whose misses had been read first, so
they order findings and promise nothing: shape and traced source together .76, a template rule alone .48, a
shape rule alone .42, a traced rule without the shape .17.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from securetag.records import Confidence, PathClass, RuleKind, RuleMatch, Severity

CONFIDENCES: tuple[Confidence, ...] = ("low", "medium", "high")
MAX_RANK = 1_000

_SEVERITY_WEIGHTS: dict[Severity, float] = {
    "critical": 1.0,
    "high": 0.75,
    "medium": 0.45,
    "low": 0.2,
    "info": 0.05,
}
#: A place that no product runs matters less; nothing becomes 0, so that the order within stays.
_PATH_WEIGHTS: dict[PathClass, float] = {
    "source": 1.0,
    "example": 0.6,
    "vendored": 0.5,
    "generated": 0.5,
    "test": 0.3,
}
#: What a rule alone counts, by the confidence that it declares.
_DECLARED: dict[Confidence, float] = {"low": 0.3, "medium": 0.48, "high": 0.76}
#: A traced rule without the shape, by what it declares; it is never more than medium.
_TRACED_ALONE: dict[Confidence, float] = {"low": 0.17, "medium": 0.3, "high": 0.4}
#: What another engine adds that reports the same weakness at the same place.
_AGREEMENT = 0.15


class Evidence(NamedTuple):
    """What the rules at one place say together."""

    confidence: Confidence
    #: 0 to 1.
    weight: float


def weigh(matches: Sequence[RuleMatch], declared: Confidence) -> Evidence:
    """Return the evidence of the rules at one place; `declared` is the highest confidence that one declares.

    docs/rules.md has the table.
    """
    kinds = {match.kind for match in matches}
    evidence = _weigh_kinds(kinds, declared)
    if len({match.tool for match in matches}) < 2:
        return evidence
    raised = CONFIDENCES[min(CONFIDENCES.index(evidence.confidence) + 1, len(CONFIDENCES) - 1)]
    return Evidence(raised, min(1.0, evidence.weight + _AGREEMENT))


def _weigh_kinds(kinds: set[RuleKind], declared: Confidence) -> Evidence:
    capped = min(declared, "medium", key=CONFIDENCES.index)
    if "traced" in kinds and kinds & {"shape", "template"}:
        return Evidence("high", 0.76)
    if {"shape", "template"} <= kinds:
        return Evidence("medium", 0.55)
    # A secret or a pattern says by itself what it is, whatever else stands there.
    if kinds & {"secret", "pattern"}:
        return Evidence(declared, _DECLARED[declared])
    if "template" in kinds:
        return Evidence("medium", 0.48)
    if "traced" in kinds:
        return Evidence(capped, _TRACED_ALONE[declared])
    if "shape" in kinds:
        return Evidence("low", 0.42)
    return Evidence(capped, _DECLARED[capped])


def rank(severity: Severity, evidence: Evidence, path_class: PathClass) -> int:
    """Return 0 to MAX_RANK: impact times the chance that it is one, less where no product runs the file."""
    return round(MAX_RANK * _SEVERITY_WEIGHTS[severity] * evidence.weight * _PATH_WEIGHTS[path_class])
