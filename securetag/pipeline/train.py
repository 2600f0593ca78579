"""Release + recipe → adapter → merged, quantized GGUF in the registry."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from securetag.datasets.releases.release import verify_release
from securetag.pipeline.artifacts import write_artifacts
from securetag.records import JsonObject
from securetag.serving import gguf
from securetag.serving.gguf import Quantisation
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings
from securetag.system.hashing import hash_file
from securetag.training.launchers import TrainingJob, TrainingRun, launch
from securetag.training.merge import adapter_digest, merge, recipe_of


@dataclass(frozen=True)
class Candidate:
    """A trained model that may be evaluated, and published if the gate lets it."""

    run_dir: Path
    model_id: str
    gguf: Path
    #: Rows, tokens, steps, losses, tokens_per_s, wall_s, cpu_s, peak_mb, as the run reported them.
    metrics: JsonObject = field(default_factory=dict)
    #: One row a logged step: step, loss, learning rate.
    history: list[JsonObject] = field(default_factory=list)


def train(
    recipe: Path,
    release: Path,
    settings: Settings,
    *,
    overrides: Mapping[str, object] | None = None,
    run_dir: Path | None = None,
    launcher: str = "local",
    quantisation: Quantisation = "Q8_0",
    progress: Callable[[JsonObject], None] | None = None,
    timeout_s: float = 6 * 3600,
) -> Candidate:
    """Fine-tune where `launcher` runs, merge, convert, quantize, register; return the candidate.

    `run_dir` of a run that was killed resumes it from its last checkpoint; by default a new folder
    below `<home>/runs` is made. Raises InputError for an unknown launcher, SettingsError for a bad recipe,
    ReleaseError for a broken release, TrainingError.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    verify_release(release)
    run_dir = run_dir or settings.home / "runs" / f"{recipe.stem}-{release.name}-{stamp}"
    job = TrainingJob(recipe, release, run_dir, overrides or {})
    run = launch(job, launcher, progress=progress, timeout_s=timeout_s)
    entry = register(run, release, settings, quantisation)
    return Candidate(
        run_dir=run_dir,
        model_id=entry.model_id,
        gguf=Registry(settings.models_dir).path(entry),
        metrics=run.metrics,
        history=run.history,
    )


def register(run: TrainingRun, release: Path, settings: Settings, quantisation: Quantisation) -> ModelEntry:
    """Merge a finished run's adapter, convert it, and list the model. Raises TrainingError."""
    recipe = recipe_of(run.run_dir)
    merged = merge(run.run_dir, run.run_dir / "merged")
    half = gguf.convert(merged, run.run_dir / "f16.gguf")
    identity = gguf.model_id(
        base=recipe.base_sha256 or f"{recipe.base}@{recipe.base_revision}",
        adapter=adapter_digest(run.run_dir),
        converter=gguf.converter_version(),
        quantisation=quantisation,
        template=gguf.chat_template(half),
    )
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    name = f"{identity[:16]}.{quantisation}.gguf"
    path = gguf.quantise(
        half, settings.models_dir / name, kind=quantisation, metadata={"securetag.model_id": identity}
    )
    # Adapter and checkpoints stay; these two can be made again from them, and are ten times as large.
    shutil.rmtree(merged)
    half.unlink()
    entry = Registry(settings.models_dir).add(
        ModelEntry(
            model_id=identity,
            path=name,
            file_sha256=hash_file(path),
            base=recipe.base_name,
            quantisation=quantisation,
            licence=recipe.licence,
            adapter=adapter_digest(run.run_dir),
            converter=gguf.converter_version(),
            release=_digest(release),
            run=run.run_dir.name,
        )
    )
    write_artifacts(entry, settings)
    return entry


def _digest(release: Path) -> str:
    return str(json.loads((release / "manifest.json").read_bytes())["digest"])
