"""A worker fetches the commit that a task names, and scans it; the task says why it can't."""

from __future__ import annotations

import subprocess
import threading
from ipaddress import ip_network
from pathlib import Path

import pytest
from fake_queue import PROJECT, FakeApi
from git_server import serve_git

from securetag.client.queue import QueueClient
from securetag.settings import Settings
from securetag.wire.queue import ResultRequest
from securetag.worker.runner import Runner
from securetag.worker.sandbox import Workspace

pytestmark = [pytest.mark.system, pytest.mark.sockets]


def work(client: QueueClient, settings: Settings, api: FakeApi) -> ResultRequest:
    with Workspace(settings.run_dir) as workspace:
        assert Runner(client, settings, workspace, stop=threading.Event()).run(once=True)
        assert list(workspace.folder.iterdir()) == [workspace.folder / "lock"]
    result: ResultRequest = api.results.pop()
    api.ended = False
    return result


def test_a_commit_is_scanned_like_an_upload(
    api: FakeApi, client: QueueClient, settings: Settings, tmp_path: Path
) -> None:
    repository = tmp_path / "served" / "shop"
    repository.mkdir(parents=True)
    for name, text in PROJECT.items():
        (repository / name).write_text(text)
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    settings = settings.model_copy(update={"private_networks": [ip_network("127.0.0.0/8")]})
    with serve_git(repository.parent) as server:
        params = {"git_url": f"{server.url}/shop/.git", "commit": head.stdout.strip()}
        api.enqueue(params=params, upload=None)
        result = work(client, settings, api)
        assert (result.outcome, result.error) == ("completed", "")
        # What the tenant reads names no folder of the worker.
        sent = result.model_dump_json() + "".join(map(str, api.artifacts.values()))
        assert str(tmp_path) not in sent
        assert str(Path(__file__).parents[2]) not in sent
        assert [item.finding.path for item in result.findings] == ["app.py"]
        assert "fetching" in {stage.split(" ")[0] for stage in api.stages}

        api.enqueue(params={**params, "commit": "1" * 40}, upload=None)
        result = work(client, settings, api)
        assert (result.outcome, "no such commit" in result.error) == ("failed", True)
        # The worker's own settings decide, whatever the api has taken.
        api.enqueue(params=params, upload=None)
        result = work(client, settings.model_copy(update={"private_networks": []}), api)
        assert (result.outcome, "loopback" in result.error) == ("failed", True)
