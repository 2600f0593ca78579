"""A scan as SARIF and as CSV."""

from __future__ import annotations

import csv
import io

import pytest
from api_in_process import Api, Tenant
from rows import make_finding

from securetag.api.projects import repository as projects
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.records import Decision, Verdict
from securetag.wire.queue import ResultRequest, TriagedFinding

pytestmark = pytest.mark.anyio


async def make_scan(api: Api, tenant: Tenant, *, completed: bool = True) -> str:
    async with tenant_transaction(api.engine, tenant.id) as session:
        project_id = await projects.ensure_project(session, tenant.id, "shop")
        task_id = await queue.enqueue(session, tenant_id=tenant.id, project_id=project_id, kind="codeaudit")
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    formula = make_finding("a", rank=10, path="=cmd|' /C calc'!A0.py", title="@SUM(1)")
    severe = make_finding("b", rank=900, severity="critical")
    triaged = [
        TriagedFinding(finding=formula),
        TriagedFinding(finding=severe, verdict=Verdict(decision=Decision.FALSE_POSITIVE, model_id="m")),
    ]
    if completed:
        request = ResultRequest(task_id=task_id, outcome="completed", findings=triaged)
        await queue.record_result(api.engine, claim.lease, request)
    return str(task_id)


async def test_sarif_says_who_dismissed_what(api: Api) -> None:
    tenant = await api.tenant()
    task_id = await make_scan(api, tenant)
    answer = await tenant.client.get(f"/scans/{task_id}/sarif")
    assert answer.headers["content-type"] == "application/sarif+json"
    run = answer.json()["runs"][0]
    assert run["properties"]["taskId"] == task_id
    severe = run["results"][0]
    assert (severe["rank"], severe["suppressions"]) == (90.0, []), "a model alone suppresses nothing"
    assert severe["properties"]["verdict"] == "false_positive"
    body = {
        "occurrence_id": severe["properties"]["occurrenceId"],
        "verdict": "false_positive",
        "comment": "constant",
        "saw_model": True,
    }
    path = f"/findings/{severe['properties']['findingId']}/feedback"
    assert (await tenant.client.post(path, json=body)).status_code == 201
    run = (await tenant.client.get(f"/scans/{task_id}/sarif")).json()["runs"][0]
    (suppression,) = run["results"][0]["suppressions"]
    assert suppression["kind"] == "external"
    assert suppression["justification"] == "false positive, says test: constant"


async def test_no_cell_of_the_csv_is_a_formula(api: Api) -> None:
    tenant = await api.tenant()
    task_id = await make_scan(api, tenant)
    answer = await tenant.client.get(f"/scans/{task_id}/findings", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    severe, formula = csv.DictReader(io.StringIO(answer.text))
    assert (severe["severity"], severe["verdict"], severe["by"]) == ("critical", "false_positive", "model")
    assert formula["path"] == "'=cmd|' /C calc'!A0.py"
    assert formula["title"] == "'@SUM(1)"


async def test_only_what_is_completed_and_ones_own_is_exported(api: Api) -> None:
    owner, other = await api.tenant(), await api.tenant()
    done, running = await make_scan(api, owner), await make_scan(api, owner, completed=False)
    for path, params in (("sarif", {}), ("findings", {"format": "csv"})):
        assert (await other.client.get(f"/scans/{done}/{path}", params=params)).status_code == 404
        refused = await owner.client.get(f"/scans/{running}/{path}", params=params)
        assert refused.status_code == 409
        assert "completed" in refused.json()["detail"]
