"""The worker as a process: what it says when it can't work, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest

from securetag.cli.services.ports import find_free_port
from securetag.worker.__main__ import wait_for_end

#: MiB that a worker without work may take.
RESTING = 200


def start(tmp_path: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SECURETAG_WORKER")}
    return subprocess.Popen(
        [sys.executable, "-m", "securetag.worker", *options],
        text=True,
        stderr=subprocess.PIPE,
        env={**inherited, "SECURETAG_HOME": str(tmp_path), **environment},
    )


@pytest.fixture
def idle_api() -> Iterator[str]:
    """Knows the key `stk_known` alone, and no work: it answers when the wait is over."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_welcome = self.headers["X-API-Key"] == "stk_known"
            if is_welcome:
                ended.wait(request["wait_s"])
            self.send_response(204 if is_welcome else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_without_a_key_it_says_what_to_set(tmp_path: Path) -> None:
    process = start(tmp_path)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "SECURETAG_WORKER__API_KEY" in stderr
    assert "Traceback" not in stderr


@pytest.mark.system
@pytest.mark.sockets
@pytest.mark.parametrize(("key", "code", "says"), [("stk_known", 3, ""), ("stk_other", 1, "401")])
def test_once(tmp_path: Path, idle_api: str, key: str, code: int, says: str) -> None:
    process = start(tmp_path, "--once", SECURETAG_WORKER__API_URL=idle_api, SECURETAG_WORKER__API_KEY=key)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code, stderr
    assert says in stderr
    assert "stk_" not in stderr
    assert list((tmp_path / "run" / "worker").glob("*-*")) == []


@pytest.mark.system
@pytest.mark.sockets
def test_it_rests_small_and_ends_when_told_although_it_waits_for_work(tmp_path: Path, idle_api: str) -> None:
    port = find_free_port("127.0.0.1")
    process = start(
        tmp_path,
        "--concurrency",
        "2",
        SECURETAG_WORKER__API_URL=idle_api,
        SECURETAG_WORKER__API_KEY="stk_known",
        SECURETAG_WORKER__POLL_S="30",
        SECURETAG_WORKER__METRICS_PORT=str(port),
    )
    assert process.stderr is not None
    while "working for" not in (line := json.loads(process.stderr.readline()))["event"]:
        assert process.poll() is None
    assert (line["logger"], line["level"]) == ("securetag.worker", "info")
    time.sleep(0.5)
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert "process_resident_memory_bytes" in metrics
    assert "securetag_worker_model_seconds_count 0.0" in metrics
    assert psutil.Process(process.pid).memory_info().rss < RESTING << 20
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 0, stderr


def test_a_runner_that_gets_a_task_after_the_stop_is_waited_for() -> None:
    """With two runners: the first is seen waiting, but the api has just given it a task."""

    class Idle:
        is_waiting = True

    stop, finish, given = threading.Event(), threading.Event(), threading.Event()
    first, second = Idle(), Idle()
    second.is_waiting = False

    def take_a_task() -> None:
        given.wait()
        first.is_waiting = False
        second.is_waiting = True
        finish.wait()

    threads = [threading.Thread(target=work, daemon=True) for work in (take_a_task, finish.wait)]
    for thread in threads:
        thread.start()
    stop.set()
    ended = threading.Event()

    def watch() -> None:
        wait_for_end(threads, [first, second], stop)
        ended.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert not ended.wait(0.5)
    given.set()
    assert not ended.wait(0.5)
    first.is_waiting = True
    assert ended.wait(10)
    finish.set()
    for thread in (*threads, watcher):
        thread.join()


def test_no_training_library_is_loaded() -> None:
    code = "import sys, securetag.worker.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"torch", "transformers", "dagster", "pymupdf", "sqlalchemy", "ollama"}.isdisjoint(loaded)
