"""`securetag up` as a user has it: all services answer, one key for ever, and nothing outlives it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from securetag.db.embedded import Cluster
from securetag.settings import get_settings

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

DEFAULT_PORTS = (8080, 3000)
ASSETS = "{ assetNodes { assetKey { path } groupName } }"
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"


#: Seconds that a start and a stop may take here; 60 and 10 are promised, on a machine that does nothing else.
START_S, STOP_S = 100, 15
#: Service → a part of its command line.
COMMANDS = {
    "postgres": "securetag.db.embedded",
    "api": "securetag.api",
    "runtime": "securetag.serving.runtime",
    "worker": "securetag.worker",
    "dagster-code": "code-server",
    "dagster": "dagster_webserver",
    "dagster-daemon": "dagster._daemon",
}


@dataclass
class Running:
    """`securetag up` of a home of its own, with what it has printed."""

    home: Path
    process: subprocess.Popen[bytes]
    text: Callable[[], str]
    start_s: float


@contextmanager
def cleared(home: Path) -> Iterator[Path]:
    """A home whose processes and database are gone at the end, whatever happened."""
    try:
        yield home
    finally:
        for pid in processes(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        Cluster(home).destroy()


@pytest.fixture
def home() -> Iterator[Path]:
    with cleared(get_settings().home) as home:
        yield home


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All services, started where other programs have the default ports."""
    folder = tmp_path_factory.mktemp("up")
    with contextlib.ExitStack() as stack:
        for port in DEFAULT_PORTS:
            other = stack.enter_context(socket.socket())
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):  # taken by a program of the developer's: as good
                other.bind(("127.0.0.1", port))
                other.listen()
        home = stack.enter_context(cleared(folder / "home"))
        started = time.monotonic()
        process, text = stack.enter_context(up(log=folder / "log", home=home))
        yield Running(home, process, text, time.monotonic() - started)


def processes(home: Path) -> list[int]:
    """Ids of the living processes of one home, by their environment."""
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                environment = (folder / "environ").read_bytes().split(b"\0")
                if f"SECURETAG_HOME={home}".encode() in environment:
                    pids.append(int(folder.name))
    return pids


def service_pids(home: Path) -> dict[str, int]:
    """Service → process id, of the services of a home that run."""
    pids = {}
    for pid in processes(home):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            # Before its `exec`, a service's process is our launcher, whose arguments name it too.
            names = [name for name, part in COMMANDS.items() if part in command[:5]]
            if names and "securetag.system.launch" not in command:
                pids[names[0]] = pid
    return pids


def until(holds: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@contextmanager
def up(
    *options: str, log: Path, home: Path | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """It starts as a shell would start it in the background: with SIGINT ignored."""
    places = {} if home is None else {"SECURETAG_HOME": str(home), "SECURETAG_DATA": str(home / "data")}
    code = "import signal; signal.signal(2, signal.SIG_IGN); from securetag.cli import app; app()"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "up", *options], stdout=out, stderr=out, env=os.environ | places
        )
    try:
        assert until(lambda: b"Ctrl-C" in log.read_bytes() or process.poll() is not None, 150)
        yield process, log.read_text
    finally:
        process.kill()
        process.wait()


def printed(text: str, what: str) -> str:
    match = re.search(rf"^{what}  +(\S+)", text, re.MULTILINE)
    assert match, text
    return match[1]


def test_all_services_answer(running: Running) -> None:
    text = running.text()
    api, key, ui = printed(text, "api"), printed(text, "API key of this home"), printed(text, "Dagster UI")
    assert httpx.get(f"{api}/healthz/db").is_success
    assert httpx.get(f"{api}/codeaudit/index", headers={"X-API-Key": key}).json()["items"] == []
    assert httpx.get(f"{ui}/server_info").is_success
    nodes = httpx.post(f"{ui}/graphql", json={"query": ASSETS}, timeout=60).json()["data"]["assetNodes"]
    assert {node["groupName"] for node in nodes} >= {"mitre", "nist", "owasp", "dataset", "model"}

    def healthy() -> bool:
        answer = httpx.post(f"{ui}/graphql", json={"query": DAEMONS}, timeout=60).json()
        statuses = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
        return all(status["healthy"] for status in statuses if status["required"])

    assert until(healthy, 60)


def test_it_starts_in_a_minute(running: Running) -> None:
    assert running.start_s < START_S


def test_killed_parts_are_started_again(running: Running) -> None:
    before = service_pids(running.home)
    assert set(before) == set(COMMANDS)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def all_run_again() -> bool:
        after = service_pids(running.home)
        return set(after) == set(before) and not set(after.values()) & set(before.values())

    assert until(all_run_again, 60), (service_pids(running.home), before)
    api, ui = printed(running.text(), "api"), printed(running.text(), "Dagster UI")
    key = printed(running.text(), "API key of this home")

    def answers(url: str, query: dict[str, str] | None = None) -> httpx.Response | None:
        with contextlib.suppress(httpx.HTTPError):
            method = "GET" if query is None else "POST"
            answer = httpx.request(method, url, json=query, headers={"X-API-Key": key}, timeout=30)
            return answer if answer.is_success else None
        return None

    def shows_the_assets() -> bool:
        answer = answers(f"{ui}/graphql", {"query": ASSETS})
        return answer is not None and len(answer.json()["data"]["assetNodes"]) > 3

    assert until(lambda: answers(f"{api}/healthz/db"), 60), running.text()
    assert until(lambda: answers(f"{api}/codeaudit/index"), 60), running.text()
    assert until(shows_the_assets, 120), running.text()
    for name in before:
        assert f"{name} ended with -9; it is started again" in running.text()
    entries = json.loads((running.home / "run" / "services.json").read_text())
    assert entries["api"] == {"url": api, "pid": service_pids(running.home)["api"]}


def test_a_default_port_that_is_taken_gives_way_to_a_free_one(running: Running) -> None:
    text = running.text()
    api, ui = printed(text, "api"), printed(text, "Dagster UI")
    assert f"Port 8080 is taken: the api takes {api.rsplit(':', 1)[1]}" in text
    assert f"Port 3000 is taken: the Dagster UI takes {ui.rsplit(':', 1)[1]}" in text


def test_a_second_up_is_refused_and_the_first_goes_on(running: Running, tmp_path: Path) -> None:
    home, process = running.home, running.process
    api = printed(running.text(), "api")
    files = {name: (home / "run" / name).read_bytes() for name in ("postgres.json", "api.json")}
    with up("--port", "0", "--no-dagster", log=tmp_path / "second", home=home) as (second, refusal):
        assert second.wait(60) == 1
        error, hint = refusal().splitlines()
    assert str(home) in error
    assert f"process {process.pid}" in error
    assert api in error
    assert f"kill {process.pid}" in hint
    assert "SECURETAG_HOME" in hint
    assert process.poll() is None
    assert {name: (home / "run" / name).read_bytes() for name in files} == files
    assert httpx.get(f"{api}/healthz/db").is_success


def test_ctrl_c_stops_all_and_nothing_outlives_it(running: Running, tmp_path: Path) -> None:
    """The last test of these services; then they start again, and are killed."""
    home = running.home
    key = printed(running.text(), "API key of this home")
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(STOP_S) == 0, running.text()
    assert until(lambda: not processes(home), 5), processes(home)

    # Killed between making a tenant and keeping its key, it finds the tenant again.
    (home / "run" / "worker-key.json").unlink()
    with up("--port", "0", "--no-dagster", log=tmp_path / "log", home=home) as (process, text):
        assert printed(text(), "API key of this home") == key
        process.kill()
        process.wait()
        assert until(lambda: not processes(home), 10), processes(home)


def test_a_part_that_keeps_ending_is_given_up_with_its_reason(home: Path, tmp_path: Path) -> None:
    """A worker with a key that the api doesn't know ends each time that it is started."""
    (home / "run").mkdir(parents=True)
    (home / "run" / "worker-key.json").write_text(json.dumps({"key": f"stk_{'x' * 12}_{'y' * 43}"}))
    with up("--port", "0", "--no-dagster", log=tmp_path / "log") as (process, text):
        assert process.wait(150) == 1
    happened, advice = text().splitlines()[-2:]
    assert happened.startswith("error: worker has ended 6 times in a row, now with 1: ")
    assert "this API key isn't known" in happened
    assert str(home / "logs" / "worker.log") in advice
    assert until(lambda: not processes(home), 5), processes(home)


def test_the_port_of_another_program_is_no_ui_of_ours(home: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        with up("--port", "0", "--dagster-port", port, log=tmp_path / "log") as (process, text):
            assert process.wait(60) == 1
            assert f"port {port} is taken" in text()
            assert "--dagster-port" in text()
            assert "PostgreSQL" not in text()
    assert until(lambda: not processes(home), 5), processes(home)


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
