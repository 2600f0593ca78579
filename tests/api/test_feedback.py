"""How a verdict was given, withdrawal, bulk decisions, assignee and notes, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest
from api_in_process import Api, Tenant
from rows import make_finding
from stored_scans import store_scan

from securetag.db.repositories.keys import create_key
from securetag.records import CodeIdentity, CodeTerm
from securetag.settings import LOCAL_PEPPER

pytestmark = pytest.mark.anyio

TP, FP = "true_positive", "false_positive"


async def named(api: Api, tenant_id: UUID, name: str, *scopes: str) -> httpx.AsyncClient:
    """A client whose key has this name."""
    return api.client(
        await create_key(api.engine, tenant_id, name, scopes or ("read", "feedback"), LOCAL_PEPPER)
    )


async def listed(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/findings", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def judge(
    client: httpx.AsyncClient, item: dict[str, Any], verdict: str, *, saw_model: bool = False
) -> dict[str, Any]:
    body = {"occurrence_id": item["occurrence"]["id"], "verdict": verdict, "saw_model": saw_model}
    answer = await client.post(f"/findings/{item['id']}/feedback", json=body)
    assert answer.status_code == 201, answer.text
    given: dict[str, Any] = answer.json()
    return given


def bulk_body(items: list[dict[str, Any]], verdict: str = FP) -> dict[str, Any]:
    shown = [{"finding_id": item["id"], "occurrence_id": item["occurrence"]["id"]} for item in items]
    return {"findings": shown, "verdict": verdict, "saw_model": True, "comment": "generated"}


@pytest.fixture
async def tenant(api: Api) -> Tenant:
    made = await api.tenant()
    names = [make_finding(f"f{n}", title=f"Issue {n}", path=f"app/f{n}.py", rank=900 - n) for n in range(4)]
    await store_scan(api, made, *names, branch="main")
    return made


async def test_how_a_verdict_was_given_is_said_everywhere(api: Api, tenant: Tenant) -> None:
    client = tenant.client
    first, second, *others = await listed(client)
    assert (await judge(client, first, TP))["mode"] == "blind"
    assert (await judge(client, second, TP, saw_model=True))["mode"] == "assisted"
    answer = await client.post("/findings/feedback", json=bulk_body(others))
    assert (answer.status_code, answer.json()["findings"]) == (201, 2)
    items = await listed(client)
    assert [item["feedback"]["mode"] for item in items] == ["blind", "assisted", "bulk", "bulk"]
    assert {item["feedback"]["bulk_id"] for item in items[2:]} == {answer.json()["bulk_id"]}
    task_id = first["occurrence"]["task_id"]
    table = (await client.get(f"/scans/{task_id}/findings?format=csv")).text
    assert [table.count(f'"{mode}"') for mode in ("blind", "assisted", "bulk")] == [1, 1, 2]
    sarif = (await client.get(f"/scans/{task_id}/sarif")).json()
    modes = [result["properties"]["mode"] for result in sarif["runs"][0]["results"]]
    assert sorted(modes) == ["assisted", "blind", "bulk", "bulk"]


async def test_a_withdrawn_verdict_counts_nowhere_and_stays_in_the_record(api: Api, tenant: Tenant) -> None:
    client = tenant.client
    item = (await listed(client))[0]
    address = f"/findings/{item['id']}"
    first_verdict = await judge(client, item, FP)
    two = await judge(client, item, TP)
    for given, standing in ((two, FP), (two, FP), (first_verdict, None)):
        answer = await client.delete(f"{address}/feedback/{given['id']}")
        assert (answer.status_code, answer.json()["withdrawn_by"]) == (200, "test"), answer.text
        now = (await client.get(address)).json()
        assert (now["feedback"] and now["feedback"]["verdict"]) == standing
    assert [bool(row["withdrawn_at"]) for row in now["feedback_history"]] == [True, True]
    assert [item["id"] for item in await listed(client, reviewed="true")] == []
    assert api.query("SELECT count(*) FROM securetag.feedback WHERE tenant_id = %s", tenant.id) == [(2,)]
    assert (await client.delete(f"{address}/feedback/{item['id']}")).status_code == 404


@pytest.mark.system
async def test_a_verdict_older_than_the_listed_ones_is_withdrawn_too(api: Api, tenant: Tenant) -> None:
    item = (await listed(tenant.client))[0]
    oldest, *_ = [await judge(tenant.client, item, FP) for _ in range(60)]
    answer = await tenant.client.delete(f"/findings/{item['id']}/feedback/{oldest['id']}")
    assert (answer.status_code, answer.json()["id"]) == (200, oldest["id"]), answer.text


async def test_who_may_withdraw(api: Api, tenant: Tenant) -> None:
    ana, ben = await named(api, tenant.id, "ana"), await named(api, tenant.id, "ben")
    viewer = await named(api, tenant.id, "ana", "read")
    stranger = (await api.tenant()).client
    first, *others = await listed(ana)
    given = await judge(ana, first, FP)
    bulk = (await ana.post("/findings/feedback", json=bulk_body(others))).json()["bulk_id"]
    for address in (f"/findings/{first['id']}/feedback/{given['id']}", f"/findings/feedback/{bulk}"):
        for client, status in ((viewer, 403), (ben, 403), (stranger, 404), (ana, 200), (tenant.client, 200)):
            assert (await client.delete(address)).status_code == status, address
    assert {item["feedback"] for item in await listed(ana)} == {None}


async def test_undoing_a_verdict_on_changed_code_makes_the_older_one_stale_again(
    api: Api, tenant: Tenant
) -> None:
    client = tenant.client
    guarded, changed = (
        make_finding(
            "f0",
            path="app/f0.py",
            rank=900,
            identity=CodeIdentity(digest=name, file=name, statement="s", sink=CodeTerm("run"), guards=guards),
        )
        for name, guards in (("checked", [CodeTerm("is_safe")]), ("open", []))
    )
    await store_scan(api, tenant, guarded, branch="main")
    await judge(client, (await listed(client))[0], FP)
    task_id = await store_scan(api, tenant, changed, branch="main")
    item = (await listed(client))[0]
    assert item["verdict_stale_task_id"] == str(task_id)
    again = await judge(client, item, FP)
    assert (await listed(client))[0]["verdict_stale_task_id"] is None
    # A scan of the same code in between makes no difference.
    await store_scan(api, tenant, changed, branch="main")
    await client.delete(f"/findings/{item['id']}/feedback/{again['id']}")
    now = (await listed(client))[0]
    assert (now["feedback"]["verdict"], now["verdict_stale_task_id"]) == (FP, str(task_id))
    await client.delete(f"/findings/{item['id']}/feedback/{now['feedback']['id']}")
    assert (await listed(client))[0]["verdict_stale_task_id"] is None, "the model judged the newest code"


async def test_a_bulk_decision_is_stored_whole_or_not_at_all(api: Api, tenant: Tenant) -> None:
    client = tenant.client
    items = await listed(client)
    body = bulk_body(items)
    foreign = (await api.tenant()).client
    assert (await foreign.post("/findings/feedback", json=body)).status_code == 404
    swapped = bulk_body(items)
    swapped["findings"][0]["finding_id"], swapped["findings"][1]["finding_id"] = (
        items[1]["id"],
        items[0]["id"],
    )
    assert (await client.post("/findings/feedback", json=swapped)).status_code == 404
    twice = {**body, "findings": body["findings"] + body["findings"][:1]}
    assert (await client.post("/findings/feedback", json=twice)).status_code == 422
    viewer = api.client(await api.key(tenant.id, "read"))
    assert (await viewer.post("/findings/feedback", json=body)).status_code == 403
    await store_scan(api, tenant, make_finding("f0", path="app/f0.py", rank=900), branch="main")
    refused = await client.post("/findings/feedback", json=body)
    assert (refused.status_code, "1 of these" in refused.json()["detail"]) == (409, True)
    assert api.query("SELECT count(*) FROM securetag.feedback WHERE tenant_id = %s", tenant.id) == [(0,)]


async def test_code_that_is_gone_takes_no_verdict(api: Api) -> None:
    tenant = await api.tenant()
    await store_scan(api, tenant, make_finding("a", snippet=""), make_finding("b"))
    items = await listed(tenant.client)
    (gone,) = [item for item in items if not item["occurrence"]["snippet"]]
    body = {"occurrence_id": gone["occurrence"]["id"], "verdict": TP, "saw_model": False}
    for address, sent in (
        (f"/findings/{gone['id']}/feedback", body),
        ("/findings/feedback", bulk_body(items)),
    ):
        answer = await tenant.client.post(address, json=sent)
        assert answer.status_code == 410
        assert answer.json()["type"] == "urn:securetag:problem:gone"
        assert "no code" in answer.json()["detail"]
        assert "Retention" in answer.json()["hint"]


async def test_notes_and_assignee_are_listed_and_filter(api: Api, tenant: Tenant) -> None:
    client = tenant.client
    first, second, *_ = await listed(client)
    viewer = api.client(await api.key(tenant.id, "read"))
    for person, status in ((viewer, 403), ((await api.tenant()).client, 404), (client, 200)):
        changed = await person.patch(f"/findings/{first['id']}", json={"assignee": "ana"})
        assert changed.status_code == status
    assert changed.json()["assignee"] == "ana"
    assert (await client.patch(f"/findings/{first['id']}", json={})).json()["assignee"] == "ana"
    for text in ("look at <b>", "and again"):
        assert (await client.post(f"/findings/{second['id']}/notes", json={"text": text})).status_code == 201
    assert (await viewer.post(f"/findings/{second['id']}/notes", json={"text": "x"})).status_code == 403
    assert (await client.post(f"/findings/{second['id']}/notes", json={"text": " "})).status_code == 422
    notes = (await client.get(f"/findings/{second['id']}")).json()["notes"]
    assert [(note["text"], note["author"]) for note in notes] == [
        ("look at <b>", "test"),
        ("and again", "test"),
    ]
    for query, expected in (
        ({"assignee": "ana"}, [first]),
        ({"assigned": "true"}, [first]),
        ({"noted": "true"}, [second]),
    ):
        assert [item["id"] for item in await listed(client, **query)] == [item["id"] for item in expected]
    assert len(await listed(client, assigned="false", noted="false")) == 2
    cleared = await client.patch(f"/findings/{first['id']}", json={"assignee": None})
    assert cleared.json()["assignee"] is None


async def test_what_is_new_since_a_time_or_a_scan(api: Api, tenant: Tenant) -> None:
    client = tenant.client
    first = (await listed(client))[0]
    again = [make_finding(f"f{n}", path=f"app/f{n}.py") for n in range(4)]
    await store_scan(api, tenant, *again, make_finding("late", title="Late"), branch="main")

    async def titles(since: str) -> list[str]:
        return [item["title"] for item in await listed(client, since=since)]

    late = await titles(first["occurrence"]["task_id"])
    assert late == ["Late"]
    assert len(await titles("2026-01-01")) == 5
    assert await titles("2999-01-01T00:00:00Z") == []
    for bad, status in (("soon", 422), (first["id"], 404)):
        assert (await client.get("/findings", params={"since": bad})).status_code == status
