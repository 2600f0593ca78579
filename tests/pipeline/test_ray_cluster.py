"""A release built by the two workers of a Ray cluster is the one that one process builds."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from securetag.cli.services.ports import find_free_port
from securetag.datasets.build import BuildParams
from securetag.errors import UnavailableError
from securetag.pipeline.ray_cluster import connect
from securetag.pipeline.release import build_release
from securetag.records import Facts, Record
from securetag.settings import Settings, get_settings

NEEDS_RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra `ray` isn't installed: make ray"
)
NODE_ID = "5e" * 28
#: Seconds that a busy machine may need for a node.
START_S = 400.0


@pytest.fixture
def settings() -> Settings:
    """Settings of a home with Records for more than two parts of work."""
    settings = get_settings()
    settings.records_dir.mkdir(parents=True)
    records = [
        Record.of(
            source="s",
            publisher="P",
            key=f"K-{n}",
            title=f"Weakness {n}",
            lang="en",
            url="",
            edition="1",
            licence="Apache-2.0",
            file_sha256="0" * 64,
            locator="",
            text=f"Component {n} writes what it was given to page {n} and escapes nothing of it before that.",
            facts=Facts(kind="weakness", parents=[f"K-{n // 10}"]),
        )
        for n in range(1_200)
    ]
    with (settings.records_dir / "s.jsonl").open("wb") as out:
        out.writelines(msgspec.json.encode(record) + b"\n" for record in records)
    return settings


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a cluster of two workers, as `ray start` makes it."""
    port, agent_port = find_free_port("127.0.0.1"), find_free_port("127.0.0.1")
    # The paths of sockets have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ray") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
        command += ["--node-ip-address=127.0.0.1", f"--port={port}", "--include-dashboard=false"]
        command += [f"--runtime-env-agent-port={agent_port}", f"--temp-dir={folder}"]
        command += [f"--object-store-memory={80 << 20}", "--disable-usage-stats"]
        environment = os.environ | {
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": NODE_ID,
            "RAY_raylet_start_wait_time_s": f"{START_S:.0f}",
            "RAY_agent_register_timeout_ms": f"{1000 * START_S:.0f}",
            "PYTHONWARNINGS": "ignore",
        }
        with (folder / "start.log").open("w+") as log:
            head = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                assert has_started(head, folder, agent_port), (folder / "start.log").read_text()[-2000:]
                yield f"127.0.0.1:{port}"
            finally:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()


def has_started(head: subprocess.Popen[bytes], folder: Path, agent_port: int) -> bool:
    """Return whether the node says that it runs, before it ends."""
    deadline = time.monotonic() + START_S
    while head.poll() is None and time.monotonic() < deadline:
        if "Ray runtime started" in (folder / "start.log").read_text():
            return True
        for session in folder.glob("session_2*"):
            write_ports(session, agent_port)
        time.sleep(0.1)
    return False


def write_ports(session: Path, agent_port: int) -> None:
    """Write the ports of the node's agents, for which the node waits 15 s: -1 for those that it doesn't have.

    The agents write the same once they run, which takes longer on a busy machine. No setting is longer.
    """
    from ray._raylet import (
        DASHBOARD_AGENT_LISTEN_PORT_NAME,
        METRICS_AGENT_PORT_NAME,
        METRICS_EXPORT_PORT_NAME,
        RUNTIME_ENV_AGENT_PORT_NAME,
        persist_port,
    )

    ports = {
        DASHBOARD_AGENT_LISTEN_PORT_NAME: -1,
        METRICS_AGENT_PORT_NAME: -1,
        METRICS_EXPORT_PORT_NAME: -1,
        RUNTIME_ENV_AGENT_PORT_NAME: agent_port,
    }
    for name, port in ports.items():
        if not (session / f"{name}_{NODE_ID}").exists():
            persist_port(str(session), NODE_ID, name, port)


def pid_of_worker(_: int) -> int:
    time.sleep(0.5)
    return os.getpid()


@NEEDS_RAY
@pytest.mark.system
@pytest.mark.sockets
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_cluster_of_two_workers_builds_the_same_release(settings: Settings, cluster: str) -> None:
    with connect(cluster) as mapper:
        workers = set(mapper(pid_of_worker, range(8)))
    assert len(workers) == 2
    assert os.getpid() not in workers
    params = BuildParams(synthetic=0, knowledge=300)
    distributed = build_release(params, settings.model_copy(update={"ray_address": cluster}))
    Path(distributed.path).rename(settings.data / "distributed")
    alone = build_release(params, settings)
    assert distributed.rows == alone.rows > 100
    assert distributed.digest == alone.digest


@NEEDS_RAY
@pytest.mark.system
@pytest.mark.sockets
def test_a_cluster_that_is_away_is_said_with_the_next_step() -> None:
    with pytest.raises(UnavailableError, match="no Ray cluster answers") as away, connect("127.0.0.1:9"):
        pass
    assert "ray start" in away.value.hint


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError) as missing, connect("local"):
        pass
    assert missing.value.name == "ray"


def test_without_an_address_nothing_leaves_the_process() -> None:
    with connect(None) as mapper:
        assert mapper(lambda _: os.getpid(), [1, 2]) == [os.getpid()] * 2
