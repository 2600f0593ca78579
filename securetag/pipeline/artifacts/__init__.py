"""What lies beside a registered model: its run's manifest, a model card and a bill of materials.

They are in `<models>/<first 16 digits of the model's id>/`, written when a model is registered and again when
it is published, and hold nothing that can't be made again from the registry, the run and the evaluation.
"""

from __future__ import annotations

import json
from pathlib import Path

from securetag.pipeline.artifacts.bom import build_bom
from securetag.pipeline.artifacts.card import build_card
from securetag.pipeline.artifacts.manifest import build_manifest
from securetag.serving.registry import ModelEntry
from securetag.settings import Settings
from securetag.system.files import write_atomic

__all__ = ["build_bom", "build_card", "build_manifest", "find_artifacts", "write_artifacts"]

CARD, MANIFEST, BOM = "README.md", "manifest.json", "bom.cdx.json"


def find_artifacts(entry: ModelEntry, settings: Settings) -> Path:
    """Return the folder of a model's artifacts, whether or not they were written."""
    return settings.models_dir / entry.model_id[:16]


def write_artifacts(entry: ModelEntry, settings: Settings) -> Path:
    """Write the three files of a model, in place of older ones; return their folder."""
    folder = find_artifacts(entry, settings)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = build_manifest(entry, settings)
    for name, content in (
        (MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"),
        (CARD, build_card(entry, settings, manifest)),
        (BOM, json.dumps(build_bom(entry, manifest), indent=2, ensure_ascii=False) + "\n"),
    ):
        write_atomic(folder / name, content.encode())
    return folder
