"""The manifest of a run: what went into a model, on which machine, at which cost, and what came out."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from securetag.errors import TrainingError
from securetag.records import JsonObject
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings
from securetag.training.base import find_hub_id
from securetag.training.launchers.runpod import state as runpod
from securetag.training.recipe import Recipe

#: What of a run's metrics the manifest has.
MEASURED = (
    "rows",
    "tokens",
    "steps",
    "epochs",
    "best_step",
    "train_loss",
    "validation_loss",
    "validation_auc",
    "validation_verdicts_right",
    "wall_s",
    "cpu_s",
    "peak_mb",
    "peak_gpu_mb",
)


def build_manifest(entry: ModelEntry, settings: Settings) -> JsonObject:
    """Return the manifest of a registered model.

    What a base model, or a run whose folder is gone, doesn't have is null. No path of this machine is in it.
    """
    path = Registry(settings.models_dir).path(entry)
    manifest: JsonObject = {
        "schema": 1,
        "model_id": entry.model_id,
        "created_at": entry.created_at,
        "file": {
            "name": path.name,
            "sha256": entry.file_sha256,
            "bytes": path.stat().st_size if path.is_file() else None,
            "quantization": entry.quantisation,
            "converter": entry.converter,
        },
        "base": {"name": entry.base, "license": entry.licence, "hub": None, "revision": None, "sha256": None},
        "adapter_sha256": entry.adapter,
        "release": {"digest": entry.release, "by_task": None, "by_label": None},
        "recipe": None,
        "recipe_digest": None,
        "run": {"name": entry.run, "resumed_from": None, **dict.fromkeys(MEASURED)},
        "versions": None,
        "hardware": None,
        "cost": None,
    }
    run_dir = settings.home / "runs" / entry.run if entry.run else None
    if run_dir is not None and (run_dir / "run.json").is_file():
        _add_run(manifest, run_dir)
    return manifest


def _add_run(manifest: JsonObject, run_dir: Path) -> None:
    state: JsonObject = json.loads((run_dir / "run.json").read_bytes())
    recipe = msgspec.convert(state["recipe"], Recipe)
    hub, revision = find_hub_id(recipe)
    # A base in a folder is named by its publisher's name alone: the folder says nothing elsewhere.
    is_folder = Path(recipe.base).is_absolute()
    metrics = run_dir / "metrics.json"
    measured: JsonObject = json.loads(metrics.read_bytes()) if metrics.is_file() else {}
    manifest["base"] |= {"hub": hub, "revision": revision, "sha256": recipe.base_sha256}
    manifest["release"] |= {name: state.get(name) for name in ("by_task", "by_label")}
    manifest["run"] |= {name: measured.get(name) for name in (*MEASURED, "resumed_from")}
    manifest |= {
        "recipe": state["recipe"] | ({"base": recipe.base_name} if is_folder else {}),
        "recipe_digest": state["recipe_digest"],
        "versions": state.get("versions"),
        "hardware": state.get("hardware"),
        "cost": _find_cost(run_dir),
    }


def _find_cost(run_dir: Path) -> JsonObject | None:
    """Return what rented pods have cost, by their prices; None for a run on this machine."""
    try:
        rented = runpod.load(run_dir)
    except TrainingError:
        return None
    if rented is None:
        return None
    return {"usd": round(rented.cost, 2), "of": "RunPod's price times the pods' hours", "gpu": rented.gpu}
