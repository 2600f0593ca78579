"""What the launcher remembers of a job: `runpod.json` in the run's folder, written before anything is made.

RunPod stays the truth about which pods exist: they are looked up by the job in their names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from securetag.errors import TrainingError
from securetag.system.files import write_atomic

FILE = "runpod.json"


class LaunchState(msgspec.Struct, kw_only=True):
    """One job on RunPod."""

    schema: Literal[1] = 1
    job: str
    #: Unix time after which no pod of the job may exist.
    deadline: int
    #: Key of the inputs in the storage, and their sha256.
    inputs: str = ""
    inputs_sha256: str = ""
    pod_id: str | None = None
    #: Pods that were asked for, whether or not RunPod has made them.
    pods: int = 0
    #: Unix time of the last creation that got no answer, after which its pod may appear late.
    unanswered_at: float | None = None
    #: Id of the last log line that was read, and the number that the pod gave to its last event.
    last_event_id: str | None = None
    last_event: int = 0
    #: Step of the last line of progress that was passed on.
    last_step: int = 0
    #: GPU and USD an hour of the present pod, and what its predecessors cost.
    gpu: str = ""
    price: float = 0.0
    #: Unix time at which the present pod was made.
    made_at: float = 0.0
    cost: float = 0.0
    #: Why earlier pods of the job were given up.
    reasons: list[str] = []


def load(run_dir: Path) -> LaunchState | None:
    """Return what is remembered; None for a new job. Raises TrainingError for a file that isn't readable."""
    path = run_dir / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=LaunchState)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise TrainingError(
            f"{path} can't be read: {error}", hint="Take a new folder for the run."
        ) from error


def save(state: LaunchState, run_dir: Path) -> None:
    """Keep the state."""
    write_atomic(run_dir / FILE, msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
