"""Severity, confidence and CWE in the properties of a result and of its rule: tools name them differently."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from securetag.records import Confidence, Severity

#: Of a result, or of its rule: those of the result come first.
Properties = dict[str, object]

_SEVERITIES: dict[str, Severity] = {"error": "high", "warning": "medium", "note": "low", "none": "info"}
_WORDS: dict[str, Severity] = {
    "critical": "critical",
    "high": "high",
    "medium": "medium",
    "moderate": "medium",
    "low": "low",
    "info": "info",
}
_CONFIDENCES: dict[str, Confidence] = {"very-high": "high", "high": "high", "medium": "medium", "low": "low"}
#: GitHub's borders of `security-severity`.
_SCORES: tuple[tuple[float, Severity], ...] = (
    (9.0, "critical"),
    (7.0, "high"),
    (4.0, "medium"),
    (0.0, "low"),
)
_CWE = re.compile(r"\bcwe[-_ :/]{0,2}0*(\d{1,5})\b", re.IGNORECASE)


def severity_of(bags: Sequence[Properties], level: str) -> Severity:
    """Return the severity that properties name, else that of the level."""
    for properties in bags:
        try:
            score = float(str(properties["security-severity"]))
        except (KeyError, ValueError):
            continue
        return next((word for border, word in _SCORES if score >= border and score > 0), "info")
    for properties in bags:
        for name in ("issue_severity", "severity", "problem.severity"):
            if word := _WORDS.get(str(properties.get(name, "")).lower()):
                return word
        # gosec's level is `error` for its medium too.
        tags = properties.get("tags")
        for tag in tags if isinstance(tags, list) else ():
            if tag in {"HIGH", "MEDIUM", "LOW"}:
                return _WORDS[tag.lower()]
    return _SEVERITIES.get(level, "medium")


def confidence_of(bags: Sequence[Properties]) -> Confidence | None:
    """Return the confidence that properties name."""
    for properties in bags:
        for name in ("issue_confidence", "confidence", "precision"):
            if word := _CONFIDENCES.get(str(properties.get(name, "")).lower()):
                return word
    return None


def cwe_of(bags: Sequence[Properties]) -> str:
    """Return the CWE that properties or tags name; empty for none."""
    for properties in bags:
        for name in ("cwe", "cwes", "cwe-id", "cwe_id", "tags"):
            value = properties.get(name)
            texts = value if isinstance(value, list) else [value]
            for text in texts:
                if name in {"cwe-id", "cwe_id", "cwe"} and is_cwe_number(str(text)):
                    return f"CWE-{int(str(text))}"
                if match := _CWE.search(str(text)):
                    return f"CWE-{int(match[1])}"
    return ""


def is_cwe_number(text: str) -> bool:
    """Return whether a text is the number of a CWE."""
    return text.isdecimal() and len(text) <= 5


def cwe_by_prefix(rule_id: str, cwes: Mapping[str, str]) -> str:
    """Return the CWE of the longest entry with which the rule's id begins."""
    entries = [prefix for prefix in cwes if rule_id.startswith(prefix)]
    return cwes[max(entries, key=len)] if entries else ""
