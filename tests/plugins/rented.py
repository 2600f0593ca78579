"""Both clouds as fakes, a pod that is a fake Ollama, and the command line in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_cloud import FakeDigitalOcean, FakeRunPod, find_contract
from fake_ollama import FakeOllama
from small_models import weights

from securetag.serving.registry import Registry

CLI = "from securetag.cli import app; app()"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Rental:
    """The clouds, what their machines run, and the environment of a home that uses them."""

    home: Path
    runpod: FakeRunPod
    digitalocean: FakeDigitalOcean
    ollama: FakeOllama
    api_port: int
    environment: dict[str, str]
    registry: Registry = field(init=False)

    def __post_init__(self) -> None:
        self.registry = Registry(self.home / "models")

    def publish(self, model_id: str) -> None:
        """Let the home's alias mean a model without tensors."""
        self.registry.models_dir.mkdir(parents=True, exist_ok=True)
        entry = weights(self.registry.models_dir / f"{model_id[:4]}.gguf", model_id=model_id)
        self.registry.add(msgspec.structs.replace(entry, model_id=model_id))
        self.registry.publish("securetag-v1", model_id)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CLI, "cloud", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output = process.communicate(timeout=240)[0]
        return process.returncode, output

    def deploy(self, *options: str) -> tuple[int, str]:
        return self.run("deploy", "shop", "--yes", "--patience", "90", *options)

    @property
    def rented(self) -> int:
        return len(self.runpod.machines) + len(self.digitalocean.machines)


@pytest.fixture
def pod() -> Iterator[FakeOllama]:
    """The server that every pod runs, at one address; a new pod has nothing on its disk."""
    with FakeOllama() as ollama:
        ollama.api_keys = {"nobody's"}
        yield ollama


@pytest.fixture
def rental(pod: FakeOllama, tmp_path: Path) -> Iterator[Rental]:
    def boot_pod(machine: dict[str, Any]) -> Callable[[], None]:
        pod.blobs.clear()
        pod.models.clear()
        if key := machine["env"].get("MODEL_API_KEY"):
            pod.api_keys.add(key)
        return lambda: None

    contract, port = find_contract(), free_port()
    with (
        FakeRunPod("rp-key", contract, boot=boot_pod) as runpod,
        FakeDigitalOcean("do-token") as digitalocean,
    ):
        environment = os.environ | {
            "SECURETAG_HOME": str(tmp_path / "home"),
            "RUNPOD_API_KEY": "rp-key",
            "DIGITALOCEAN_TOKEN": "do-token",
            "SECURETAG_CLOUD__RUNPOD_URL": runpod.url,
            "SECURETAG_CLOUD__DIGITALOCEAN_URL": digitalocean.url,
            "SECURETAG_CLOUD__POD_URL": pod.host,
            "SECURETAG_CLOUD__API_URL": f"http://127.0.0.1:{port}",
            "SECURETAG_CLOUD__POD_IMAGE": "registry.example/securetag-model-pod:1",
            "SECURETAG_CLOUD__SOURCE": "https://git.example/securetag.git",
        }
        assert isinstance(runpod, FakeRunPod)
        assert isinstance(digitalocean, FakeDigitalOcean)
        yield Rental(tmp_path / "home", runpod, digitalocean, pod, port, environment)
