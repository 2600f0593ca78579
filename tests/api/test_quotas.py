"""Quotas: what exceeds one is refused with 429 and the time to wait, and counts for nothing."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from api_in_process import Api, Tenant
from rows import make_finding

from securetag.db import queue
from securetag.records import Decision, Verdict
from securetag.wire.queue import ResultRequest, TriagedFinding

pytestmark = pytest.mark.anyio


@pytest.fixture
def api_settings() -> dict[str, object]:
    return {"reap_s": 3600.0, "quotas": {"scans_a_day": 4}}


async def set_quotas(api: Api, tenant: Tenant, **quotas: int) -> None:
    operator = await api.operator()
    answer = await operator.patch(f"/tenants/{tenant.id}", json={"quotas": quotas})
    assert answer.status_code == 200, answer.text
    assert {k: v for k, v in answer.json()["quotas"].items() if v is not None} == quotas


async def usage(tenant: Tenant) -> dict[str, object]:
    answer = await tenant.client.get("/usage")
    assert answer.status_code == 200
    body = answer.json()
    return {name: part["used"] for name, part in body.items() if isinstance(part, dict)}


async def test_scans_of_a_day_are_counted_exactly_even_at_once(api: Api, archive: bytes) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    answers = await asyncio.gather(*(tenant.upload(archive, project=f"p{i}") for i in range(7)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [202] * 4 + [429] * 3
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["type"] == "urn:securetag:problem:quota"
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert await usage(tenant) == {
        "scans_a_day": 4,
        "bytes_a_day": 4 * len(archive),
        "model_tokens_a_day": 0,
        "open": 4,
        "running": 0,
    }
    assert (await other.upload(archive)).status_code == 202, "one tenant's quota isn't another's"


async def test_a_repeated_call_is_counted_once(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    for _ in range(3):
        assert (await tenant.upload(archive, key="again")).status_code == 202
    assert (await usage(tenant))["scans_a_day"] == 1


async def test_bytes_open_scans_and_the_tenants_own_quotas(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    await set_quotas(api, tenant, bytes_a_day=2 * len(archive) + 1, scans_a_day=100)
    assert [(await tenant.upload(archive, project=f"p{i}")).status_code for i in range(3)] == [202, 202, 429]
    await set_quotas(api, tenant, open=2, scans_a_day=100)
    refused = await tenant.upload(archive)
    assert (refused.status_code, int(refused.headers["Retry-After"]) <= 60) == (429, True)
    task_id = (await tenant.client.get("/codeaudit/index")).json()["items"][0]["task_id"]
    assert (await tenant.client.post(f"/scans/{task_id}/cancel")).status_code == 200
    assert (await tenant.upload(archive)).status_code == 202


async def test_tokens_that_models_used_are_counted(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    task_id = UUID((await tenant.upload(archive)).json()["task_id"])
    await set_quotas(api, tenant, model_tokens_a_day=100)
    # Other tests' tasks wait here too.
    while (claim := await queue.claim(api.engine, "w", ["codeaudit"])) is not None:
        if claim.lease.task_id == task_id:
            break
    assert claim is not None
    verdict = Verdict(decision=Decision.TRUE_POSITIVE, model_id="m", prompt_tokens=90, completion_tokens=10)
    findings = [TriagedFinding(finding=make_finding(), verdict=verdict)]
    assert (await tenant.upload(archive)).status_code == 202
    await queue.record_result(
        api.engine, claim.lease, ResultRequest(task_id=task_id, outcome="completed", findings=findings)
    )
    assert (await usage(tenant))["model_tokens_a_day"] == 100
    assert (await tenant.upload(archive)).status_code == 429


async def test_calls_a_minute(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    await set_quotas(api, tenant, calls_a_minute=5)
    statuses = [(await tenant.client.get("/projects")).status_code for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    refused = await tenant.client.get("/projects")
    assert 1 <= int(refused.headers["Retry-After"]) <= 12
    assert (await other.client.get("/projects")).status_code == 200


async def test_only_an_operator_sets_quotas(api: Api) -> None:
    tenant = await api.tenant()
    answer = await tenant.client.patch(f"/tenants/{tenant.id}", json={"quotas": {"open": 1_000}})
    assert answer.status_code == 403
