"""`securetag api`, `worker` and `dagster` as processes: they serve, and end when they are told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from securetag.cli.services.ports import find_free_port

QUERY = "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as a shell does in the background, SIGINT ignored; what it writes is in `log_of`."""
    with log_of(home, *arguments).open("wb") as out, sigint_ignored():
        process = subprocess.Popen(
            [sys.executable, "-c", "from securetag.cli import app; app()", *arguments],
            env=os.environ | {"SECURETAG_HOME": str(home)},
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def sigint_ignored() -> Iterator[None]:
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def log_of(home: Path, *arguments: str) -> Path:
    return home / f"{'-'.join(arguments[:2])}.log"


def wait_for(answers: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if answers():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.3)
    pytest.fail(f"no answer: {log.read_text()[-3000:]}")


@pytest.mark.sockets
@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(600)
def test_dagsters_parts_find_one_another_and_end_when_told(tmp_path: Path) -> None:
    code, ui = find_free_port("127.0.0.1"), find_free_port("127.0.0.1")
    url = f"http://127.0.0.1:{ui}"
    log = log_of(tmp_path, "dagster", "web")

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", code)) == 0

    def shows_the_assets() -> bool:
        answer = httpx.post(f"{url}/graphql", json={"query": QUERY}, timeout=30)
        nodes = answer.json()["data"]["repositoriesOrError"].get("nodes")
        return bool(nodes) and nodes[0]["location"]["name"] == "securetag"

    with started(tmp_path, "dagster", "code", "--port", str(code)) as code_server:
        # First, as everywhere: two that make Dagster's SQLite files at once get in each other's way.
        wait_for(listens, code_server, log_of(tmp_path, "dagster", "code"))
        with started(tmp_path, "dagster", "web", "--port", str(ui), "--code-port", str(code)) as web:
            wait_for(lambda: httpx.get(f"{url}/server_info", timeout=5).is_success, web, log)
            wait_for(shows_the_assets, web, log)
            for process in (web, code_server):
                process.send_signal(signal.SIGTERM)
                # Dagster lets the calls of its clients end for 60 s, more on a busy machine.
                process.wait(240)


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["worker", "--once"], 1, "SECURETAG_WORKER__API_KEY", id="a worker without a key"),
        pytest.param(["api", "--port", "0"], 1, "DATABASE_URL", id="an api without a database"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    with started(tmp_path, *arguments) as process:
        assert process.wait(60) == code
    assert message in log_of(tmp_path, *arguments).read_text()
