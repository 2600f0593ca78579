"""A worker's client of the queue in `fake_queue`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fake_queue import KEY, FakeApi
from pydantic import SecretStr

from securetag.client.queue import QueueClient
from securetag.settings import Settings
from securetag.settings.sections import WorkerSettings


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path / "home",
        worker=WorkerSettings(api_url="http://queue", api_key=SecretStr(KEY), poll_s=0),
        semgrep={"jobs": 1, "timeout_s": 60},  # type: ignore[arg-type]
    )


@pytest.fixture
def client(api: FakeApi, settings: Settings) -> Iterator[QueueClient]:
    transport = httpx.WSGITransport(app=api)  # type: ignore[arg-type]
    queue_client = QueueClient(settings.worker, "worker-1", transport=transport)
    yield queue_client
    queue_client.close()


@pytest.fixture
def threads_end() -> Iterator[None]:
    """No thread of the test's worker outlives it."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    assert left == []
