"""Verdicts → into the SARIF document whose results they are about, which stays as it is otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from securetag.records import Decision, JsonObject, Verdict
from securetag.scanning.sarif.read import SarifResult

#: Name of what we add to the properties of a result.
PROPERTY = "securetag"


def annotate_sarif(
    content: bytes,
    results: Sequence[SarifResult],
    verdicts: Sequence[Verdict | None],
    *,
    suppress: bool = False,
) -> bytes:
    """Return the document with each verdict in its result's `properties.securetag`.

    With `suppress`, a result that the model calls a false positive gets a suppression, with the model and the
    probability as its justification. Every result has a list of suppressions then, as the standard asks.
    """
    document = msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"))
    for result, verdict in zip(results, verdicts, strict=True):
        if verdict is None:
            continue
        entry: JsonObject = document["runs"][result.run]["results"][result.index]
        properties = cast(JsonObject, entry.get("properties") or {})
        entry["properties"] = {**properties, PROPERTY: _describe(verdict)}
        if suppress and verdict.decision is Decision.FALSE_POSITIVE:
            entry["suppressions"] = [*(entry.get("suppressions") or []), _suppression(verdict)]
    if suppress:
        for run in document["runs"]:
            if any(entry.get("suppressions") is not None for entry in run.get("results") or []):
                for entry in run["results"]:
                    entry.setdefault("suppressions", [])
    return msgspec.json.format(msgspec.json.encode(document), indent=1)


def _describe(verdict: Verdict) -> JsonObject:
    values: JsonObject = {
        "verdict": verdict.decision.value,
        "probabilityFalsePositive": verdict.p_false_positive,
        "threshold": verdict.threshold,
        "calibrationId": verdict.calibration_id,
        "reason": verdict.reason,
        "reasoning": verdict.reasoning,
        "recommendation": verdict.recommendation,
        "evidence": verdict.evidence,
        "model": verdict.alias,
        "modelId": verdict.model_id,
        "gate": verdict.gate,
        "promptVersion": verdict.prompt_version,
    }
    return {name: value for name, value in values.items() if value not in ("", [], None)}


def _suppression(verdict: Verdict) -> JsonObject:
    chance = verdict.p_false_positive
    shown = "" if chance is None else f" (probability {chance:.2f})"
    justification = f"false positive{shown}, says the model {verdict.alias}; no person has looked at it"
    return {"kind": "external", "status": "accepted", "justification": justification}
