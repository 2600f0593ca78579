"""A pod that really trains: the image's start script, its watchdog, S3, cut logs, a killed launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_cloud import find_contract
from moto.server import ThreadedMotoServer
from training_pods import ProcessPods

from securetag.training.launchers import read_run
from securetag.training.merge import adapter_digest

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

LAUNCH = """
import sys
from pathlib import Path
from securetag.training.launchers import TrainingJob, launch
recipe, release, run = map(Path, sys.argv[1:4])
tell = lambda row: print("step", row["step"], flush=True)
launch(TrainingJob(recipe, release, run), "runpod", progress=tell, timeout_s=float(sys.argv[4]))
"""
BUCKET = "securetag-training"


class Account:
    """An empty account: a bucket, a key, and the environment that names them."""

    def __init__(self, pods: ProcessPods, s3: str, tmp_path: Path) -> None:
        self.pods, self.run_dir = pods, tmp_path / "run"
        aws = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_ENDPOINT_URL": s3}
        self.environment = {
            **os.environ,
            **aws,
            "AWS_DEFAULT_REGION": "us-east-1",
            "SECURETAG_HOME": str(tmp_path / "home"),
            "SECURETAG_STORAGE_URL": f"s3://{BUCKET}/securetag",
            "RUNPOD_API_KEY": "rp-key",
            "SECURETAG_CLOUD__RUNPOD_URL": pods.url,
            "SECURETAG_CLOUD__TRAINING_IMAGE": "registry.example/securetag-train:1",
        }

    def launch(self, recipe: Path, release: Path, timeout_s: float = 600) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(recipe), str(release), str(self.run_dir), str(timeout_s)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def account(tmp_path: Path, tiny: Path) -> Iterator[Account]:
    contract = find_contract()
    (tmp_path / "pods" / "acme").mkdir(parents=True)
    (tmp_path / "pods" / "acme" / "tiny").symlink_to(tiny, target_is_directory=True)
    s3 = ThreadedMotoServer(port=0)
    s3.start()
    port = s3.get_host_and_port()[1]
    pods = ProcessPods(
        contract, tmp_path / "pods", environment={"WATCHDOG_GRACE_S": "2", "WATCHDOG_POLL_S": "0.5"}
    )
    with pods:
        account = Account(pods, f"http://127.0.0.1:{port}", tmp_path)
        make_bucket = "import boto3, sys; boto3.client('s3').create_bucket(Bucket=sys.argv[1])"
        subprocess.run([sys.executable, "-c", make_bucket, BUCKET], env=account.environment, check=True)
        yield account
    s3.stop()


@pytest.fixture
def recipe(tiny_recipe: Path, tmp_path: Path) -> Path:
    """The tiny recipe with a base that a pod finds by its name, and a GPU that isn't used."""
    text = tiny_recipe.read_text().replace("epochs: 3", "epochs: 12")
    lines = [line for line in text.splitlines() if not line.startswith("base:")]
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join([*lines, "base: acme/tiny", 'gpu_types: ["NVIDIA H100 PCIe"]', ""]))
    return path


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(process.stderr.read() if process.stderr else "")


def test_a_killed_launcher_finds_its_pod_and_brings_the_adapter_back(
    account: Account, recipe: Path, tiny_release: Path
) -> None:
    account.pods.cuts = [5, 7]  # two log streams end early
    first = account.launch(recipe, tiny_release)
    wait_for_line(first, "step 12")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert len(account.pods.machines) == 1, "nothing of the killed process has ended the pod"
    second = account.launch(recipe, tiny_release)
    output, errors = second.communicate(timeout=280)
    assert second.returncode == 0, errors[-3000:]
    run = read_run(account.run_dir)
    assert run.metrics["steps"] == 240
    assert len(adapter_digest(account.run_dir)) == 64
    assert "step 240" in output
    assert account.pods.machines == {}
    assert (len(account.pods.created), account.pods.most) == (1, 1)
    assert account.pods.refusals == []
    state = json.loads((account.run_dir / "runpod.json").read_text())
    assert state["cost"] > 0


def test_a_training_that_fails_brings_its_reason_back(
    account: Account, recipe: Path, tiny_release: Path
) -> None:
    recipe.write_text(recipe.read_text().replace("base: acme/tiny", "base: acme/nobody"))
    errors = account.launch(recipe, tiny_release).communicate(timeout=280)[1]
    assert "training failed in the pod" in errors
    assert "acme/nobody" in errors
    assert account.pods.machines == {}


def test_the_watchdog_deletes_a_pod_that_nobody_watches(
    account: Account, recipe: Path, tiny_release: Path
) -> None:
    recipe.write_text(recipe.read_text().replace("epochs: 12", "epochs: 2000"))
    process = account.launch(recipe, tiny_release, timeout_s=8)
    deadline = time.monotonic() + 60
    while not account.pods.machines and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    while account.pods.machines and time.monotonic() < deadline:
        time.sleep(0.1)
    assert account.pods.machines == {}
