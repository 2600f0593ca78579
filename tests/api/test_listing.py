"""The narrow rows that lists read say what the tables that they are made from say, after every change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, cycle, pairwise
from typing import Any
from uuid import UUID

import pytest
from api_in_process import Api, Tenant
from rows import make_finding
from stored_scans import store_scan

from securetag.api.findings import repository as findings
from securetag.api.findings.listing import IN_THE_CODE, FindingFilter, list_ids
from securetag.db.engine import tenant_transaction
from securetag.db.models import Finding
from securetag.records import Decision, RuleMatch

# Hundreds of queries, each of which is built anew.
pytestmark = [pytest.mark.anyio, pytest.mark.system]

FILTERS: list[dict[str, Any]] = [
    {"severity": "high"},
    {"severity": "low"},
    {"decision": "true_positive"},
    {"decision": "false_positive"},
    {"rule_id": "python.sql-injection"},
    {"confidence": "medium"},
    {"cwe": "CWE-89"},
    {"cwe": "CWE-943"},
    {"path": "app/"},
    {"path": "app/%"},
    {"suppressed": True},
    {"suppressed": False},
    {"reviewed": True},
    {"reviewed": False},
    {"disagree": True},
    {"disagree": False},
    {"since": datetime.now(UTC) - timedelta(days=1)},
    {"since": datetime.now(UTC) + timedelta(days=1)},
    {"since": UUID(int=0)},
    {"assignee": "ada"},
    {"assigned": True},
    {"assigned": False},
    {"noted": True},
    {"noted": False},
    {"text": "SQL"},
    {"text": "100%_"},
]
STATES: list[dict[str, Any]] = [
    {"states": IN_THE_CODE},
    {"states": frozenset({"fixed"})},
    {"states": None},
    {"states": IN_THE_CODE, "branch": "main"},
    {"states": frozenset({"new", "fixed"}), "branch": "topic"},
]


def wanted_lists() -> list[FindingFilter]:
    pairs = [one | other for one, other in combinations(FILTERS, 2) if not one.keys() & other.keys()]
    every_state = [FindingFilter(**state) for state in STATES]
    # Not all of each: to build a query costs more than to answer it.
    return every_state + [
        FindingFilter(**state, **fields)
        for state, fields in zip(cycle(STATES), [*FILTERS, *FILTERS, *pairs[::11]], strict=False)
    ]


async def check(api: Api, tenant: Tenant) -> int:
    """Compare each list with the query over the tables themselves; return how many findings they had."""
    total = 0
    async with tenant_transaction(api.engine, tenant.id) as session:
        for wanted in wanted_lists():
            assert wanted.is_listed
            query = findings._by_rank(findings._select(wanted).query, Finding.id, None)
            rows: Sequence[Any] = (await session.execute(query.with_only_columns(Finding.id))).all()
            expected = [row[0] for row in rows]
            assert await list_ids(session, wanted, after=None, limit=100) == expected, wanted
            assert (await findings.count_findings(session, wanted)).total == len(expected), wanted
            total += len(expected)
            for last, following in pairwise(expected):
                assert await list_ids(session, wanted, after=last, limit=1) == [following], wanted
            if len(expected) > 1:
                before, after = None, expected[1]
                assert await findings.find_neighbors(session, wanted, expected[0]) == (before, after), wanted
    return total


async def test_lists_follow_each_change(api: Api) -> None:
    tenant = await api.tenant()
    matches = [
        RuleMatch(tool="b", rule_id="other", cwe="CWE-943", kind="shape", start_line=12, end_line=12),
        RuleMatch(
            tool="semgrep",
            rule_id="python.sql-injection",
            cwe="CWE-89",
            kind="shape",
            start_line=12,
            end_line=12,
        ),
    ]
    first = [
        make_finding("a"),
        make_finding("b", path="lib/100%_x.py", severity="low", rank=5, matches=matches),
        make_finding("c", path="app/%/a.py", confidence="medium", rank=5),
    ]
    await store_scan(api, tenant, *first, branch="main")
    assert await check(api, tenant) > 0
    shown = {item["fingerprint"]: item for item in (await tenant.client.get("/findings")).json()["items"]}
    a, b, c = (shown[finding.fingerprint] for finding in first)

    answer = await tenant.client.post(
        f"/findings/{a['id']}/feedback",
        json={"verdict": "true_positive", "occurrence_id": a["occurrence"]["id"], "saw_model": True},
    )
    assert answer.status_code == 201, answer.text
    await tenant.client.patch(f"/findings/{b['id']}", json={"assignee": "ada"})
    await tenant.client.post(f"/findings/{b['id']}/notes", json={"text": "look"})
    project = (await tenant.client.get("/projects")).json()["items"][0]
    for body in (
        {"finding_id": c["id"], "reason": "test", "occurrence_id": c["occurrence"]["id"]},
        {"project": "shop", "path": "lib/**", "rule_id": "python.sql-injection", "reason": "old"},
    ):
        suppressed = await tenant.client.post("/suppressions", json=body)
        assert suppressed.status_code == 201, suppressed.text
    assert await check(api, tenant) > 0

    # Another branch has other code; the default branch loses one and gets one that is worse.
    await store_scan(api, tenant, make_finding("d", rank=9), first[0], branch="topic", verdict=None)
    worse = make_finding("b", path="lib/100%_x.py", severity="critical", rank=8)
    await store_scan(api, tenant, first[0], worse, branch="main", verdict=Decision.TRUE_POSITIVE)
    assert await check(api, tenant) > 0
    given = (await tenant.client.get(f"/findings/{a['id']}")).json()["feedback_history"][0]["id"]
    taken_back = await tenant.client.delete(f"/findings/{a['id']}/feedback/{given}")
    assert taken_back.status_code in {200, 204}, taken_back.text
    changed = await tenant.client.patch(f"/projects/{project['id']}", json={"default_branch": "topic"})
    assert changed.status_code == 200, changed.text
    assert await check(api, tenant) > 0
