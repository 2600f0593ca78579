"""The name of a training pod carries the job and the time at which the pod may no longer exist."""

from __future__ import annotations

import re
from dataclasses import dataclass

from securetag.cloud import Pod

PREFIX = "securetag-training-"
_NAME = re.compile(rf"{PREFIX}([0-9a-f]{{12}})-([0-9]{{10}})")


@dataclass(frozen=True)
class PodName:
    """What the name of a training pod says."""

    #: 12 hex digits over recipe, release and run.
    job: str
    #: Unix time in whole seconds.
    deadline: int

    def __str__(self) -> str:
        return f"{PREFIX}{self.job}-{self.deadline}"


def parse_name(name: str) -> PodName | None:
    """Return what a pod's name says; None for a pod that is not a training's."""
    match = _NAME.fullmatch(name)
    return PodName(match[1], int(match[2])) if match else None


def is_of_job(pod: Pod, job: str) -> bool:
    """Return whether a pod was made for a job."""
    name = parse_name(pod.name)
    return name is not None and name.job == job
