"""SARIF as Semgrep and Bandit write it, about places that a test names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple


class At(NamedTuple):
    """A place that a tool reports."""

    rule: str
    path: str
    line: int
    code: str = ""


def bandit(*places: At, version: str = "1.9.4", **run: Any) -> dict[str, Any]:
    """A run of Bandit: severity and confidence are properties, the CWE is a tag of the rule."""
    rules = [
        {
            "id": rule,
            "name": rule.lower(),
            "properties": {"tags": ["security", "external/cwe/cwe-78"], "precision": "high"},
            "helpUri": f"https://bandit.readthedocs.io/en/{version}/plugins/{rule.lower()}.html",
        }
        for rule in dict.fromkeys(place.rule for place in places)
    ]
    results = [
        {
            "message": {"text": "Starting a process with a shell, possible injection detected."},
            "level": "error",
            "locations": [
                {
                    "physicalLocation": {
                        "region": {
                            "snippet": {"text": place.code},
                            "endColumn": 30,
                            "endLine": place.line,
                            "startColumn": 5,
                            "startLine": place.line,
                        },
                        "artifactLocation": {"uri": place.path},
                        "contextRegion": {"startLine": max(1, place.line - 1), "endLine": place.line + 1},
                    }
                }
            ],
            "properties": {"issue_confidence": "HIGH", "issue_severity": "HIGH"},
            "ruleId": place.rule,
            "ruleIndex": [rule["id"] for rule in rules].index(place.rule),
        }
        for place in places
    ]
    driver = {"name": "Bandit", "organization": "PyCQA", "rules": rules, "version": version}
    invocations = [{"executionSuccessful": True, "endTimeUtc": "2026-11-20T10:00:00Z"}]
    properties = {"metrics": {"_totals": {"loc": 9, "nosec": 0}}}
    return {
        "tool": {"driver": {**driver, "semanticVersion": version}},
        "invocations": invocations,
        "properties": properties,
        "results": results,
        **run,
    }


def semgrep(*places: At, **run: Any) -> dict[str, Any]:
    """A run of Semgrep: paths have a base, tags name CWE and confidence."""
    rules = [
        {
            "id": rule,
            "name": rule,
            "defaultConfiguration": {"level": "error"},
            "fullDescription": {"text": "User input reaches a shell."},
            "shortDescription": {"text": f"Semgrep Finding: {rule}"},
            "properties": {
                "precision": "very-high",
                "tags": ["CWE-78: Improper Neutralization of Special Elements", "HIGH CONFIDENCE"],
            },
        }
        for rule in dict.fromkeys(place.rule for place in places)
    ]
    results = [
        {
            "fingerprints": {"matchBasedId/v1": "requires login"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": place.path, "uriBaseId": "%SRCROOT%"},
                        "region": {
                            "endColumn": 30,
                            "endLine": place.line,
                            "snippet": {"text": place.code},
                            "startColumn": 5,
                            "startLine": place.line,
                        },
                    }
                }
            ],
            "message": {"text": "User input reaches a shell."},
            "properties": {},
            "ruleId": place.rule,
        }
        for place in places
    ]
    driver = {"name": "Semgrep OSS", "rules": rules, "semanticVersion": "1.182.0"}
    invocations = [{"executionSuccessful": True, "toolExecutionNotifications": []}]
    return {"tool": {"driver": driver}, "invocations": invocations, "results": results, **run}


def document(*runs: dict[str, Any]) -> bytes:
    """A SARIF file."""
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": list(runs)}).encode()


def write(path: Path, *runs: dict[str, Any]) -> Path:
    path.write_bytes(document(*runs))
    return path
