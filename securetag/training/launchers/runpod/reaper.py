"""Deletes training pods that should no longer exist, whoever made them and whatever became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from securetag.cloud import DEAD_STATES, Pod, RunPod
from securetag.errors import SettingsError
from securetag.settings import Settings
from securetag.training.launchers.runpod.naming import parse_name

#: Seconds after a pod's deadline in which its launcher may still fetch the result and delete it.
GRACE_S = 300.0


@contextmanager
def connect(settings: Settings) -> Iterator[RunPod]:
    """Yield a client of the account that the settings name. Raises SettingsError without a key."""
    if settings.runpod_api_key is None:
        raise SettingsError("RUNPOD_API_KEY is not set", hint="Make a key in RunPod's console and set it.")
    api = RunPod(settings.cloud.runpod_url, settings.runpod_api_key.get_secret_value())
    try:
        yield api
    finally:
        api.close()


def reap(api: RunPod, now: float) -> list[Pod]:
    """Delete the training pods whose deadline has passed at the Unix time `now`, and return them.

    A pod that has ended before its deadline still costs its disk; its launcher replaces it, so it is left.
    Raises UnavailableError, and what else RunPod answers.
    """
    overdue = [pod for pod in api.pods() if _is_overdue(pod, now)]
    for pod in overdue:
        api.delete_pod(pod.id)
    return overdue


def _is_overdue(pod: Pod, now: float) -> bool:
    name = parse_name(pod.name)
    if name is None:
        return False
    return now > name.deadline + (0 if pod.status in DEAD_STATES else GRACE_S)
