"""The version of the queue's protocol, as the api checks it on every call of a worker."""

from __future__ import annotations

from uuid import uuid4

import pytest
from api_in_process import Api

from securetag.wire.queue import PROTOCOL, PROTOCOL_HEADER

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/queue/next", "/queue/heartbeat", "/queue/result"])
async def test_another_version_is_refused_before_anything_is_read(path: str, api: Api) -> None:
    worker = await api.worker()
    answer = await worker.post(
        path, json={"task_id": str(uuid4())}, headers={PROTOCOL_HEADER: str(PROTOCOL + 1)}
    )
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (400, "urn:securetag:problem:version")
    assert "Update the api" in problem["hint"]


@pytest.mark.parametrize("headers", [{}, {PROTOCOL_HEADER: str(PROTOCOL)}], ids=["none", "ours"])
async def test_our_version_and_none_are_answered(headers: dict[str, str], api: Api) -> None:
    worker = await api.worker()
    answer = await worker.post("/queue/next", json={"worker_id": "w"}, headers=headers)
    assert answer.status_code == 204


@pytest.mark.parametrize("version", ["0", "-1", "two", "1e9", "9" * 40])
async def test_a_header_that_is_no_version_is_refused(version: str, api: Api) -> None:
    worker = await api.worker()
    answer = await worker.post("/queue/next", json={"worker_id": "w"}, headers={PROTOCOL_HEADER: version})
    assert answer.status_code == 422


async def test_the_key_is_asked_for_first(api: Api) -> None:
    answer = await api.client().post("/queue/next", json={}, headers={PROTOCOL_HEADER: "99"})
    assert answer.status_code == 401
