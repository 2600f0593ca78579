"""A scan that goes on: events on the page and over the api, files of its tools."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from api_in_process import Api, Tenant
from rows import make_finding
from stored_scans import store_scan
from ui_browser import signed_in

from securetag.api import streams
from securetag.api.scans import following
from securetag.api.services import ApiServices
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.repositories.keys import authenticate, revoke_key
from securetag.wire import queue as wire
from securetag.wire.api import ScanDetail

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _poll_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_S", 0.02)


def services_of(api: Api) -> ApiServices:
    services: ApiServices = api.app.state.services
    return services


async def follow(api: Api, tenant: Tenant, task_id: UUID) -> AsyncIterator[bytes]:
    services = services_of(api)
    caller = await authenticate(api.engine, tenant.key, services.peppers)
    return following.follow_scan(services, caller, task_id, lambda scan, _: f"{scan.state} {scan.stage}")


async def next_event(events: AsyncIterator[bytes]) -> str:
    """The data of the next event; `end` for the last."""
    while True:
        lines = (await asyncio.wait_for(anext(events), 10)).decode().splitlines()
        if lines[0].startswith("event: "):
            name = lines[0].removeprefix("event: ")
            return name if name == "end" else lines[1].removeprefix("data: ")


async def test_each_change_of_a_scan_is_an_event_and_the_last_one_says_so(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    task_id = UUID((await tenant.upload(archive)).json()["task_id"])
    events = await follow(api, tenant, task_id)
    assert await next_event(events) == "queued "
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    assert await next_event(events) == "running "
    async with tenant_transaction(api.engine, tenant.id) as session:
        await queue.heartbeat(session, claim.lease, stage="semgrep 1/2 files")
    assert await next_event(events) == "running semgrep 1/2 files"
    async with tenant_transaction(api.engine, tenant.id) as session:
        await queue.cancel(session, task_id)
    assert (await next_event(events)).startswith("cancelled")
    assert await next_event(events) == "end"
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_stream_ends_with_the_key_and_with_the_process(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    task_id = UUID((await tenant.upload(archive)).json()["task_id"])
    services = services_of(api)
    caller = await authenticate(api.engine, tenant.key, services.peppers)
    for end_it in ("key", "process"):
        events = await follow(api, tenant, task_id)
        assert await next_event(events) == "queued "
        if end_it == "process":
            services.streams.closing.set()
        else:
            other = await api.key(tenant.id, "read")
            tenant = Tenant(tenant.id, other, api.client(other))
            async with tenant_transaction(api.engine, tenant.id) as session:
                await revoke_key(session, tenant.id, caller.key_id, actor="test")
        with pytest.raises(StopAsyncIteration):
            await next_event(events)
    async with tenant_transaction(api.engine, tenant.id) as session:
        await queue.cancel(session, task_id)


async def test_a_completed_scan_is_one_event(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    task_id = await store_scan(api, tenant, make_finding())
    answer = await tenant.client.get(f"/scans/{task_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, last = answer.text.strip().split("\n\n")
    scan = ScanDetail.model_validate_json(first.split("data: ", 1)[1].split("\nretry:")[0])
    assert (scan.state, scan.findings) == ("completed", 1)
    assert last.startswith("event: end")
    page = await (await signed_in(api, tenant.key)).open(f"/ui/scans/{task_id}/events")
    assert "data: <section" in page
    for stranger in (other.client, (await signed_in(api, other.key)).client):
        for root in ("/scans", "/ui/scans"):
            assert (await stranger.get(f"{root}/{task_id}/events")).status_code in {303, 401, 404}


async def test_so_many_streams_are_served_and_no_more(
    api: Api, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_OF_TENANT", 1)
    tenant, other = await api.tenant(), await api.tenant()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    second = (await other.upload(archive)).json()["task_id"]
    open_one = asyncio.create_task(tenant.client.get(f"/scans/{task_id}/events"))
    while (answer := await tenant.client.get(f"/scans/{second}/events")).status_code != 404:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    refused = await tenant.client.get(f"/scans/{task_id}/events")
    assert refused.status_code == 503
    assert "followed at once" in refused.json()["detail"]
    assert answer.status_code == 404
    for client, waiting in ((tenant.client, task_id), (other.client, second)):
        await client.post(f"/scans/{waiting}/cancel")
    assert (await open_one).text.rstrip().endswith("retry: 2000")
    again = await tenant.client.get(f"/scans/{task_id}/events")
    assert again.status_code == 200, "the place is free again"


async def test_what_tools_wrote_is_read_by_their_tenant_alone(api: Api, archive: bytes) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    worker = await api.worker()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    claim = {"worker_id": "w", "kinds": ["codeaudit"], "wait_s": 0}
    lease = (await worker.post("/queue/next", json=claim)).json()
    content = b"<script>alert(1)</script>\x00\xff"
    sent = await worker.put(
        f"/queue/tasks/{task_id}/artifacts/semgrep.stdout",
        content=content,
        headers={
            "X-Lease-Token": lease["lease_token"],
            "X-Content-SHA256": hashlib.sha256(content).hexdigest(),
        },
    )
    assert sent.status_code == 200, sent.text
    listed = (await tenant.client.get(f"/scans/{task_id}/artifacts")).json()["items"]
    assert [(item["name"], item["size"]) for item in listed] == [("semgrep.stdout", len(content))]
    browser = await signed_in(api, tenant.key)
    text = await browser.open(f"/ui/scans/{task_id}")
    (link,) = browser.links(r"/ui/scans/[^\"]*/artifacts/[^\"]*")
    assert "semgrep.stdout" in text
    for answer in (await browser.client.get(link), await tenant.client.get(link.removeprefix("/ui"))):
        assert answer.content == content
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
    foreign = await signed_in(api, other.key)
    assert (await foreign.client.get(link)).status_code == 404
    assert (await other.client.get(link.removeprefix("/ui"))).status_code == 404
    assert (await other.client.get(f"/scans/{task_id}/artifacts")).status_code == 404
    assert (await tenant.client.get(f"/scans/{task_id}/artifacts/other")).status_code == 404


async def test_findings_are_shown_while_a_model_is_asked(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    request = wire.FindingsRequest(
        task_id=claim.lease.task_id,
        findings=[wire.TriagedFinding(finding=make_finding(title="<b>x"), awaits_verdict=True)],
    )
    await queue.record_findings(api.engine, claim.lease, request)
    browser = await signed_in(api, tenant.key)
    assert "1 being triaged" in await browser.open(f"/ui/scans/{task_id}")
    page = await browser.open(f"/ui/scans/{task_id}/findings")
    assert "&lt;b&gt;x" in page
    assert "being triaged" in page
    (link,) = browser.links(r"/ui/findings/[0-9a-f-]{36}")
    assert "&lt;b&gt;x" in await browser.open(link)
    async with tenant_transaction(api.engine, tenant.id) as session:
        await queue.cancel(session, claim.lease.task_id)
    assert "being triaged" not in await browser.open(f"/ui/scans/{task_id}/findings")


async def test_every_early_finding_is_on_some_page(api: Api, archive: bytes) -> None:
    tenant = await api.tenant()
    task_id = (await tenant.upload(archive)).json()["task_id"]
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    request = wire.FindingsRequest(
        task_id=claim.lease.task_id,
        findings=[
            wire.TriagedFinding(finding=make_finding(f"f{number}", path=f"{number}.py"), awaits_verdict=True)
            for number in range(450)
        ],
    )
    await queue.record_findings(api.engine, claim.lease, request)
    browser = await signed_in(api, tenant.key)
    first = f"/ui/scans/{task_id}/findings"
    spanish = await browser.client.get(first, headers={"Accept-Language": "es"})
    assert "Página siguiente" in spanish.text
    pages: list[list[str]] = []
    address: str | None = first
    while address is not None:
        await browser.open(address)
        pages.append(browser.links(r"/ui/findings/[0-9a-f-]{36}"))
        address = next(iter(browser.links(rf"{first}\?cursor=[0-9a-f-]{{36}}")), None)
    assert [len(links) for links in pages] == [200, 200, 50]
    assert len({link for links in pages for link in links}) == 450
    assert browser.links(first) == [first]
