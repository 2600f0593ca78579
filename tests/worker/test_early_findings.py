"""Findings are there before their verdicts, and a worker killed in between loses and doubles nothing.

The real api, worker, PostgreSQL and Semgrep. The model's server takes every connection and answers none.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployment import Deployment
from fake_queue import zipped
from postgres import Database
from typer.testing import CliRunner

from securetag.cli import app
from securetag.db.embedded import SUPERUSER, Cluster

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

FILES = 5
BODY = "import os\n\n\ndef run_{n}(request):\n    os.system(request.args['cmd'])\n"


@pytest.fixture
def silent_model() -> Iterator[str]:
    """Address of a server that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in taken:
            connection.close()
        thread.join(5)


@pytest.fixture
def deployment(
    deploy: Callable[[str, str], Deployment],
    clean_database: Database,
    pg_cluster: Cluster,
    silent_model: str,
) -> Deployment:
    deployment = deploy(clean_database.dsn_api, pg_cluster.dsn(clean_database.name, SUPERUSER))
    deployment.environment |= {
        "OLLAMA_HOST": silent_model,
        "SECURETAG_TRIAGE__BACKEND": "ollama",
        "SECURETAG_TRIAGE__TIMEOUT_S": "30",
    }
    return deployment


def shop(folder: Path) -> Path:
    for number in range(FILES):
        (folder / f"m{number}.py").write_text(BODY.format(n=number))
    return folder


def test_a_worker_killed_during_triage_loses_and_doubles_nothing(
    deployment: Deployment, tmp_path: Path
) -> None:
    files = {path.name: path.read_text() for path in shop(tmp_path).iterdir() if path.is_file()}

    def count(table: str) -> int:
        ((number,),) = deployment.query(f"SELECT count(*) FROM securetag.{table}")
        return int(number)

    def scan(task: str) -> dict[str, object]:
        with deployment.http() as client:
            answer: dict[str, object] = client.get(f"/scans/{task}").json()
        return answer

    def wait_for_findings(reports: int) -> None:
        deadline = time.monotonic() + 60
        while count("scan_report") < reports:
            assert time.monotonic() < deadline, (deployment.home / "worker.log").read_text()[-3000:]
            deployment.query("UPDATE securetag.task SET not_before = now() WHERE state = 'retrying'")
            time.sleep(0.05)

    worker = deployment.worker()
    try:
        with deployment.http() as client:
            answer = client.post(
                "/codeaudit/upload",
                files={"file": ("p.zip", zipped(files))},
                data={"project": "shop"},
            )
        task = str(answer.json()["task_id"])
        wait_for_findings(1)
        before = scan(task)
        assert (before["state"], before["findings"], before["being_triaged"]) == ("running", FILES, FILES)
        with deployment.http() as client:
            shown = client.get(f"/scans/{task}/findings").json()["items"]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker = deployment.worker()
        # The second one is killed after it has sent the same again.
        wait_for_findings(2)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        # Nothing listens there: the third one gives the model up at once.
        deployment.environment["OLLAMA_HOST"] = "http://127.0.0.1:9"
        worker = deployment.worker()
        assert deployment.wait(task, {"completed", "dead_letter"}) == "completed"
    finally:
        worker.kill()
        worker.wait()
    after = scan(task)
    assert (after["findings"], after["being_triaged"]) == (FILES, 0)
    assert after["by_verdict"] == {"needs_review": FILES}
    assert {table: count(table) for table in ("finding", "finding_occurrence", "triage_verdict")} == {
        "finding": FILES,
        "finding_occurrence": FILES,
        "triage_verdict": FILES,
    }
    assert (count("scan_report"), count("scan_result"), count("finding_state")) == (3, 1, FILES)
    with deployment.http() as client:
        ended = client.get(f"/scans/{task}/findings").json()["items"]
    # The ids that were shown hold: a decision on them is about the same code.
    assert {(item["id"], item["occurrence"]["id"]) for item in ended} == {
        (item["id"], item["occurrence"]["id"]) for item in shown
    }


def test_the_command_line_shows_findings_while_the_model_thinks(
    deployment: Deployment, tmp_path: Path
) -> None:
    deployment.environment["SECURETAG_TRIAGE__TIMEOUT_S"] = "4"
    (tmp_path / "shop").mkdir()
    worker = deployment.worker()
    try:
        where = ["--api", deployment.url, "--key", deployment.key]
        result = CliRunner().invoke(app, ["scan", str(shop(tmp_path / "shop")), *where])
    finally:
        worker.kill()
        worker.wait()
    assert result.exit_code == 0, result.output
    early, _, end = result.stdout.partition("scan completed")
    assert f"{FILES} findings, {FILES} being triaged" in early
    # Long words break in a cell.
    assert early.count("being") == FILES + 1
    assert "being" not in end
    assert end.count("needs_review") == FILES + 1
