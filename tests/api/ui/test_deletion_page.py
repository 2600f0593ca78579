"""The page says what a deletion removes, in both languages, before it removes it."""

from __future__ import annotations

import re

import pytest
from api_in_process import Api
from rows import make_finding
from stored_scans import store_scan
from ui_browser import signed_in

pytestmark = [pytest.mark.anyio, pytest.mark.system]

ID = "[0-9a-f-]{36}"


async def test_finding_scan_and_project_are_deleted_once_the_page_has_named_them(
    api: Api, archive: bytes
) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    await store_scan(api, tenant, make_finding(), branch="main")
    second = await store_scan(
        api, tenant, make_finding(), make_finding("b", path="b.py", title="Other"), branch="main"
    )
    browser, stranger = await signed_in(api, tenant.key), await signed_in(api, other.key)
    analyst = await signed_in(api, await api.key(tenant.id, "read", "scan", "feedback"))

    async def titles() -> list[str]:
        items = (await tenant.client.get("/findings")).json()["items"]
        return sorted(item["title"] for item in items)

    # A finding: from its own page, by an admin of the tenant alone.
    (other_id,) = [
        item["id"]
        for item in (await tenant.client.get("/findings")).json()["items"]
        if item["title"] == "Other"
    ]
    await browser.open(f"/ui/findings/{other_id}")
    (address,) = browser.links(f"/ui/delete/finding/{ID}")
    assert address.endswith(other_id)
    await stranger.open(address)
    assert stranger.page.status_code == 404
    await analyst.open(f"/ui/findings/{other_id}")
    assert analyst.links(f"/ui/delete/finding/{ID}") == []
    await analyst.open(address)
    assert analyst.page.status_code == 403
    page = await browser.open(address)
    assert "Other" in page
    assert "A later scan may report it anew" in page
    token = re.findall(r'name="csrf" value="([^"]+)"', page)[0]
    # A form without the token, or from another session, removes nothing.
    for client, form in (
        (browser.client, {}),
        (stranger.client, {"csrf": token}),
        (analyst.client, {"csrf": token}),
    ):
        assert (await client.post(address, data=form)).status_code == 403
    assert "Other" in await titles()
    await browser.send(other_id)
    assert browser.page.status_code == 200
    assert "Other" not in await titles()
    await browser.open(address)
    assert browser.page.status_code == 404

    # A scan: what another one has reported too stays.
    await browser.open(f"/ui/scans/{second}")
    (address,) = browser.links(f"/ui/delete/scan/{ID}")
    assert "que ningún otro análisis ha comunicado: 0" in await browser.open(f"{address}?lang=es")
    await browser.send(str(second))
    assert (await tenant.client.get(f"/scans/{second}")).status_code == 404
    assert len(await titles()) == 1

    # A project: not while it is scanned, and not without its name.
    running = (await tenant.upload(archive)).json()["task_id"]
    await browser.open(f"/ui/scans/{running}?lang=en")
    (address,) = browser.links(f"/ui/delete/project/{ID}")
    assert "2) and findings (1)" in await browser.open(address)
    assert "not the project&#39;s name" in await browser.send(address, name="another")
    await browser.open(address)
    assert "hasn&#39;t ended" in await browser.send(address, name="shop")
    assert (await tenant.client.post(f"/scans/{running}/cancel")).status_code == 200
    await browser.open(address)
    await browser.send(address, name="shop")
    assert browser.page.status_code == 200
    assert await titles() == []
    assert (await tenant.client.get("/projects")).json()["items"] == []
    actions = [item["action"] for item in (await tenant.client.get("/audit")).json()["items"]]
    assert [action for action in actions if action.endswith(".delete")] == [
        "project.delete",
        "scan.delete",
        "finding.delete",
    ]
