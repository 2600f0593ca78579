"""`securetag up` as a user has it: all services answer, one key for ever, and nothing outlives it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from securetag.db.embedded import Cluster
from securetag.settings import get_settings

pytestmark = [pytest.mark.sockets, pytest.mark.slow]

ASSETS = "{ assetNodes { assetKey { path } groupName } }"
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"


@pytest.fixture
def home() -> Iterator[Path]:
    home = get_settings().home
    try:
        yield home
    finally:
        for pid in processes(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        Cluster(home).destroy()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes(home: Path) -> list[int]:
    """Ids of the living processes of one home, by their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                said = (folder / "environ").read_bytes().split(b"\0")
                if f"SECURETAG_HOME={home}".encode() in said:
                    found.append(int(folder.name))
    return found


def until(holds: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@contextlib.contextmanager
def up(*options: str, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """It starts as a shell would start it in the background: with SIGINT ignored."""
    code = "import signal; signal.signal(2, signal.SIG_IGN); from securetag.cli import app; app()"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", code, "up", *options], stdout=out, stderr=out)
    try:
        assert until(lambda: b"Ctrl-C" in log.read_bytes() or process.poll() is not None, 150)
        yield process, log.read_text
    finally:
        process.kill()
        process.wait()


def said(text: str, what: str) -> str:
    found = re.search(rf"^{what}  +(\S+)", text, re.MULTILINE)
    assert found, text
    return found[1]


def test_all_services_answer_and_nothing_outlives_them(home: Path, tmp_path: Path) -> None:
    port = free_port()
    with up("--port", "0", "--dagster-port", str(port), log=tmp_path / "first") as (process, text):
        first = text()
        api, key = said(first, "api"), said(first, "API key of this home")
        assert httpx.get(f"{api}/healthz/db").is_success
        assert httpx.get(f"{api}/codeaudit/index", headers={"X-API-Key": key}).json()["items"] == []
        dagster = f"http://127.0.0.1:{port}/graphql"
        nodes = httpx.post(dagster, json={"query": ASSETS}, timeout=60).json()["data"]["assetNodes"]
        assert {node["groupName"] for node in nodes} == {"sources", "dataset", "model"}

        def healthy() -> bool:
            answer = httpx.post(dagster, json={"query": DAEMONS}, timeout=60).json()
            statuses = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
            return all(status["healthy"] for status in statuses if status["required"])

        assert until(healthy, 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, text()
    assert until(lambda: not processes(home), 5), processes(home)

    # The port of another program is no UI of ours.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with up("--port", "0", "--dagster-port", str(port), log=tmp_path / "second") as (process, text):
            assert process.wait(60) == 1
            assert f"port {port} is taken" in text()
            assert "--dagster-port" in text()
            assert "PostgreSQL" not in text()
    assert until(lambda: not processes(home), 5), processes(home)

    # Killed between making a tenant and keeping its key, it finds the tenant again.
    (home / "run" / "worker-key.json").unlink()
    with up("--port", "0", "--no-dagster", log=tmp_path / "third") as (process, text):
        assert said(text(), "API key of this home") == key
        process.kill()
        process.wait()
        assert until(lambda: not processes(home), 10), processes(home)


def test_a_second_up_is_refused_and_the_first_goes_on(home: Path, tmp_path: Path) -> None:
    with up("--port", "0", "--no-dagster", log=tmp_path / "first") as (first, text):
        api = said(text(), "api")
        files = {name: (home / "run" / name).read_bytes() for name in ("postgres.json", "api.json")}
        with up("--port", "0", "--no-dagster", log=tmp_path / "second") as (second, refusal):
            assert second.wait(60) == 1
            error, hint = refusal().splitlines()
        assert str(home) in error
        assert f"process {first.pid}" in error
        assert api in error
        assert f"kill {first.pid}" in hint
        assert "SECURETAG_HOME" in hint
        assert first.poll() is None
        assert {name: (home / "run" / name).read_bytes() for name in files} == files
        assert httpx.get(f"{api}/healthz/db").is_success
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 0, text()


def test_a_default_port_that_is_taken_gives_way_to_a_free_one(home: Path, tmp_path: Path) -> None:
    with contextlib.ExitStack() as others:
        for port in (8080, 3000):
            other = others.enter_context(socket.socket())
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):  # taken by a program of the developer's: as good
                other.bind(("127.0.0.1", port))
                other.listen()
        with up(log=tmp_path / "log") as (process, text):
            api, dagster = said(text(), "api"), said(text(), "Dagster UI")
            assert f"Port 8080 is taken: the api takes {api.rsplit(':', 1)[1]}" in text()
            assert f"Port 3000 is taken: the Dagster UI takes {dagster.rsplit(':', 1)[1]}" in text()
            assert httpx.get(f"{api}/healthz/db").is_success
            assert httpx.get(f"{dagster}/server_info").is_success
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, text()


@pytest.mark.parametrize("by", ["flag", "setting"])
def test_a_named_port_that_is_taken_is_refused_before_anything_starts(
    by: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        if by == "setting":
            monkeypatch.setenv("SECURETAG_API__PORT", port)
        with up(*(["--port", port] if by == "flag" else []), log=tmp_path / "log") as (process, text):
            assert process.wait(60) == 1
            error, hint = text().splitlines()
    assert f"port {port} is taken" in error
    assert "--port" in hint
    assert not (home / "pg").exists()
    assert not (home / "logs" / "postgres.log").exists()
