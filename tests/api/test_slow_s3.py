"""An S3 that takes and gives 300 KB a second holds no connection to the database, and no other tenant up."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from api_in_process import Api, Tenant
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from securetag.storage import storage_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

pytestmark = [pytest.mark.anyio, pytest.mark.sockets, pytest.mark.system]

POOL = 2
BYTES_A_SECOND = 300_000
#: Bytes of an upload: four seconds of this storage.
SIZE = 1_200_000
BUCKET = "uploads"
#: Seconds that another tenant's call may take meanwhile, on a busy machine.
PROMPT_S = 3.0


class Throttled:
    """A WSGI application that takes its time for every body."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        time.sleep(int(environ.get("CONTENT_LENGTH") or 0) / BYTES_A_SECOND)
        for piece in self.app(environ, start):
            time.sleep(len(piece) / BYTES_A_SECOND)
            yield piece


@pytest.fixture
def slow_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a bucket; moto keeps it in memory."""
    server = make_server(
        "127.0.0.1", 0, Throttled(DomainDispatcherApplication(create_backend_app)), threaded=True
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.port}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    httpx.put(f"{address}/{BUCKET}", timeout=30).raise_for_status()
    yield f"s3://{BUCKET}/securetag"
    server.shutdown()
    server.server_close()


@pytest.fixture
def api_settings() -> dict[str, object]:
    return {"reap_s": 3600.0, "pool_size": POOL, "connect_timeout_s": 2.0}


def large_archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        bundle.writestr("app.py", "x = 1\n")
        bundle.writestr("data.bin", os.urandom(SIZE))
    return out.getvalue()


async def slowest_call(tenant: Tenant, until: asyncio.Future[Any]) -> float:
    """Seconds of the slowest of another tenant's calls until something ends."""
    slowest = 0.0
    while not until.done():
        began = time.monotonic()
        answer = await tenant.client.get("/projects")
        assert answer.status_code == 200, answer.text
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.05)
    return slowest


async def test_uploads_artifacts_and_downloads_hold_nobody_else_up(api: Api, slow_s3: str) -> None:
    tenant, other, worker = await api.tenant(), await api.tenant(), await api.worker()
    api.app.state.services.storage = storage_for(slow_s3)
    archives = [large_archive() for _ in range(3 * POOL)]
    began = time.monotonic()
    uploads = asyncio.gather(*(tenant.upload(archive) for archive in archives))
    assert await slowest_call(other, uploads) < PROMPT_S
    answers = await uploads
    assert [answer.status_code for answer in answers] == [202] * len(archives), answers[0].text
    assert time.monotonic() - began > SIZE / BYTES_A_SECOND

    claim = await worker.post("/queue/next", json={"worker_id": "w", "kinds": ["codeaudit"], "wait_s": 0})
    lease = claim.json()
    output = os.urandom(SIZE)
    token = {"X-Lease-Token": lease["lease_token"]}
    digest = {"X-Content-SHA256": hashlib.sha256(output).hexdigest()}
    path = f"/queue/tasks/{lease['task_id']}"
    work = asyncio.gather(
        *(worker.get(f"{path}/upload", headers=token, timeout=60) for _ in range(2 * POOL)),
        *(
            worker.put(f"{path}/artifacts/tool-{number}", content=output, headers={**token, **digest})
            for number in range(2 * POOL)
        ),
    )
    assert await slowest_call(other, work) < PROMPT_S
    done = await work
    assert [answer.status_code for answer in done] == [200] * len(done), [
        answer.text[:200] for answer in done
    ]
    digests = {hashlib.sha256(answer.content).hexdigest() for answer in done[: 2 * POOL]}
    assert digests == {lease["upload"]["sha256"]}
