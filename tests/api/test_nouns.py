"""Findings and feedback, consent, projects, keys, tenants: what each answers, and to whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from api_in_process import Api, Tenant
from uuid_utils.compat import uuid7

from securetag.api.projects import repository as projects
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.records import Decision, Finding, JsonObject, Verdict
from securetag.wire.queue import ResultRequest, TriagedFinding

pytestmark = pytest.mark.anyio


async def scanned(api: Api, tenant: Tenant, count: int, project: str = "shop") -> str:
    """A completed scan with so many findings; every second one has a verdict."""
    async with tenant_transaction(api.engine, tenant.id) as session:
        project_id = await projects.ensure_project(session, tenant.id, project)
        task_id = await queue.enqueue(session, tenant_id=tenant.id, project_id=project_id, kind="codeaudit")
    while (claim := await queue.claim(api.engine, "w", ["codeaudit"])) is not None:
        if claim.lease.task_id == task_id:
            break
    assert claim is not None
    triaged = [
        TriagedFinding(
            finding=Finding(
                tool="semgrep",
                rule_id=f"r{i % 3}",
                cwe="CWE-89",
                title="t",
                message="m",
                severity="high" if i % 2 else "low",
                confidence="low",
                language="python",
                path=f"{i}.py",
                start_line=1,
                end_line=1,
                snippet="x",
                snippet_line=1,
                scope="",
                fingerprint=f"v1:{i:064x}",
                rank=100 * (i % 3),
            ),
            verdict=Verdict(decision=Decision.FALSE_POSITIVE, model_id="m") if i % 2 else None,
        )
        for i in range(count)
    ]
    await queue.record_result(
        api.engine, claim.lease, ResultRequest(task_id=task_id, outcome="completed", findings=triaged)
    )
    return str(task_id)


async def test_findings_page_by_page(api: Api) -> None:
    tenant = await api.tenant()
    task_id = await scanned(api, tenant, 7)
    for path in ("/findings", f"/scans/{task_id}/findings"):
        seen: list[str] = []
        ranks: list[int] = []
        cursor = None
        while True:
            params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
            page = (await tenant.client.get(path, params=params)).json()
            seen += [item["id"] for item in page["items"]]
            ranks += [item["rank"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 7
        assert ranks == [200, 200, 100, 100, 0, 0, 0]
        for params, count in (
            ({"severity": "high"}, 3),
            ({"verdict": "false_positive"}, 3),
            ({"verdict": "true_positive"}, 0),
            ({"rule_id": "r0"}, 3),
        ):
            assert len((await tenant.client.get(path, params=params)).json()["items"]) == count
        for bad in ({"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"severity": "huge"}, {"rule_id": "\0"}):
            assert (await tenant.client.get(path, params=bad)).status_code == 422


async def test_a_second_scan_is_another_occurrence_of_the_same_findings(api: Api) -> None:
    tenant = await api.tenant()
    await scanned(api, tenant, 4)
    second = await scanned(api, tenant, 4)
    items = (await tenant.client.get("/findings")).json()["items"]
    assert len(items) == 4
    assert {item["occurrence"]["task_id"] for item in items} == {second}


async def test_feedback_is_kept_and_shown(api: Api) -> None:
    tenant = await api.tenant()
    task_id = await scanned(api, tenant, 2)
    item = next(i for i in (await tenant.client.get("/findings")).json()["items"] if i["verdict"])
    path = f"/findings/{item['id']}/feedback"
    shown = {"occurrence_id": item["occurrence"]["id"]}
    words = {"verdict": "true_positive", "disposition": "fix", "comment": "¡sí!"}
    body = {**shown, **words, "saw_model": True}

    first = await tenant.client.post(path, json=body, headers={"Idempotency-Key": "f"})
    again = await tenant.client.post(path, json=body, headers={"Idempotency-Key": "f"})
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    feedback = first.json()
    assert (feedback["reviewer"], feedback["source"], feedback["verdict_id"]) == (
        "test",
        "person",
        item["verdict"]["id"],
    )
    scripted = {**shown, "verdict": "false_positive", "saw_model": False, "source": "script"}
    assert (await tenant.client.post(path, json=scripted)).status_code == 201

    detail = (await tenant.client.get(f"/findings/{item['id']}")).json()
    assert [entry["verdict"] for entry in detail["feedback_history"]] == ["false_positive", "true_positive"]
    assert detail["feedback"] == feedback, "a script's later verdict doesn't hide a person's"
    scan = (await tenant.client.get(f"/scans/{task_id}/findings")).json()["items"]
    assert next(entry["feedback"] for entry in scan if entry["id"] == item["id"]) == feedback
    later = await tenant.client.post(path, json={**body, "verdict": "false_positive"})
    assert (await tenant.client.get(f"/findings/{item['id']}")).json()["feedback"] == later.json()
    for bad in (
        {},
        {**shown, "verdict": "maybe", "saw_model": True},
        {**shown, "verdict": "true_positive"},
        {"verdict": "true_positive", "saw_model": True},
        {**body, "disposition": "ignore"},
        {**body, "comment": "a\0b"},
        {**body, "comment": "x" * 4_001},
        {**body, "colour": "red"},
        {**body, "source": "model"},
    ):
        answer = await tenant.client.post(path, json=bad)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:securetag:problem:invalid-request")
        assert answer.json()["errors"]


async def test_feedback_is_on_the_occurrence_that_was_shown(api: Api) -> None:
    tenant = await api.tenant()
    await scanned(api, tenant, 2)
    first, other = (await tenant.client.get("/findings")).json()["items"]
    path, body = f"/findings/{first['id']}/feedback", {"verdict": "false_positive", "saw_model": False}

    async def give(occurrence: JsonObject, **headers: str) -> httpx.Response:
        return await tenant.client.post(
            path, json={**body, "occurrence_id": occurrence["id"]}, headers=headers
        )

    given = await give(first["occurrence"], **{"Idempotency-Key": "before"})
    assert (given.status_code, given.json()["occurrence_id"]) == (201, first["occurrence"]["id"])
    assert (await give(other["occurrence"])).status_code == 404
    assert (await give({"id": str(uuid7())})).status_code == 404

    await scanned(api, tenant, 2)
    late = await give(first["occurrence"])
    assert (late.status_code, late.json()["type"]) == (409, "urn:securetag:problem:conflict")
    assert f"/findings/{first['id']}" in late.json()["hint"]
    # A repeated call that was answered before the scan gets its answer again.
    assert (await give(first["occurrence"], **{"Idempotency-Key": "before"})).json() == given.json()
    newest = (await tenant.client.get(f"/findings/{first['id']}")).json()["occurrence"]
    assert (await give(newest)).status_code == 201
    kept = api.query(
        "SELECT occurrence_id FROM securetag.feedback WHERE finding_id = %s ORDER BY id", first["id"]
    )
    assert [str(occurrence) for (occurrence,) in kept] == [first["occurrence"]["id"], newest["id"]]


async def test_what_is_foreign_is_not_found(api: Api) -> None:
    owner, other = await api.tenant(), await api.tenant()
    task_id = await scanned(api, owner, 1)
    finding_id = (await owner.client.get("/findings")).json()["items"][0]["id"]
    verdict = {"occurrence_id": str(uuid7()), "verdict": "true_positive", "saw_model": False}
    calls = [
        ("GET", f"/scans/{task_id}", None),
        ("GET", f"/scans/{task_id}/findings", None),
        ("POST", f"/scans/{task_id}/cancel", None),
        ("GET", f"/codeaudit/{task_id}", None),
        ("GET", f"/findings/{finding_id}", None),
        ("POST", f"/findings/{finding_id}/feedback", verdict),
        ("GET", f"/scans/{uuid7()}", None),
    ]
    for method, path, body in calls:
        answer = await other.client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:securetag:problem:not-found"), path
    assert (await other.client.get("/findings")).json()["items"] == []
    assert (await other.client.get("/codeaudit/index")).json()["items"] == []


async def test_consent_is_off_until_granted(api: Api) -> None:
    tenant = await api.tenant()
    assert not (await tenant.client.get("/consent")).json()["granted"]
    granted = (await tenant.client.put("/consent", json={"granted": True})).json()
    assert granted["granted"]
    assert granted["consent_id"]
    assert (await tenant.client.put("/consent", json={"granted": True})).json() == granted
    withdrawn = (await tenant.client.put("/consent", json={"granted": False})).json()
    assert (withdrawn["granted"], withdrawn["consent_id"]) == (False, granted["consent_id"])
    assert withdrawn["withdrawn_at"]
    renewed = (await tenant.client.put("/consent", json={"granted": True})).json()
    assert renewed["granted"]
    assert renewed["consent_id"] != granted["consent_id"]
    actions = api.query("SELECT action FROM securetag.audit_log WHERE tenant_id = %s ORDER BY id", tenant.id)
    assert [a for (a,) in actions if a.startswith("consent")] == [
        "consent.grant",
        "consent.withdraw",
        "consent.grant",
    ]


async def test_projects(api: Api) -> None:
    tenant = await api.tenant()
    made = await tenant.client.post("/projects", json={"name": "  tienda ñ "})
    assert (made.status_code, made.json()["name"]) == (201, "tienda ñ")
    assert (await tenant.client.post("/projects", json={"name": "tienda ñ"})).status_code == 409
    for bad in ("", "   ", "a\nb", "a\0b", "x" * 201, 7, None):
        assert (await tenant.client.post("/projects", json={"name": bad})).status_code == 422
    assert [p["name"] for p in (await tenant.client.get("/projects")).json()["items"]] == ["tienda ñ"]
    # Another tenant may have one of the same name.
    assert (await (await api.tenant()).client.post("/projects", json={"name": "tienda ñ"})).status_code == 201


async def test_each_scope_opens_its_own_doors(api: Api) -> None:
    tenant = await api.tenant()
    calls = {
        "read": ("GET", "/findings", None),
        "scan": ("POST", "/projects", {"name": str(uuid4())}),
        "feedback": (
            "POST",
            f"/findings/{uuid7()}/feedback",
            {"occurrence_id": str(uuid7()), "verdict": "true_positive", "saw_model": True},
        ),
        "worker": ("POST", "/queue/next", {"worker_id": "w"}),
        "admin": ("GET", "/keys", None),
    }
    for scope in calls:
        client = api.client(await api.key(tenant.id, scope))
        for needed, (method, path, body) in calls.items():
            status = (await client.request(method, path, json=body)).status_code
            opens = scope == needed or (scope == "admin" and needed != "worker")
            assert (status != 403) is opens, (scope, needed, status)


async def test_keys_are_made_shown_once_and_revoked(api: Api) -> None:
    tenant = await api.tenant()
    body = {"name": "ci", "scopes": ["scan", "read"]}
    first = await tenant.client.post("/keys", json=body, headers={"Idempotency-Key": "k"})
    again = await tenant.client.post("/keys", json=body, headers={"Idempotency-Key": "k"})
    made = first.json()
    assert (first.status_code, made["scopes"]) == (201, ["read", "scan"])
    assert made["key"].startswith(f"stk_{made['prefix']}_")
    assert (again.status_code, again.json()) == (201, {**made, "key": None})
    stored = api.query("SELECT response::text FROM securetag.idempotency_key WHERE key = 'k'")
    assert made["key"] not in str(stored)

    client = api.client(made["key"])
    assert (await client.get("/projects")).status_code == 200
    assert (await client.get("/keys")).status_code == 403
    assert (await tenant.client.delete(f"/keys/{made['id']}")).status_code == 204
    assert (await client.get("/projects")).status_code == 401
    assert (await tenant.client.delete(f"/keys/{uuid7()}")).status_code == 404
    listed = (await tenant.client.get("/keys")).json()["items"]
    assert [bool(key["revoked_at"]) for key in listed] == [False, True]
    assert all("key" not in key and "digest" not in key for key in listed)
    short = (await tenant.client.post("/keys", json={**body, "expires_at": "2199-01-01T00:00:00Z"})).json()
    assert (await api.client(short["key"]).get("/projects")).status_code == 200
    api.query(
        "UPDATE securetag.api_key SET expires_at = now() - interval '1 s' WHERE id = %s RETURNING id",
        short["id"],
    )
    assert (await api.client(short["key"]).get("/projects")).status_code == 401


async def test_a_key_is_replaced_with_or_without_an_overlap(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    body = {"name": "ci", "scopes": ["read"], "expires_at": "2100-01-01T00:00:00Z"}
    old = (await tenant.client.post("/keys", json=body)).json()
    address = f"/keys/{old['id']}/rotate"
    first = await tenant.client.post(address, json={"overlap_hours": 2}, headers={"Idempotency-Key": "r"})
    again = await tenant.client.post(address, json={"overlap_hours": 2}, headers={"Idempotency-Key": "r"})
    new = first.json()
    assert (first.status_code, again.json()) == (201, {**new, "key": None})
    assert [new[name] for name in body] == list(body.values())
    for key in (old, new):
        assert (await api.client(key["key"]).get("/projects")).status_code == 200, "both open meanwhile"
    listed = {key["id"]: key for key in (await tenant.client.get("/keys")).json()["items"]}
    left = datetime.fromisoformat(listed[old["id"]]["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=1.9) < left <= timedelta(hours=2)

    newest = (await tenant.client.post(f"/keys/{new['id']}/rotate", json={})).json()
    statuses = [(await api.client(key["key"]).get("/projects")).status_code for key in (new, newest)]
    assert statuses == [401, 200], "without an overlap the old one ends at once"
    assert (await tenant.client.post(f"/keys/{new['id']}/rotate", json={})).status_code == 409
    assert (await tenant.client.post(address, json={"overlap_hours": -1})).status_code == 422
    assert (await other.client.post(f"/keys/{newest['id']}/rotate", json={})).status_code == 404


async def test_an_administrator_cant_get_a_workers_key_by_replacing_it(api: Api) -> None:
    tenant = await api.tenant()
    worker = await api.key(tenant.id, "worker")
    (worker_id,) = [
        key["id"]
        for key in (await tenant.client.get("/keys")).json()["items"]
        if key["prefix"] == worker[4:16]
    ]
    assert (await tenant.client.post(f"/keys/{worker_id}/rotate", json={})).status_code == 403


async def test_nobody_gives_away_what_they_lack(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    worker = {"name": "x", "scopes": ["worker"]}
    assert (await tenant.client.post("/keys", json=worker)).status_code == 403
    foreign = {"name": "x", "scopes": ["read"], "tenant_id": str(other.id)}
    assert (await tenant.client.post("/keys", json=foreign)).status_code == 404
    assert (await tenant.client.post("/tenants", json={"name": "mine"})).status_code == 403
    assert [t["id"] for t in (await tenant.client.get("/tenants")).json()["items"]] == [str(tenant.id)]


async def test_an_operator_makes_tenants_and_their_first_keys(api: Api) -> None:
    operator = await api.operator()
    name = f"new {uuid4()}"
    made = await operator.post("/tenants", json={"name": name}, headers={"Idempotency-Key": "t"})
    again = await operator.post("/tenants", json={"name": name}, headers={"Idempotency-Key": "t"})
    assert (made.status_code, again.json()) == (201, made.json())
    assert (await operator.post("/tenants", json={"name": name})).status_code == 409
    tenant_id = made.json()["id"]
    key = {"name": "first", "scopes": ["admin"], "tenant_id": tenant_id}
    first = (await operator.post("/keys", json=key)).json()
    assert first["tenant_id"] == tenant_id
    client = api.client(first["key"])
    assert [t["name"] for t in (await client.get("/tenants")).json()["items"]] == [name]
    assert (await operator.post("/keys", json={**key, "tenant_id": str(uuid7())})).status_code == 404
    listed_ids: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await operator.get("/tenants", params=params)).json()
        listed_ids += [t["id"] for t in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert tenant_id in listed_ids
    assert len(listed_ids) == len(set(listed_ids)) == api.rows()["tenant"]
