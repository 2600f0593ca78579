"""In what two registered models differ, by their manifests and by what was measured of each."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from securetag.errors import NotFoundError
from securetag.evaluation.metrics import HELD_OUT
from securetag.pipeline.artifacts.manifest import build_manifest
from securetag.pipeline.evaluate import latest_evaluation
from securetag.records import JsonObject
from securetag.serving.registry import ModelEntry
from securetag.settings import Settings


def compare_models(
    first: ModelEntry, second: ModelEntry, settings: Settings
) -> dict[str, tuple[object, object]]:
    """Return field → both models' values, for each field in which they differ.

    Figures of two evaluations are of the same rows only where `evaluation.release` and `evaluation.rows` are
    the same, which then aren't among the differences.
    """
    sides = [dict(_flatten(_describe(entry, settings))) for entry in (first, second)]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    pairs = {name: (sides[0].get(name), sides[1].get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _describe(entry: ModelEntry, settings: Settings) -> JsonObject:
    manifest = build_manifest(entry, settings)
    described: JsonObject = {name: value for name, value in manifest.items() if name != "schema"}
    described["gate"] = entry.gate_pass.gate if entry.gate_pass else None
    if entry.calibration is not None:
        described["calibration"] = {
            "id": entry.calibration.id,
            "threshold": entry.calibration.threshold,
            "population": entry.calibration.bound.population,
        }
    if entry.parity is not None:
        described["parity"] = {
            name: getattr(entry.parity, name) for name in ("rows", "flips_served", "shift_served")
        }
    try:
        evaluation = latest_evaluation(entry.model_id, settings)
    except NotFoundError:
        return described
    suite = evaluation.comparison.suites[HELD_OUT]
    fixes = evaluation.comparison.fixes.get("candidate")
    described["evaluation"] = {
        "release": evaluation.release,
        "against": evaluation.base_id,
        "rows": suite.n,
        **{name: cell.candidate for name, cell in suite.metrics.items()},
        "fixes": msgspec.to_builtins(fixes) if fixes else None,
    }
    return described


def _flatten(value: JsonObject, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield `a.b` → value of nested objects."""
    for name, part in value.items():
        if isinstance(part, dict):
            yield from _flatten(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part
