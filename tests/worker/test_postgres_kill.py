"""Kill -9 of PostgreSQL at random points of an upload: the client repeats, and there is one task.

The client sees a 503 or a broken connection and repeats with the same Idempotency-Key until 202.
Then a worker completes each task once. The short form kills three times; `make chaos` twenty.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest
from deployment import Deployment

from securetag.db.embedded import API, OWNER, SUPERUSER, Cluster
from securetag.db.upgrade import upgrade

pytestmark = [pytest.mark.sockets, pytest.mark.slow]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One to kill; durable, since that is what is tested."""
    made = Cluster(tmp_path / "own")
    made.start()
    upgrade(made.dsn(role=OWNER))
    yield made
    made.destroy()


@cache  # a zip file holds the time, and a repeated upload is the same bytes
def archive(number: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr(
            "app.py", f"import os\n\n\ndef f{number}(request):\n    os.system(request.args['x'])\n"
        )
        bundle.writestr("data.bin", random.Random(number).randbytes(200_000))
    return out.getvalue()


def upload(client: httpx.Client, number: int) -> httpx.Response:
    return client.post(
        "/codeaudit/upload",
        files={"file": ("p.zip", archive(number))},
        data={"project": "p"},
        headers={"Idempotency-Key": f"upload-{number}"},
    )


def kill_and_restart(cluster: Cluster, delay: float) -> None:
    time.sleep(delay)
    os.kill(cluster.pid, signal.SIGKILL)
    while cluster.running:
        time.sleep(0.005)
    cluster.start()


def run(deployment: Deployment, cluster: Cluster, points: int) -> None:
    chance = random.Random()
    seen: list[int | str] = []
    tasks: dict[int, str] = {}
    with deployment.http() as client:
        began = time.monotonic()
        tasks[0] = upload(client, 0).json()["task_id"]
        took = time.monotonic() - began
        for number in range(1, points + 1):
            killer = threading.Thread(target=kill_and_restart, args=(cluster, chance.uniform(0, took)))
            killer.start()
            deadline = time.monotonic() + 60
            while number not in tasks:
                assert time.monotonic() < deadline, seen[-20:]
                try:
                    answer = upload(client, number)
                except httpx.TransportError as error:
                    seen.append(type(error).__name__)
                    continue
                seen.append(answer.status_code)
                if answer.status_code == 202:
                    tasks[number] = answer.json()["task_id"]
                else:
                    assert answer.status_code == 503, answer.text
                    assert answer.headers["content-type"] == "application/problem+json"
                    time.sleep(0.05)
            killer.join()
        again = {number: upload(client, number) for number in tasks}
    assert [answer.status_code for answer in again.values()] == [202] * len(tasks), again[0].text
    assert {number: answer.json()["task_id"] for number, answer in again.items()} == tasks
    assert len(set(tasks.values())) == points + 1
    worker = deployment.worker()
    try:
        for task in tasks.values():
            deployment.wait(task, {"completed"})
    finally:
        worker.terminate()
        worker.wait(30)
    check(deployment, tasks)


def check(deployment: Deployment, tasks: dict[int, str]) -> None:
    rows = deployment.query("SELECT id::text, state FROM securetag.task")
    assert sorted(rows) == sorted((task, "completed") for task in tasks.values())
    for table in ("scan_result", "codeaudit_upload"):
        rows_by_task = deployment.query(f"SELECT task_id::text, count(*) FROM securetag.{table} GROUP BY 1")
        assert sorted(rows_by_task) == sorted((task, 1) for task in tasks.values())
    uploads = {
        path.name: path.read_bytes()
        for path in (deployment.home / "artifacts" / "uploads").rglob("*")
        if path.is_file()
    }
    digests = [hashlib.sha256(content).hexdigest() for content in uploads.values()]
    assert sorted(uploads) == sorted(digests)
    assert len(uploads) == len(tasks)


@pytest.mark.system
def test_a_killed_database_loses_and_doubles_no_upload(
    deploy: Callable[[str, str], Deployment], cluster: Cluster
) -> None:
    run(deploy(cluster.dsn(role=API), cluster.dsn(role=SUPERUSER)), cluster, points=3)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_killed_database_loses_and_doubles_no_upload_twenty_times(
    deploy: Callable[[str, str], Deployment], cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    record_property("faults", [20, "kills of PostgreSQL under uploads"])
    run(deploy(cluster.dsn(role=API), cluster.dsn(role=SUPERUSER)), cluster, points=20)
