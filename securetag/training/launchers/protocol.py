"""What a launcher is: something that runs a training job where the GPUs are, and brings its result back.

A launcher only moves a job and its files; what a run does is in `securetag.training.sft`. docs/howto/
add-a-launcher.md shows how to add one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from securetag.errors import TrainingError
from securetag.records import JsonObject

#: Gets each line of the run's `progress.jsonl` as an object, as it appears.
Progress = Callable[[JsonObject], None]


@dataclass(frozen=True)
class TrainingJob:
    """One training run before it starts."""

    #: YAML file of the recipe.
    recipe: Path
    #: Folder of the release.
    release: Path
    #: Folder of the run; that of a run that was interrupted resumes it.
    run_dir: Path
    #: Fields of the recipe to replace.
    overrides: Mapping[str, object] = field(default_factory=dict)
    #: Seconds after which the run is stopped; `launch` passes them to `watch` too.
    timeout_s: float = 6 * 3600


@dataclass(frozen=True)
class TrainingRun:
    """A finished run."""

    run_dir: Path
    adapter: Path
    #: See `metrics.json`: rows, tokens, steps, losses, tokens_per_s, wall_s, cpu_s, peak_mb.
    metrics: JsonObject
    #: The trainer's log: rows with step and loss, or eval_<task>_loss. Where the order of rows is fixed,
    #: `task_share` is the share of each task in the steps since the last row.
    history: list[JsonObject]


HandleT = TypeVar("HandleT")


class Launcher(Protocol[HandleT]):
    """Runs training jobs in one kind of place."""

    def start(self, job: TrainingJob) -> HandleT:
        """Begin the job and return what `watch` and `stop` need to find it again.

        Raises SettingsError for a bad recipe, TrainingError where the place refuses it.
        """
        ...

    def watch(self, handle: HandleT, progress: Progress | None = None, *, timeout_s: float) -> None:
        """Wait until the job has ended and its files are in `run_dir`.

        Raises TrainingError with its last words when it failed, or after `timeout_s` seconds.
        """
        ...

    def stop(self, handle: HandleT) -> None:
        """End the job wherever it stands, and free what it holds or costs. Idempotent."""
        ...


def is_done(run_dir: Path) -> bool:
    """Return whether the folder holds a finished run."""
    try:
        return bool(json.loads((run_dir / "run.json").read_bytes())["state"] == "done")
    except (OSError, ValueError, KeyError):
        return False


def read_run(run_dir: Path) -> TrainingRun:
    """Return the finished run in a folder. Raises TrainingError where there is none."""
    if not is_done(run_dir):
        raise TrainingError(f"the run in {run_dir} ended without a result", hint="See its train.log.")
    return TrainingRun(
        run_dir=run_dir,
        adapter=run_dir / "adapter",
        metrics=json.loads((run_dir / "metrics.json").read_bytes()),
        history=json.loads((run_dir / "log_history.json").read_bytes()),
    )
