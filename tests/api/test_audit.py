"""The log of who did what: an admin's alone, of the own tenant alone, page by page."""

from __future__ import annotations

import pytest
from api_in_process import Api

pytestmark = pytest.mark.anyio


async def test_a_tenant_reads_its_own_log_newest_first(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    reader = api.client(await api.key(tenant.id, "read", "scan", "feedback"))
    for granted in (True, False):
        answer = await tenant.client.put("/consent", json={"granted": granted})
        assert answer.status_code == 200
    assert (await reader.get("/audit")).status_code == 403
    page = (await tenant.client.get("/audit")).json()
    actions = [item["action"] for item in page["items"]]
    assert actions[:2] == ["consent.withdraw", "consent.grant"]
    assert page["items"][0]["actor"] == "test"
    assert page["next_cursor"] is None

    walked, cursor = [], None
    while True:
        params = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        page = (await tenant.client.get("/audit", params=params)).json()
        walked += [item["action"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert walked == actions
    grants = (await tenant.client.get("/audit", params={"action": "consent.grant"})).json()["items"]
    assert [item["action"] for item in grants] == ["consent.grant"]
    foreign = (await other.client.get("/audit", params={"action": "consent.grant"})).json()
    assert foreign == {"items": [], "next_cursor": None}
    past = {"cursor": "ffffffff-ffff-ffff-ffff-ffffffffffff", "limit": "200"}
    assert len((await tenant.client.get("/audit", params=past)).json()["items"]) == len(actions)
