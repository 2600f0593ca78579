"""Small promises of the api: headers, methods, and what is refused."""

from __future__ import annotations

import errno

import pytest
from api_in_process import Api

pytestmark = pytest.mark.anyio


async def test_a_full_disk_is_507_and_says_nothing_of_paths(
    api: Api, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await api.tenant()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/secret/path")

    monkeypatch.setattr(api.app.state.services.storage, "put", refuse)
    answer = await tenant.upload(archive)
    assert answer.status_code == 507
    assert answer.json()["type"] == "urn:securetag:problem:insufficient-storage"
    assert "secret" not in answer.text
    monkeypatch.undo()
    assert (await tenant.upload(archive)).status_code == 202


async def test_a_wrong_method_is_405_and_allow_names_all(api: Api) -> None:
    tenant = await api.tenant()
    answer = await tenant.client.get("/codeaudit/upload")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    answer = await tenant.client.put("/projects")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("granted", ["yes", "true", 1, None])
async def test_consent_is_a_boolean_and_nothing_else(api: Api, granted: object) -> None:
    tenant = await api.tenant()
    assert (await tenant.client.put("/consent", json={"granted": granted})).status_code == 422
    assert (await tenant.client.get("/consent")).json()["granted"] is False


async def test_what_has_expired_already_is_refused(api: Api) -> None:
    tenant = await api.tenant()
    body = {"name": "old", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}
    refused = await tenant.client.post("/keys", json=body)
    assert refused.status_code == 422
    assert "passed" in refused.text
    body["expires_at"] = "2199-01-01T00:00:00Z"
    assert (await tenant.client.post("/keys", json=body)).status_code == 201


async def test_a_scan_that_has_ended_has_no_stage(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    assert (await tenant.client.post(f"/scans/{task_id}/cancel")).status_code == 200
    api.query("UPDATE securetag.task SET stage = 'triage' WHERE id = %s RETURNING id", task_id)
    assert (await tenant.client.get(f"/scans/{task_id}")).json()["stage"] == ""


async def test_the_documentation_has_a_content_security_policy(api: Api) -> None:
    answer = await api.client().get("/docs")
    assert answer.status_code == 200
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
