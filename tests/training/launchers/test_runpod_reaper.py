"""Pods past their deadline: the command and the sensor delete those alone. A log that says nothing ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from fake_cloud import FakeRunPod, find_contract
from typer.testing import CliRunner

from securetag.cli import app
from securetag.cloud import RunPod
from securetag.orchestration.sensors import runpod_reaper
from securetag.settings import get_settings
from securetag.training.launchers.runpod.naming import PodName
from securetag.training.launchers.runpod.reaper import GRACE_S

pytestmark = pytest.mark.sockets

JOB = "0123456789ab"


class Pods(FakeRunPod):
    """A fake RunPod whose log streams send what the test says, and then a comment every moment."""

    events: list[str] = []
    streams = 0

    def stream(self, path: str, last_event_id: str | None) -> Iterator[str] | None:
        if not path.endswith("/logs"):
            return None
        self.streams += 1
        return self._send(self.events if last_event_id is None else [])

    def _send(self, events: list[str]) -> Iterator[str]:
        yield from events
        while True:
            yield ": keep-alive\n\n"
            time.sleep(0.02)

    def put(self, name: str, status: str) -> None:
        body = {"name": name, "image": "x", "gpu": {"id": "NVIDIA L4", "count": 1}}
        pod = self._pod(body)
        self.machines[pod["id"]]["status"] = status


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pods]:
    with Pods("rp-key", find_contract()) as fake:
        assert isinstance(fake, Pods)
        fake.start_s = 3600.0
        monkeypatch.setenv("RUNPOD_API_KEY", "rp-key")
        monkeypatch.setenv("SECURETAG_CLOUD__RUNPOD_URL", fake.url)
        get_settings.cache_clear()
        now = int(time.time())
        fake.put(str(PodName(JOB, now - 10)), "EXITED")
        fake.put(str(PodName(JOB, now - int(GRACE_S) - 60)), "RUNNING")
        fake.put(str(PodName(JOB, now - 10)), "RUNNING")  # its launcher may still fetch the result
        fake.put(str(PodName(JOB, now + 600)), "EXITED")  # its launcher replaces it
        fake.put("my-notebook-1000000000", "RUNNING")
        yield fake


def list_left(pods: Pods) -> list[str]:
    return [f"{machine['status']} {machine['name'][-10:]}" for machine in pods.machines.values()]


def test_the_command_deletes_overdue_pods_alone(pods: Pods) -> None:
    overdue = list(pods.machines)[:2]
    kept = list_left(pods)[2:]
    done = CliRunner().invoke(app, ["cloud", "reap", "--json"])
    assert done.exit_code == 0, done.output
    assert [pod["id"] for pod in json.loads(done.stdout)] == overdue
    assert list_left(pods) == kept
    again = CliRunner().invoke(app, ["cloud", "reap"])
    assert again.stdout == "deleted 0 training pods\n"
    assert list_left(pods) == kept
    assert pods.refusals == []


def look() -> str:
    result: Any = runpod_reaper(dg.build_sensor_context())
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def test_the_sensor_deletes_overdue_pods_alone(pods: Pods) -> None:
    overdue = list(pods.machines)[:2]
    kept = list_left(pods)[2:]
    assert look() == f"deleted {', '.join(overdue)}"
    assert list_left(pods) == kept
    assert look() == "no pod is overdue"


def test_the_sensor_without_a_key_says_so(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNPOD_API_KEY")
    get_settings.cache_clear()
    assert "RUNPOD_API_KEY is not set" in look()
    assert len(pods.machines) == 5


def test_a_log_of_comments_alone_gives_the_launcher_its_turn(pods: Pods) -> None:
    line = json.dumps({"ts": "1", "source": "container", "line": "hello"})
    pods.events = [f"id: 1\ndata: {line}\n\n"]
    api = RunPod(pods.url, "rp-key")
    try:
        began = time.monotonic()
        lines = list(api.stream_logs("pod1000", max_s=0.3))
        rest = list(api.stream_logs("pod1000", lines[-1].id, max_s=0.3))
        assert time.monotonic() - began < 10
    finally:
        api.close()
    assert [(line.id, line.line) for line in lines] == [("1", "hello")]
    assert rest == []
    assert pods.streams == 2
