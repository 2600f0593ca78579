"""Kill -9 of workers, of PostgreSQL and of the api at random moments under uploads and scans.

No task is lost, none is done twice in effect, and after the sweeper no process, folder or file is left over.
The services are the real ones in processes of their own; the scanner is a shell script that writes SARIF, so
that thousands of tasks cost minutes. `make chaos` kills a thousand workers, and PostgreSQL and the api twenty
times each, over three thousand tasks; the short form twenty workers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from deployment import Deployment
from forked_workers import ForkedWorkers, run_forked_workers

from securetag.api.sweeper import STALE_S
from securetag.db.embedded import API, OWNER, SUPERUSER, Cluster
from securetag.db.upgrade import upgrade

pytestmark = [pytest.mark.sockets, pytest.mark.slow]

WORKERS = 6
PROJECTS = 30
#: The long form is in parts, each over a database of its own, so that one that is cut off loses one part.
PARTS = 10
#: Tasks that wait at most; uploads are under way until near the end, and so meet all kinds of kills.
WAITING = 60
SARIF = json.dumps(
    {
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "planted", "rules": [{"id": "planted"}]}},
                "results": [
                    {
                        "ruleId": "planted",
                        "message": {"text": "a command is built from what a client sends"},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": "app.py"},
                                    "region": {"startLine": 5},
                                }
                            }
                        ],
                    }
                ],
            }
        ],
    }
)
#: Runs for 0.1 to 0.4 s, in a process of its own beside the shell.
SCRIPT = 'sleep 0.$(($$ % 4 + 1)); printf "%s" "$2" > "$1"'
SCANNERS = {"planted": {"command": ["/bin/sh", "-c", SCRIPT, "sh", "{report}", SARIF]}}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One to kill; durable, since that is what is tested."""
    made = Cluster(tmp_path / "own")
    made.start()
    upgrade(made.dsn(role=OWNER))
    yield made
    made.destroy()


@dataclass
class Kills:
    """How many of each kind."""

    workers: int
    databases: int
    apis: int


@dataclass
class Uploads:
    """Uploads of a thread of its own, each repeated with its Idempotency-Key until it is accepted."""

    deployment: Deployment
    total: int
    task_ids: dict[int, str] = field(default_factory=dict)
    answers: Counter[int | str] = field(default_factory=Counter)
    completed: int = 0
    error: BaseException | None = None

    def run(self) -> None:
        try:
            with self.deployment.http() as client:
                for number in range(self.total):
                    while number - self.completed >= WAITING:
                        time.sleep(0.05)
                    self.task_ids[number] = self._upload(client, number)
        except BaseException as error:
            self.error = error
            raise

    def _upload(self, client: httpx.Client, number: int) -> str:
        content = make_archive(number)
        deadline = time.monotonic() + 120
        while True:
            assert time.monotonic() < deadline, self.answers
            try:
                answer = client.post(
                    "/codeaudit/upload",
                    files={"file": ("p.zip", content)},
                    data={"project": f"p{number % PROJECTS}"},
                    headers={"Idempotency-Key": f"upload-{number}"},
                )
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
                time.sleep(0.1)
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code == 202:
                return str(answer.json()["task_id"])
            assert answer.status_code == 503, answer.text
            time.sleep(0.1)


def make_archive(number: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr(
            "app.py", f"import os\n\n\ndef run_{number}(request):\n    os.system(request.args['cmd'])\n"
        )
        bundle.writestr("data.txt", f"{number}\n" * 2_000)
    return out.getvalue()


def kill_database(cluster: Cluster) -> None:
    os.kill(cluster.pid, signal.SIGKILL)
    while cluster.running:
        time.sleep(0.005)
    cluster.start()


def run(deployment: Deployment, cluster: Cluster, tasks: int, kills: Kills) -> None:
    deployment.environment |= {
        "SECURETAG_WORKER__SCANNERS": json.dumps(list(SCANNERS)),
        "SECURETAG_SCANNERS": json.dumps(SCANNERS),
    }
    uploads = Uploads(deployment, tasks)
    uploading = threading.Thread(target=uploads.run, daemon=True)
    uploading.start()
    with run_forked_workers(deployment.environment, deployment.home / "worker.log") as workers:
        pids = [workers.start() for _ in range(WORKERS)]
        kill_until_completed(deployment, cluster, uploads, kills, workers, pids)
        assert [workers.stop(pid) for pid in pids] == [0] * WORKERS
    uploading.join(10)
    sweep(deployment)
    check(deployment, uploads)


def kill_until_completed(
    deployment: Deployment,
    cluster: Cluster,
    uploads: Uploads,
    kills: Kills,
    workers: ForkedWorkers,
    pids: list[int],
) -> None:
    """Kill at random moments, as the tasks go on, until all are completed."""
    chance = random.Random()
    restarts = [lambda: kill_database(cluster)] * kills.databases + [deployment.kill_api] * kills.apis
    chance.shuffle(restarts)
    every = kills.workers // len(restarts)
    killed = 0
    progress_at, deadline_s = time.monotonic(), 120
    while uploads.completed < uploads.total or killed < kills.workers:
        time.sleep(chance.uniform(0, 0.1))
        assert uploads.error is None, uploads.error
        completed = count_completed(deployment)
        if completed > uploads.completed:
            progress_at = time.monotonic()
        uploads.completed = completed
        assert time.monotonic() < progress_at + deadline_s, tell_states(deployment)
        # Spread over the first nine tenths, so that the last tasks meet kills too but don't wait for them.
        while killed < kills.workers * min(1.0, (completed + 1) / (0.9 * uploads.total)):
            place = chance.randrange(len(pids))
            assert workers.kill(pids[place]) == -signal.SIGKILL
            pids[place] = workers.start()
            killed += 1
            if restarts and killed % every == 0:
                restarts.pop()()
            time.sleep(chance.uniform(0, 0.1))
    assert not restarts


def count_completed(deployment: Deployment) -> int:
    """Retries come due at once, and kills use up no attempts: neither is tested here."""
    ((completed,),) = ask(
        deployment,
        "WITH due AS (UPDATE securetag.task SET not_before = now(), max_attempts = 100"
        " WHERE state IN ('queued', 'retrying') AND (max_attempts < 100 OR not_before > now()))"
        " SELECT count(*) FROM securetag.task WHERE state = 'completed'",
    )
    return int(completed)


def tell_states(deployment: Deployment) -> str:
    return f"{ask(deployment, 'SELECT state, count(*) FROM securetag.task GROUP BY 1')}"


def ask(deployment: Deployment, sql: str) -> list[tuple[Any, ...]]:
    """As `Deployment.query`, repeated while the database is away."""
    for _ in range(100):
        try:
            return deployment.query(sql)
        except psycopg.OperationalError:
            time.sleep(0.2)
    raise AssertionError("the database is away")


def sweep(deployment: Deployment) -> None:
    """Have the api sweep as it would an hour later: it does when it starts."""
    hour_ago = time.time() - STALE_S - 60
    for folder in (deployment.home / "artifacts", deployment.home / "run" / "incoming"):
        for path in folder.rglob("*"):
            os.utime(path, (hour_ago, hour_ago))
    log = deployment.home / "api.log"
    before = log.stat().st_size
    deployment.kill_api()
    deadline = time.monotonic() + 60
    while list_unnamed(deployment) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert list_unnamed(deployment) == set(), log.read_bytes()[before:]


def list_unnamed(deployment: Deployment) -> set[str]:
    """Files of the storage that no row names, and half-received bodies."""
    storage = deployment.home / "artifacts"
    keys = {
        key
        for table in ("artifact", "codeaudit_upload")
        for (key,) in deployment.query(f"SELECT storage_key FROM securetag.{table}")
    }
    files = {str(path.relative_to(storage)) for path in storage.rglob("*") if path.is_file()}
    assert keys <= files, "bytes are lost"
    return files - keys | {path.name for path in (deployment.home / "run" / "incoming").iterdir()}


def check(deployment: Deployment, uploads: Uploads) -> None:
    """Each upload is one task that completed once, with one of everything; nothing else is there."""
    task_ids = sorted(uploads.task_ids.values())
    assert len(set(task_ids)) == uploads.total
    once = sorted((task_id, 1) for task_id in task_ids)

    def count(table: str, condition: str = "true") -> list[tuple[Any, ...]]:
        sql = f"SELECT task_id::text, count(*) FROM securetag.{table} WHERE {condition} GROUP BY 1 ORDER BY 1"
        return deployment.query(sql)

    assert deployment.query("SELECT id::text, state FROM securetag.task ORDER BY 1") == [
        (task_id, "completed") for task_id in task_ids
    ]
    assert count("task_event", "to_state = 'completed'") == once
    for table in ("scan_result", "codeaudit_upload", "finding_occurrence"):
        assert count(table) == once, table
    for tool in ("unpack", "planted"):
        assert count("tool_execution", f"tool = '{tool}'") == once, tool
    # All scans of a project show the same place.
    assert deployment.query("SELECT count(*) FROM securetag.finding") == [(PROJECTS,)]
    named = deployment.query("SELECT task_id::text, name, count(*) FROM securetag.artifact GROUP BY 1, 2")
    names = ("planted.stderr.txt", "planted.stdout")
    assert sorted(named) == sorted((task_id, name, 1) for task_id, name in zip_all(task_ids, names))
    for digest, key in deployment.query("SELECT sha256, storage_key FROM securetag.codeaudit_upload"):
        content = (deployment.home / "artifacts" / key).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    assert deployment.tools() == []
    assert list((deployment.home / "run" / "worker").glob("*-*")) == []


def zip_all(task_ids: list[str], names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        yield from zip(task_ids, cycle([name]), strict=False)


@pytest.mark.system
@pytest.mark.timeout(300)
def test_kills_of_everything_lose_and_double_nothing(
    deploy: Callable[[str, str], Deployment], cluster: Cluster
) -> None:
    deployment = deploy(cluster.dsn(role=API), cluster.dsn(role=SUPERUSER))
    run(deployment, cluster, tasks=60, kills=Kills(20, 1, 1))


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_a_thousand_kills_lose_and_double_nothing(
    part: int,
    deploy: Callable[[str, str], Deployment],
    cluster: Cluster,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("faults", [104, f"kills of everything, part {part} of {PARTS}"])
    deployment = deploy(cluster.dsn(role=API), cluster.dsn(role=SUPERUSER))
    run(deployment, cluster, tasks=300, kills=Kills(100, 2, 2))
