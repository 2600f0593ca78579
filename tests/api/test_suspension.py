"""A suspended tenant or key opens nothing, its scans end or wait, and all of it comes back."""

from __future__ import annotations

import pytest
from api_in_process import Api

from securetag.db.queue import count_open_tasks
from securetag.wire.queue import LEASE_HEADER

pytestmark = pytest.mark.anyio

NEXT = {"worker_id": "w"}


async def test_a_suspended_tenant_has_403_its_scans_end_or_wait_and_resume(api: Api, archive: bytes) -> None:
    tenant, worker, operator = await api.tenant(), await api.worker(), await api.operator()
    running, waiting = [(await tenant.upload(archive)).json()["task_id"] for _ in range(2)]
    lease = (await worker.post("/queue/next", json=NEXT)).json()
    assert lease["task_id"] == running
    rows = {(row.kind, row.state): row for row in await count_open_tasks(api.engine)}
    assert {key: row.tasks for key, row in rows.items()} == {
        ("codeaudit", "queued"): 1,
        ("codeaudit", "running"): 1,
    }
    assert all(0 <= row.oldest_s < 60 for row in rows.values())

    path = f"/tenants/{tenant.id}/suspension"
    assert (await tenant.client.put(path, json={"suspended": True})).status_code == 403
    for body, status in (({"suspended": "yes"}, 422), ({"suspended": True}, 200)):
        assert (await operator.put(path, json=body)).status_code == status
    for method, url in (("GET", "/findings"), ("PUT", "/consent"), ("GET", f"/scans/{waiting}")):
        refused = await tenant.client.request(method, url, json={"granted": True})
        assert (refused.status_code, refused.json()["detail"]) == (403, "this tenant is suspended")
    beat = await worker.post(
        "/queue/heartbeat",
        json={"task_id": running, "stage": "semgrep"},
        headers={LEASE_HEADER: lease["lease_token"]},
    )
    assert beat.json()["cancelled"] is True
    again = await worker.post("/queue/next", json=NEXT)
    assert again.status_code == 204

    answer = await operator.put(path, json={"suspended": False})
    assert answer.json()["suspended_at"] is None
    assert (await tenant.client.get(f"/scans/{running}")).json()["state"] == "cancelled"
    lease = (await worker.post("/queue/next", json=NEXT)).json()
    assert lease["task_id"] == waiting
    actions = [item["action"] for item in (await tenant.client.get("/audit")).json()["items"]]
    assert actions[:2] == ["tenant.resume", "tenant.suspend"]


async def test_a_suspended_key_opens_nothing_and_others_of_its_tenant_do(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    reader = api.client(await api.key(tenant.id, "read"))
    keys = (await tenant.client.get("/keys")).json()["items"]
    (key_id,) = [key["id"] for key in keys if key["scopes"] == ["read"]]
    path = f"/keys/{key_id}/suspension"
    assert (await other.client.put(path, json={"suspended": True})).status_code == 404
    first = (await tenant.client.put(path, json={"suspended": True})).json()
    assert (await tenant.client.put(path, json={"suspended": True})).json() == first
    refused = await reader.get("/findings")
    assert (refused.status_code, refused.json()["detail"]) == (403, "this API key is suspended")
    assert (await tenant.client.get("/findings")).status_code == 200
    assert (await tenant.client.put(path, json={"suspended": False})).json()["suspended_at"] is None
    assert (await reader.get("/findings")).status_code == 200


async def test_a_consent_keeps_the_version_of_its_text(api: Api) -> None:
    tenant = await api.tenant()
    assert (await tenant.client.get("/consent")).json()["text_version"] is None
    granted = (await tenant.client.put("/consent", json={"granted": True})).json()
    assert granted["text_version"]
    assert (await tenant.client.put("/consent", json={"granted": False})).json()["text_version"] == (
        granted["text_version"]
    )
