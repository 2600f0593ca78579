"""What a tenant deletes is gone, rows and bytes; what others share or have stays."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import UUID

import pytest
from api_in_process import Api, Tenant
from rows import make_finding
from sqlalchemy import text
from stored_scans import store_scan

from securetag.api import sweeper
from securetag.api.receive import STALE_S
from securetag.db.engine import tenant_transaction
from securetag.db.repositories import artifacts
from securetag.pipeline import erasure
from securetag.records import Finding

pytestmark = pytest.mark.anyio


def found(*names: str) -> list[Finding]:
    return [make_finding(name, path=f"{name}.py", scope=name) for name in names]


async def add_bytes(api: Api, tenant: Tenant, task_id: UUID, *, name: str = "semgrep.stdout") -> list[str]:
    """An upload and an artifact of a scan; their keys."""
    storage = api.app.state.services.storage
    upload = artifacts.upload_key(tenant.id, "a" * 64)
    artifact = artifacts.artifact_key(tenant.id, task_id, 1, name)
    for key in (upload, artifact):
        storage.put(key, [b"code"], limit=10)
    async with tenant_transaction(api.engine, tenant.id) as session:
        project_id = await session.scalar(
            text("SELECT project_id FROM securetag.task WHERE id = :id"), {"id": task_id}
        )
        await artifacts.add_upload(
            session,
            tenant.id,
            project_id=project_id,
            task_id=task_id,
            filename="a.zip",
            sha256="a" * 64,
            size=4,
        )
        await artifacts.replace_artifact(
            session,
            tenant.id,
            task_id=task_id,
            name=name,
            attempt=1,
            sha256="b" * 64,
            size=4,
            storage_key=artifact,
        )
    return [upload, artifact]


async def listed(tenant: Tenant) -> dict[str, str]:
    """Path → state of what the default branch has."""
    page = await tenant.client.get("/findings", params={"state": "any"})
    return {item["occurrence"]["path"]: item["state"] for item in page.json()["items"]}


def rows_of(api: Api, tenant: Tenant) -> dict[str, int]:
    """Table → rows that the tenant has there."""
    tables = api.query(
        "SELECT table_name FROM information_schema.columns"
        " WHERE table_schema = 'securetag' AND column_name = 'tenant_id'"
    )
    counts = {
        table: api.query(f"SELECT count(*) FROM securetag.{table} WHERE tenant_id = %s", tenant.id)[0][0]
        for (table,) in tables
    }
    return {table: count for table, count in counts.items() if count}


async def judge(tenant: Tenant) -> None:
    """Feedback, a note and a suppression on every finding."""
    answer = await tenant.client.get("/findings")
    assert answer.status_code == 200, answer.text
    for item in answer.json()["items"]:
        feedback = {"occurrence_id": item["occurrence"]["id"], "verdict": "true_positive", "saw_model": True}
        answer = await tenant.client.post(f"/findings/{item['id']}/feedback", json=feedback)
        assert answer.status_code == 201, answer.text
        note = await tenant.client.post(f"/findings/{item['id']}/notes", json={"text": "seen"})
        assert note.status_code == 201, note.text
        hidden = {
            "finding_id": item["id"],
            "occurrence_id": item["occurrence"]["id"],
            "reason": "later",
        }
        answer = await tenant.client.post("/suppressions", json=hidden)
        assert answer.status_code == 201, answer.text


async def test_a_scan_goes_and_what_others_have_reported_stays(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    older = await store_scan(api, tenant, *found("a", "b"))
    newer = await store_scan(api, tenant, *found("a", "c"))
    await judge(tenant)
    old_keys, new_keys = await add_bytes(api, tenant, older), await add_bytes(api, tenant, newer)
    storage = api.app.state.services.storage
    before = rows_of(api, tenant)
    reader = api.client(await api.key(tenant.id, "read", "scan", "feedback"))
    assert (await other.client.delete(f"/scans/{newer}")).status_code == 404
    assert (await reader.delete(f"/scans/{newer}")).status_code == 403
    before |= {"api_key": before["api_key"] + 1, "audit_log": before["audit_log"] + 1}
    assert rows_of(api, tenant) == before

    assert (await tenant.client.delete(f"/scans/{newer}")).status_code == 204
    assert (await tenant.client.get(f"/scans/{newer}")).status_code == 404
    assert set(await listed(tenant)) == {"a.py", "b.py"}
    page = await tenant.client.get("/findings", params={"state": "any"})
    assert {item["occurrence"]["task_id"] for item in page.json()["items"]} == {str(older)}
    # The upload is the older scan's too: one file for the same bytes.
    assert [storage.exists(key) for key in [*old_keys, *new_keys]] == [True, True, True, False]
    assert (await tenant.client.delete(f"/scans/{newer}")).status_code == 404

    assert (await tenant.client.delete(f"/scans/{older}")).status_code == 204
    assert rows_of(api, tenant).keys() == {"api_key", "audit_log", "project"}
    assert not any(storage.exists(key) for key in old_keys)
    query = "SELECT actor FROM securetag.audit_log WHERE tenant_id = %s AND action = 'scan.delete'"
    assert api.query(query, tenant.id) == [("test",)] * 2


async def test_a_scan_that_runs_is_refused_until_it_is_canceled(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    accepted = (await tenant.upload(archive)).json()
    for path in (f"/scans/{accepted['task_id']}", f"/projects/{accepted['project_id']}"):
        refused = await tenant.client.delete(path)
        assert refused.status_code == 409
        assert accepted["task_id"] in refused.json()["hint"]
    assert (await tenant.client.post(f"/scans/{accepted['task_id']}/cancel")).status_code == 200
    assert (await tenant.client.delete(f"/projects/{accepted['project_id']}")).status_code == 204
    assert (await tenant.client.get("/projects")).json()["items"] == []
    assert api.app.state.services.storage.all_keys() == []


async def test_a_finding_goes_with_all_that_was_said_of_it(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    await store_scan(api, tenant, *found("a", "b"))
    await judge(tenant)
    items = (await tenant.client.get("/findings")).json()["items"]
    gone = next(item["id"] for item in items if item["occurrence"]["path"] == "a.py")
    assert (await other.client.delete(f"/findings/{gone}")).status_code == 404
    assert (await tenant.client.delete(f"/findings/{gone}")).status_code == 204
    assert (await tenant.client.get(f"/findings/{gone}")).status_code == 404
    assert set(await listed(tenant)) == {"b.py"}
    rows = rows_of(api, tenant)
    for table in ("finding", "finding_occurrence", "finding_state", "feedback", "finding_note"):
        assert rows[table] == 1, table
    # A later scan reports it anew.
    await store_scan(api, tenant, *found("a", "b"))
    assert set(await listed(tenant)) == {"a.py", "b.py"}


async def test_a_tenant_leaves_nothing_but_its_log(api: Api) -> None:
    tenant, other, operator = await api.tenant(), await api.tenant(), await api.operator()
    for each in (tenant, other):
        task_id = await store_scan(api, each, *found("a", "b"))
        await judge(each)
        keys = await add_bytes(api, each, task_id)
        assert (await each.client.put("/consent", json={"granted": True})).status_code == 200
    name = api.query("SELECT name FROM securetag.tenant WHERE id = %s", tenant.id)[0][0]
    assert (await tenant.client.delete(f"/tenants/{tenant.id}")).status_code == 403
    assert (await operator.delete(f"/tenants/{tenant.id}")).status_code == 204
    assert (await tenant.client.get("/projects")).status_code == 401
    assert (await operator.delete("/tenants/01920000-aaaa-7000-8000-000000000001")).status_code == 404

    assert rows_of(api, tenant).keys() == {"audit_log", "consent", "erasure_request"}
    query = "SELECT FROM securetag.consent WHERE withdrawn_at IS NULL AND tenant_id = ANY (%s)"
    assert api.query(query, [tenant.id, other.id]) == [()]
    stored = api.app.state.services.storage.all_keys()
    assert sorted(keys) == stored
    # The other tenant has all of its rows, and the name is free again.
    assert set(await listed(other)) == {"a.py", "b.py"}
    assert (await operator.post("/tenants", json={"name": name})).status_code == 201


async def test_the_sweeper_removes_what_nothing_names(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = await api.tenant()
    task_id = await store_scan(api, tenant, *found("a"))
    named = await add_bytes(api, tenant, task_id)
    services = api.app.state.services
    storage = services.storage
    orphans = [
        artifacts.upload_key(tenant.id, "c" * 64),
        artifacts.artifact_key(tenant.id, task_id, 9, "log"),
        f"{artifacts.upload_key(tenant.id, 'd' * 64)}.part-7f00",
    ]
    young = artifacts.upload_key(tenant.id, "e" * 64)
    for key in (*orphans, young):
        storage.put(key, [b"x"], limit=1)
    body = services.incoming_dir / "incoming-abc"
    body.write_bytes(b"half")
    root = Path(str(services.settings.home)) / "artifacts"
    long_ago = time.time() - 2 * STALE_S
    for path in (*(root / key for key in (*orphans, *named)), body):
        os.utime(path, (long_ago, long_ago))
    project = {"name": "second"}
    header = {"Idempotency-Key": "once"}
    assert (await tenant.client.post("/projects", json=project, headers=header)).status_code == 201

    swept = await sweeper.sweep_all(services)
    assert {what: count for what, count in swept.items() if count} == {
        "half-received bodies": 1,
        "stored files without a row": 3,
    }
    assert storage.all_keys() == sorted([*named, young])
    monkeypatch.setattr(sweeper, "IDEMPOTENCY_DAYS", 0)
    assert (await sweeper.sweep_all(services))["expired idempotency keys"] == 1
    again = await tenant.client.post("/projects", json=project, headers=header)
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("kind", "name"),
    [("uploads", "a"), ("outputs", "semgrep.stdout"), ("transcripts", sweeper.TRANSCRIPT)],
)
async def test_bytes_of_a_kind_are_kept_for_so_many_days(api: Api, kind: str, name: str) -> None:
    tenant = await api.tenant()
    task_id = await store_scan(api, tenant, *found("a"))
    upload, artifact = await add_bytes(api, tenant, task_id, name=name)
    services = api.app.state.services
    services.settings.api.retention_days.update({kind: 30})
    try:
        await sweeper.sweep_all(services)
        assert services.storage.all_keys() == sorted([upload, artifact])
        api.query(
            "WITH aged AS (UPDATE securetag.artifact SET created_at = now() - interval '31 days'"
            " WHERE tenant_id = %s) UPDATE securetag.codeaudit_upload"
            " SET created_at = now() - interval '31 days' WHERE tenant_id = %s RETURNING id",
            tenant.id,
            tenant.id,
        )
        assert (await sweeper.sweep_all(services))[f"{kind} past their retention"]
    finally:
        services.settings.api.retention_days.clear()
    assert services.storage.all_keys() == [artifact if kind == "uploads" else upload]
    assert set(await listed(tenant)) == {"a.py"}


async def test_an_erasure_deletes_the_finding_itself_where_that_is_asked_for(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, *found("a", "b"))
    for item in (await tenant.client.get("/findings")).json()["items"]:
        deletes = item["occurrence"]["path"] == "a.py"
        demand = {"finding_id": item["id"], "delete_findings": deletes}
        answer = await tenant.client.post("/erasure", json=demand)
        assert (answer.status_code, answer.json()["deletes_findings"]) == (202, deletes)
    assert set(await listed(tenant)) == {"a.py", "b.py"}
    await erasure.erase_pending(api.settings)
    assert set(await listed(tenant)) == {"b.py"}
