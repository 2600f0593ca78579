"""Kill -9 of the worker at random points of a scan: the scan completes once, and nothing is left over.

The real api in its own process, the real PostgreSQL, the real Semgrep, the real worker. The short
form kills three times; `make chaos` twenty times.
"""

from __future__ import annotations

import io
import random
import signal
import time
import zipfile
from collections.abc import Callable

import httpx
import pytest
from deployment import Deployment
from postgres import Database

from securetag.db.embedded import SUPERUSER, Cluster

pytestmark = [pytest.mark.sockets, pytest.mark.slow]

FILES = 40
BODY = "import os\n\n\ndef run_{n}(request):\n    os.system(request.args['cmd'])\n"


def archive(number: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for file in range(FILES):
            bundle.writestr(f"src/m{file}.py", BODY.format(n=f"{number}_{file}"))
    return out.getvalue()


def upload(client: httpx.Client, number: int) -> str:
    answer = client.post(
        "/codeaudit/upload", files={"file": ("p.zip", archive(number))}, data={"project": f"p{number}"}
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def check(deployment: Deployment, task: str) -> None:
    """One completion, one set of everything."""

    def value_of(sql: str) -> object:
        ((value,),) = deployment.query(sql, task)
        return value

    assert (
        value_of("SELECT count(*) FROM securetag.task_event WHERE task_id = %s AND to_state = 'completed'")
        == 1
    )
    assert value_of("SELECT count(*) FROM securetag.scan_result WHERE task_id = %s") == 1
    assert value_of("SELECT count(*) FROM securetag.finding_occurrence WHERE task_id = %s") == FILES
    assert value_of("SELECT count(*) FROM securetag.triage_verdict WHERE task_id = %s") == FILES
    project = "SELECT project_id FROM securetag.task WHERE id = %s"
    assert value_of(f"SELECT count(*) FROM securetag.finding WHERE project_id = ({project})") == FILES
    tools = deployment.query(
        "SELECT tool FROM securetag.tool_execution WHERE task_id = %s ORDER BY started_at", task
    )
    # An attempt that was killed during triage has stored its runs with its findings; they did happen.
    scan = [("unpack",), ("semgrep",), ("secrets",)]
    assert tools[-4:] == [*scan, ("triage",)]
    assert tools[:-4] == scan * (len(tools[:-4]) // len(scan))
    artifacts = deployment.query(
        "SELECT name, storage_key FROM securetag.artifact WHERE task_id = %s ORDER BY 1", task
    )
    assert [name for name, _ in artifacts] == [
        "secrets.stderr.txt",
        "secrets.stdout",
        "semgrep.stderr.txt",
        "semgrep.stdout.json",
    ]
    stored = {
        path for path in (deployment.home / "artifacts").rglob("*") if path.is_file() and task in str(path)
    }
    assert {str(path.relative_to(deployment.home / "artifacts")) for path in stored} == {
        key for _, key in artifacts
    }


def run(deployment: Deployment, points: int, seed: int) -> None:
    chance = random.Random(seed)
    with deployment.http() as client:
        worker = deployment.worker()
        try:
            whole = upload(client, 0)
            deployment.wait(whole, {"running"})
            began = time.monotonic()
            deployment.wait(whole, {"completed"})
            took = time.monotonic() - began
            tasks = [whole]
            for number in range(1, points + 1):
                task = upload(client, number)
                tasks.append(task)
                deployment.wait(task, {"running", "completed"})
                time.sleep(chance.uniform(0, took))
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                worker = deployment.worker()
                deployment.wait(task, {"completed", "failed", "dead_letter", "timeout", "cancelled"})
            # The last worker is known to be up once it has done something.
            tasks.append(upload(client, points + 1))
            deployment.wait(tasks[-1], {"completed"})
            worker.terminate()
            assert worker.wait(30) == 0
        finally:
            worker.kill()
            worker.wait()
    for task in tasks:
        assert deployment.wait(task, {"completed"}) == "completed"
        check(deployment, task)
    assert deployment.tools() == []
    assert list((deployment.home / "run" / "worker").glob("*-*")) == []


@pytest.mark.system
def test_killed_workers_lose_and_double_nothing(
    deploy: Callable[[str, str], Deployment], clean_database: Database, pg_cluster: Cluster
) -> None:
    deployment = deploy(clean_database.dsn_api, pg_cluster.dsn(clean_database.name, SUPERUSER))
    run(deployment, points=3, seed=random.randrange(1 << 32))


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_killed_workers_lose_and_double_nothing_twenty_times(
    deploy: Callable[[str, str], Deployment],
    clean_database: Database,
    pg_cluster: Cluster,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("faults", [20, "kills of the worker"])
    deployment = deploy(clean_database.dsn_api, pg_cluster.dsn(clean_database.name, SUPERUSER))
    run(deployment, points=20, seed=random.randrange(1 << 32))
