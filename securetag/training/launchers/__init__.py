"""Where training runs: the launchers by name, and `launch`, which starts a job, watches it and cleans up.

Other packages add a launcher by an entry point of the group `securetag.launchers` that names a class.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeGuard

from securetag.system.registry import Registry
from securetag.training.launchers.protocol import (
    Launcher,
    Progress,
    TrainingJob,
    TrainingRun,
    is_done,
    read_run,
)

__all__ = ["LAUNCHERS", "Launcher", "Progress", "TrainingJob", "TrainingRun", "launch"]


def _is_launcher(implementation: object) -> TypeGuard[type[Launcher[Any]]]:
    return isinstance(implementation, type) and all(
        callable(getattr(implementation, name, None)) for name in ("start", "watch", "stop")
    )


LAUNCHERS: Registry[type[Launcher[Any]]] = Registry(
    "launcher",
    {
        "local": "securetag.training.launchers.local:LocalLauncher",
        "runpod": "securetag.training.launchers.runpod.launcher:RunPodLauncher",
    },
    group="securetag.launchers",
    accepts=_is_launcher,
)


def launch(
    job: TrainingJob,
    launcher: str = "local",
    *,
    progress: Progress | None = None,
    timeout_s: float = 6 * 3600,
) -> TrainingRun:
    """Run a job to its end and return the run. A job that is done already is returned at once.

    Whatever happens, nothing of the job goes on afterwards. Raises InputError for an unknown launcher,
    SettingsError for a bad recipe, TrainingError with the job's last words.
    """
    place = LAUNCHERS.get(launcher)()
    if not is_done(job.run_dir):
        handle = place.start(replace(job, timeout_s=timeout_s))
        try:
            place.watch(handle, progress, timeout_s=timeout_s)
        finally:
            place.stop(handle)
    return read_run(job.run_dir)
