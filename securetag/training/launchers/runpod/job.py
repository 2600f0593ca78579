"""A job on RunPod while it is worked on, and the request for its pod."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import SecretStr

from securetag.cloud import RunPod
from securetag.records import JsonObject
from securetag.settings.sections import CloudSettings
from securetag.storage import Storage
from securetag.system.locks import FileLock
from securetag.training.launchers.protocol import TrainingJob
from securetag.training.launchers.runpod import state
from securetag.training.launchers.runpod.market import Offer
from securetag.training.launchers.runpod.naming import PodName
from securetag.training.launchers.runpod.state import LaunchState
from securetag.training.recipe import Recipe

#: Seconds for which a pod's URLs stay valid after its deadline.
URL_GRACE_S = 3600
DISK_GB = 80
VOLUME_PATH = "/cache"


class Clock(Protocol):
    """The time, and waiting."""

    def time(self) -> float:
        """Return the Unix time in seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True)
class Place:
    """The account and the storage that a job uses."""

    api: RunPod
    storage: Storage
    cloud: CloudSettings
    #: Read the base's weights in the pod.
    hf_token: SecretStr | None = None
    clock: Clock = time


@dataclass
class RunPodRun:
    """A job on RunPod: what `watch` and `stop` need."""

    job: TrainingJob
    recipe: Recipe
    place: Place
    state: LaunchState
    lock: FileLock
    #: When the pod last wrote a line.
    heard_at: float = 0.0

    def key(self, name: str) -> str:
        """Return the storage key of one of the job's files."""
        return f"training/{self.state.job}/{name}"

    def save(self) -> None:
        """Keep the state."""
        state.save(self.state, self.job.run_dir)


def build_request(run: RunPodRun, offer: Offer) -> JsonObject:
    """Return the request for a pod (CreatePodRequest of RunPod's REST API v2)."""
    place, cloud = run.place, run.place.cloud
    expires_s = int(run.state.deadline - place.clock.time()) + URL_GRACE_S

    def sign(key: str, method: Literal["get", "put"]) -> str:
        return place.storage.sign(key, method, expires_s=expires_s)

    work: JsonObject = {
        "job": run.state.job,
        "deadline": run.state.deadline,
        "inputs_sha256": run.state.inputs_sha256,
        "inputs": sign(run.state.inputs, "get"),
        "checkpoint": sign(run.key("checkpoint.tar"), "get"),
        "put_checkpoint": sign(run.key("checkpoint.tar"), "put"),
        "put_result": sign(run.key("result.tar"), "put"),
        "put_closing": sign(run.key("closing.json"), "put"),
    }
    environment = {
        "TRAINING_JOB": json.dumps(work),
        "TRAINING_DEADLINE": str(run.state.deadline),
        "RUNPOD_API_URL": cloud.runpod_url,
    }
    if place.hf_token is not None:
        environment["HF_TOKEN"] = place.hf_token.get_secret_value()
    body: JsonObject = {
        "name": str(PodName(run.state.job, run.state.deadline)),
        "image": cloud.training_image,
        "disk": DISK_GB,
        "gpu": {"id": offer.gpu, "count": offer.count},
        "cloud": cloud.gpu_cloud,
        "env": environment,
    }
    if cloud.training_volume is not None:
        environment["HF_HOME"] = f"{VOLUME_PATH}/huggingface"
        body["mounts"] = {"network": [{"volumeId": cloud.training_volume, "path": VOLUME_PATH}]}
        body["dataCenterIds"] = [place.api.find_data_center(cloud.training_volume)]
    return body
