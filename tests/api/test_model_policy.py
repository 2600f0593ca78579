"""Where a tenant's code may go: who says it, who hears it, and what a scan tells that obeyed it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from api_in_process import Api
from fake_queue import PROJECT, zipped
from uuid_utils.compat import uuid7

from securetag.wire.queue import LEASE_HEADER, Lease, ModelMetrics, ResultRequest, ToolExecution

pytestmark = pytest.mark.anyio


async def test_an_admin_sets_the_policy_and_only_of_the_own_tenant(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    (listed,) = (await tenant.client.get("/tenants")).json()["items"]
    assert listed["model_policy"] == "local"
    body = {"model_policy": "operator"}
    changed = await tenant.client.patch(f"/tenants/{tenant.id}", json=body)
    assert (changed.status_code, changed.json()["model_policy"]) == (200, "operator")
    assert (await tenant.client.patch(f"/tenants/{other.id}", json=body)).status_code == 404
    reader = await api.tenant("read", "scan")
    assert (await reader.client.patch(f"/tenants/{reader.id}", json=body)).status_code == 403
    wrong = await tenant.client.patch(f"/tenants/{tenant.id}", json={"model_policy": "anywhere"})
    assert wrong.status_code == 422
    policies = dict(api.query("SELECT id, model_policy FROM securetag.tenant"))
    assert (policies[tenant.id], policies[other.id], policies[reader.id]) == ("operator", "local", "local")
    logged = api.query(
        "SELECT detail FROM securetag.audit_log WHERE tenant_id = %s AND action = 'tenant.change'", tenant.id
    )
    assert logged == [({"model_policy": "operator"},)]


async def test_an_operator_sets_it_for_any_tenant_and_for_new_ones(api: Api) -> None:
    operator, tenant = await api.operator(), await api.tenant()
    changed = await operator.patch(f"/tenants/{tenant.id}", json={"model_policy": "third_party"})
    assert (changed.status_code, changed.json()["id"]) == (200, str(tenant.id))
    assert (await operator.patch(f"/tenants/{uuid7()}", json={"model_policy": "local"})).status_code == 404
    body = {"name": f"new {uuid7()}", "model_policy": "operator"}
    assert (await operator.post("/tenants", json=body)).json()["model_policy"] == "operator"


async def test_a_lease_carries_the_policy_of_the_moment_and_the_scan_says_what_it_refused(api: Api) -> None:
    tenant, worker = await api.tenant(), await api.worker()
    uploaded = await tenant.client.post(
        "/codeaudit/upload",
        files={"file": ("p.zip", zipped(PROJECT))},
        data={"project": "policy"},
    )
    assert uploaded.status_code == 202, uploaded.text
    task_id = uploaded.json()["task_id"]
    await tenant.client.patch(f"/tenants/{tenant.id}", json={"model_policy": "operator"})
    lease = Lease.model_validate_json((await worker.post("/queue/next", json={"worker_id": "w"})).content)
    assert str(lease.task_id) == task_id
    assert lease.params["model_policy"] == "operator"
    refusal = "no model was asked about 1 findings: …"
    run = ToolExecution(
        tool="triage",
        version="compact-6",
        arguments=[],
        exit_code=0,
        duration_s=0.0,
        started_at=datetime.now(UTC),
        metrics=ModelMetrics(refusal=refusal),
    )
    result = ResultRequest(task_id=lease.task_id, outcome="completed", tool_executions=[run])
    stored = await worker.post(
        "/queue/result",
        content=result.model_dump_json(by_alias=True),
        headers={LEASE_HEADER: lease.lease_token, "Content-Type": "application/json"},
    )
    assert stored.status_code == 200, stored.text
    scan = (await tenant.client.get(f"/scans/{task_id}")).json()
    assert scan["not_triaged"] == refusal
    assert "model_policy" not in scan["params"]
