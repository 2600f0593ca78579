"""What plain queries answer is what the models would: the finding list and the scan detail."""

from __future__ import annotations

import json

import pytest
from api_in_process import Api
from owned_rows import OwnedRows, make_owned_rows

from securetag.api.findings import repository as findings
from securetag.api.findings.listing import IN_THE_CODE, FindingFilter
from securetag.api.findings.schemas import to_finding_answer
from securetag.api.paging import make_page
from securetag.api.scans.service import describe_scan
from securetag.db.engine import tenant_transaction
from securetag.records import JsonObject

pytestmark = pytest.mark.anyio


async def list_by_models(api: Api, owned: OwnedRows, limit: int) -> JsonObject:
    async with tenant_transaction(api.engine, owned.tenant.id) as session:
        rows = await findings.list_findings(
            session, FindingFilter(states=IN_THE_CODE), after=None, limit=limit
        )
    items = [to_finding_answer(row, api.settings.triage) for row in rows]
    page: JsonObject = json.loads(make_page(items, limit, [item.id for item in items]).model_dump_json())
    return page


async def test_pages_and_details_are_those_of_the_models(api: Api) -> None:
    owned = await make_owned_rows(api)
    for limit in (50, 1):
        page = (await owned.tenant.client.get("/findings", params={"limit": limit})).json()
        assert page == await list_by_models(api, owned, limit)
        assert bool(page["next_cursor"]) is (limit == 1)
    listed = (await owned.tenant.client.get("/findings")).json()["items"]
    assert [bool(item[name]) for item in listed for name in ("feedback", "suppression", "verdict")].count(
        True
    ) > 4
    for task_id in (owned.ids["task_id"], owned.leased_task_id):
        async with tenant_transaction(api.engine, owned.tenant.id) as session:
            detail = await describe_scan(session, task_id)  # type: ignore[arg-type]
        answer = await owned.tenant.client.get(f"/scans/{task_id}")
        assert answer.json() == json.loads(detail.model_dump_json())
    assert (await owned.tenant.client.get(f"/scans/{owned.ids['finding_id']}")).status_code == 404
