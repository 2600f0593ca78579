"""A storage that takes its time holds no connection to the database, and nobody else up."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Iterable

import pytest
from api_in_process import Api

from securetag.storage import Storage

pytestmark = pytest.mark.anyio

POOL = 2


@pytest.fixture
def api_settings() -> dict[str, object]:
    return {"reap_s": 3600.0, "pool_size": POOL, "connect_timeout_s": 2.0}


class StuckStorage(Storage):
    """Writes nothing until it is let go."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.writing = 0
        self.go = threading.Event()

    def put(self, key: str, chunks: Iterable[bytes], *, limit: int) -> tuple[str, int]:
        self.writing += 1
        assert self.go.wait(30)
        return super().put(key, chunks, limit=limit)


async def until_writing(storage: StuckStorage, count: int) -> None:
    deadline = time.monotonic() + 20
    while storage.writing < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_uploads_and_artifacts_that_wait_for_the_storage_hold_no_connection(
    api: Api, archive: bytes
) -> None:
    tenant, other, worker = await api.tenant(), await api.tenant(), await api.worker()
    assert (await tenant.upload(archive)).status_code == 202
    claim = await worker.post("/queue/next", json={"worker_id": "w", "kinds": ["codeaudit"], "wait_s": 0})
    lease = claim.json()

    services = api.app.state.services
    normal, services.storage = services.storage, StuckStorage(services.settings.storage)
    storage: StuckStorage = services.storage
    content = [archive, b"out", b"err", b"log", b"more"]
    artifacts = [
        asyncio.create_task(
            worker.put(
                f"/queue/tasks/{lease['task_id']}/artifacts/tool-{number}",
                content=body,
                headers={
                    "X-Lease-Token": lease["lease_token"],
                    "X-Content-SHA256": hashlib.sha256(body).hexdigest(),
                },
            )
        )
        for number, body in enumerate(content)
    ]
    upload = asyncio.create_task(other.upload(archive))
    await until_writing(storage, len(content) + 1)
    for _ in range(3 * POOL):
        began = time.monotonic()
        assert (await other.client.get("/projects")).status_code == 200
        assert time.monotonic() - began < 2
    storage.go.set()
    answers = await asyncio.gather(upload, *artifacts)
    assert [answer.status_code for answer in answers] == [202] + [200] * len(content), [
        answer.text for answer in answers
    ]
    services.storage = normal
