"""Targets and scans of web applications: what has to be proven, and what is refused until it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_in_process import Api, Tenant
from txt_records import serve_txt
from web_shops import HTML, Shop, serve, vulnerable_shop

from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.states import State
from securetag.records import JsonObject

pytestmark = [pytest.mark.anyio, pytest.mark.sockets]

RECORDS: dict[str, list[str]] = {}
FILE = "/.well-known/securetag-verification.txt"


@pytest.fixture(scope="module")
def dns_server() -> Iterator[str]:
    with serve_txt(RECORDS) as address:
        yield address


@pytest.fixture
def web_settings(dns_server: str) -> dict[str, object]:
    RECORDS.clear()
    return {"dns_servers": [dns_server], "allow_loopback": True}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with serve(vulnerable_shop(tmp_path)) as running:
        yield running


async def add(tenant: Tenant, url: str) -> JsonObject:
    answer = await tenant.client.post("/targets", json={"url": url})
    assert answer.status_code == 201, answer.text
    target: JsonObject = answer.json()
    return target


def publish(shop: Shop, text: str, status: int = 200) -> None:
    shop.pages[FILE] = lambda query, body: (status, {"Content-Type": "text/plain"}, text)


async def test_a_file_proves_a_target_and_opens_it_to_scans(api: Api, shop: Shop) -> None:
    tenant = await api.tenant()
    target = await add(tenant, f"{shop.url}/some/page?x=1")
    assert (target["origin"], target["verified"]) == (shop.url, False)
    assert target["proof"]["dns_name"] is None
    assert target["proof"]["file_url"] == f"{shop.url}{FILE}"
    url = f"{shop.url}/start"
    early = await tenant.client.post("/scans/web", json={"url": url})
    assert early.status_code == 409
    assert f"/targets/{target['id']}/verify" in early.json()["hint"]

    publish(shop, f"# for Securetag\n{target['proof']['text']}\n")
    verified = await tenant.client.post(f"/targets/{target['id']}/verify")
    assert verified.status_code == 200, verified.text
    assert (verified.json()["verified"], verified.json()["verified_by"]) == (True, "file")

    headers = {"Idempotency-Key": "scan-1"}
    accepted = await tenant.client.post("/scans/web", json={"url": url, "lang": "es"}, headers=headers)
    assert accepted.status_code == 202, accepted.text
    task = accepted.json()["task_id"]
    assert accepted.headers["Location"] == f"/scans/{task}"
    again = await tenant.client.post("/scans/web", json={"url": url, "lang": "es"}, headers=headers)
    assert (again.status_code, again.json()["task_id"]) == (202, task)
    scan = (await tenant.client.get(f"/scans/{task}")).json()
    assert (scan["kind"], scan["state"], scan["project"]) == ("web", "queued", "127.0.0.1")
    assert scan["params"] == {"url": url, "origin": shop.url, "lang": "es"}
    listed = (await tenant.client.get("/scans/web")).json()["items"]
    assert [item["task_id"] for item in listed] == [task]
    assert (await tenant.client.get("/codeaudit/index")).json()["items"] == []
    actions = api.query("SELECT action FROM securetag.audit_log WHERE tenant_id = %s ORDER BY id", tenant.id)
    assert actions[-2:] == [("target.add",), ("target.verify",)]


async def test_a_dns_record_proves_a_target(api: Api) -> None:
    tenant = await api.tenant()
    target = await add(tenant, "https://shop.example")
    name, text = target["proof"]["dns_name"], target["proof"]["text"]
    assert name == "_securetag-verification.shop.example"
    RECORDS[name] = ["v=spf1 -all", text + "x"]
    wrong = await tenant.client.post(f"/targets/{target['id']}/verify")
    assert wrong.status_code == 409
    assert f"the TXT records of {name} hold another text" in wrong.json()["detail"]
    assert text in wrong.json()["hint"]
    RECORDS[name] = ["v=spf1 -all", text]
    verified = (await tenant.client.post(f"/targets/{target['id']}/verify")).json()
    assert (verified["verified"], verified["verified_by"]) == (True, "dns")


@pytest.mark.parametrize(
    ("status", "text", "detail"),
    [
        pytest.param(404, "", "answers 404", id="no file"),
        pytest.param(200, "securetag-verification=other", "holds another text", id="another token"),
        pytest.param(200, "x{text}", "holds another text", id="the token inside a line"),
        pytest.param(200, "x" * 5_000 + "\n{text}", "holds another text", id="the token too far down"),
    ],
)
async def test_another_file_proves_nothing(api: Api, shop: Shop, status: int, text: str, detail: str) -> None:
    tenant = await api.tenant()
    target = await add(tenant, shop.url)
    publish(shop, text.replace("{text}", target["proof"]["text"]), status)
    answer = await tenant.client.post(f"/targets/{target['id']}/verify")
    assert (answer.status_code, detail in answer.json()["detail"]) == (409, True)


async def test_a_redirect_proves_nothing(api: Api, shop: Shop) -> None:
    tenant = await api.tenant()
    target = await add(tenant, shop.url)
    publish(shop, target["proof"]["text"])
    shop.pages["/proof"] = shop.pages[FILE]
    shop.pages[FILE] = lambda query, body: (302, {**HTML, "Location": "/proof"}, "")
    answer = await tenant.client.post(f"/targets/{target['id']}/verify")
    assert (answer.status_code, "answers 302" in answer.json()["detail"]) == (409, True)


class TestWithoutLoopback:
    """As a deployment is: nobody has the api look at its own network."""

    @pytest.fixture
    def web_settings(self, dns_server: str) -> dict[str, object]:
        return {"dns_servers": [dns_server]}

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"])
    async def test_a_file_inside_is_not_looked_at(self, api: Api, shop: Shop, host: str) -> None:
        tenant = await api.tenant()
        target = await add(tenant, f"http://{host}:{shop.server_address[1]}")
        publish(shop, target["proof"]["text"])
        answer = await tenant.client.post(f"/targets/{target['id']}/verify")
        assert answer.status_code == 409
        assert "is not a public address" in answer.json()["detail"]
        assert shop.requests == []


async def verified(api: Api, tenant: Tenant, shop: Shop) -> JsonObject:
    target = await add(tenant, shop.url)
    publish(shop, target["proof"]["text"])
    assert (await tenant.client.post(f"/targets/{target['id']}/verify")).status_code == 200
    return target


async def test_a_target_belongs_to_one_tenant(api: Api, shop: Shop) -> None:
    """Each proves for itself: another tenant's proof, target and id are worth nothing."""
    first, second = await api.tenant(), await api.tenant()
    target = await verified(api, first, shop)
    assert (await second.client.get("/targets")).json()["items"] == []
    refused = await second.client.post("/scans/web", json={"url": shop.url})
    assert (refused.status_code, refused.json()["type"]) == (404, "urn:securetag:problem:not-found")
    assert "POST /targets" in refused.json()["hint"]
    assert (await second.client.post(f"/targets/{target['id']}/verify")).status_code == 404
    assert (await second.client.delete(f"/targets/{target['id']}")).status_code == 404
    other = await add(second, shop.url)
    assert other["proof"]["text"] != target["proof"]["text"]
    assert (await second.client.post(f"/targets/{other['id']}/verify")).status_code == 409


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1:{port}0", id="another port"),
        pytest.param("https://127.0.0.1:{port}", id="another scheme"),
        pytest.param("http://localhost:{port}", id="another name of the same machine"),
        pytest.param("http://127.0.0.1.other.example:{port}", id="a longer name"),
    ],
)
async def test_only_the_proven_origin_is_scanned(api: Api, shop: Shop, url: str) -> None:
    tenant = await api.tenant()
    await verified(api, tenant, shop)
    port = str(shop.server_address[1])
    port = port[:-1] if url.endswith("0") else port
    answer = await tenant.client.post("/scans/web", json={"url": url.replace("{port}", port)})
    assert answer.status_code == 404, answer.text


async def test_a_proof_does_not_last_for_ever(api: Api, shop: Shop) -> None:
    tenant = await api.tenant()
    target = await verified(api, tenant, shop)
    async with tenant_transaction(api.engine, tenant.id) as session:
        from sqlalchemy import text

        await session.execute(
            text("UPDATE securetag.web_target SET verified_at = verified_at - interval '91 days'")
        )
    shown = (await tenant.client.get("/targets")).json()["items"]
    assert [(item["id"], item["verified"]) for item in shown] == [(target["id"], False)]
    assert (await tenant.client.post("/scans/web", json={"url": shop.url})).status_code == 409


async def test_one_scan_of_a_target_at_a_time(api: Api, shop: Shop) -> None:
    tenant = await api.tenant()
    await verified(api, tenant, shop)
    first = (await tenant.client.post("/scans/web", json={"url": shop.url})).json()["task_id"]
    second = await tenant.client.post("/scans/web", json={"url": f"{shop.url}/other"})
    assert (second.status_code, first in second.json()["detail"]) == (409, True)
    assert (await tenant.client.post(f"/scans/{first}/cancel")).json()["state"] == State.CANCELLED
    assert (await tenant.client.post("/scans/web", json={"url": shop.url})).status_code == 202


async def test_a_removed_target_is_scanned_no_more(api: Api, shop: Shop) -> None:
    tenant = await api.tenant()
    target = await verified(api, tenant, shop)
    assert (await tenant.client.post("/targets", json={"url": shop.url})).status_code == 409
    assert (await tenant.client.delete(f"/targets/{target['id']}")).status_code == 204
    assert (await tenant.client.post("/scans/web", json={"url": shop.url})).status_code == 404
    assert (await add(tenant, shop.url))["verified"] is False


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "http://2130706433", "https://u:p@a.example", "no url", "http://a\u0000b", ""]
)
async def test_what_is_no_target_is_refused(api: Api, url: str) -> None:
    tenant = await api.tenant()
    for path in ("/targets", "/scans/web"):
        answer = await tenant.client.post(path, json={"url": url})
        assert answer.status_code == 422, answer.text


async def test_the_scopes_are_those_of_uploads(api: Api) -> None:
    reader = await api.tenant("read")
    for path in ("/targets", "/scans/web"):
        assert (await reader.client.post(path, json={"url": "https://a.example"})).status_code == 403
        assert (await reader.client.get(path)).status_code == 200
        assert (await api.client().post(path, json={"url": "https://a.example"})).status_code == 401


async def test_a_worker_gets_the_url(api: Api, shop: Shop) -> None:
    tenant = await api.tenant()
    await verified(api, tenant, shop)
    await tenant.client.post("/scans/web", json={"url": shop.url})
    claim = await queue.claim(api.engine, "w", ["web"])
    while claim is not None and claim.params.get("origin") != shop.url:
        claim = await queue.claim(api.engine, "w", ["web"])
    assert claim is not None
    assert claim.params["url"] == shop.url
