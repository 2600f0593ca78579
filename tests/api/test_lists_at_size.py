"""Lists of findings of a tenant with 200,000: what PostgreSQL does for each filter, by its own account."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import psycopg
import pytest
from many_findings import row_id, seed_findings
from postgres import Database
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from securetag.api.findings import repository as findings
from securetag.api.findings.listing import IN_THE_CODE, FindingFilter
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import create_engine, tenant_transaction

# To write the listing of 200,000 findings takes minutes on a busy machine.
pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(900)]

COUNT = 200_000
#: Milliseconds that PostgreSQL computes for a list, and for the neighbors of a finding in it. Other processes
#: of a busy machine add to the time on the clock, not to these.
BAR_MS = 30.0
#: Settings of a connection: each execution is told to the client, as it was planned and run.
EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}
#: Tables of a few hundred rows here, which PostgreSQL reads whole for good reason.
SMALL = frozenset({"suppression", "project", "feedback_withdrawal", "finding_note", "finding_cwe"})

FILTERS: dict[str, dict[str, Any]] = {
    "default": {},
    "severity": {"severity": "critical"},
    "decision": {"decision": "false_positive"},
    "rule": {"rule_id": "rule-7"},
    "no such rule": {"rule_id": "none"},
    "project": {"project_id": row_id("project", 3)},
    "confidence": {"confidence": "high"},
    "confidence at least": {"confidence": "medium"},
    "cwe": {"cwe": "CWE-30"},
    "cwe of another rule": {"cwe": "CWE-1333"},
    "no such cwe": {"cwe": "CWE-9"},
    "path": {"path": "app/package7/"},
    "no such path": {"path": "lib/"},
    "suppressed": {"suppressed": True},
    "not suppressed": {"suppressed": False},
    "branch": {"branch": "main"},
    "no such branch": {"branch": "none"},
    "reviewed": {"reviewed": True},
    "not reviewed": {"reviewed": False},
    "disagree": {"disagree": True},
    "agree": {"disagree": False},
    "since": {"since": datetime(2100, 1, 1, tzinfo=UTC)},
    "since scan": {"since": UUID(int=2**128 - 1)},
    "assignee": {"assignee": "ada"},
    "assigned": {"assigned": True},
    "not assigned": {"assigned": False},
    "noted": {"noted": True},
    "fixed": {"states": frozenset({"fixed"})},
    "new": {"states": frozenset({"new"})},
    "new or fixed": {"states": frozenset({"new", "fixed"})},
    "any state": {"states": None},
    "a text of all": {"text": "PACKAGE"},
    "a text of some": {"text": "title 14"},
    "a text of few": {"text": "package71"},
    "a part of a path": {"text": "e399/File2999.p"},
    "no such text": {"text": "wombat"},
    "letters that all have": {"text": "app"},
}
#: Filters that exclude each other, each of which many rows pass.
TOGETHER = {
    "none of many": {"severity": "critical", "confidence": "low", "decision": "needs_review"},
    "all facets": {
        "severity": "high",
        "confidence": "high",
        "decision": "true_positive",
        "rule_id": "rule-8",
        "cwe": "CWE-28",
        "path": "app/",
    },
}


@pytest.fixture(scope="module")
def tenant_id(pg_database: Database, pg_cluster: Cluster) -> UUID:
    return seed_findings(pg_cluster.dsn(pg_database.name, SUPERUSER), COUNT)


@pytest.fixture
async def api_engine(pg_database: Database) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(pg_database.dsn_api)
    yield engine
    await engine.dispose()


@pytest.fixture
async def explained(pg_database: Database, pg_cluster: Cluster) -> AsyncIterator[Explained]:
    """A superuser's connections, as the api's role."""
    options = quote(" ".join(f"-c {name}={value}" for name, value in EXPLAIN.items()))
    explained = Explained(f"{pg_cluster.dsn(pg_database.name, SUPERUSER)}&options={options}")
    yield explained
    await explained.engine.dispose()


def walk(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from walk(part)


class Explained:
    """An engine whose statements are run as the api's are, and the plans that they were run by."""

    def __init__(self, dsn: str) -> None:
        self.engine = create_engine(dsn)
        #: Of the statements on findings.
        self.plans: list[dict[str, Any]] = []
        event.listen(self.engine.sync_engine, "connect", self._listen)

    def _listen(self, connection: Any, _record: object) -> None:
        connection.driver_connection.add_notice_handler(self._add)

    def _add(self, notice: psycopg.errors.Diagnostic) -> None:
        if read := re.fullmatch(r"duration: \S+ ms +plan:\s*(.*)", notice.message_primary or "", re.DOTALL):
            plan = json.loads(read[1])
            if "securetag.finding" in plan["Query Text"]:
                self.plans.append(plan["Plan"])


async def read_backend_ms(session: AsyncSession) -> float:
    """Return the milliseconds of CPU that the session's process of PostgreSQL has had so far."""
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return int(Path(f"/proc/{driver.info.backend_pid}/schedstat").read_text().split()[0]) / 1e6


async def read_list(engine: AsyncEngine, tenant_id: UUID, wanted: FindingFilter) -> list[float]:
    """Read a list as the api does, and the neighbors of its middle as the page does; return milliseconds.

    Of the list, and where it isn't empty of the neighbors: planning too.
    """
    async with tenant_transaction(engine, tenant_id) as session:
        times = [await read_backend_ms(session)]
        rows = await findings.list_findings(session, wanted, after=None, limit=50)
        times.append(await read_backend_ms(session))
        if rows:
            await findings.find_neighbors(session, wanted, rows[len(rows) // 2][0].id)
            times.append(await read_backend_ms(session))
    return [after - before for before, after in pairwise(times)]


def wanted_lists() -> dict[str, FindingFilter]:
    lists = {name: {"states": IN_THE_CODE, **fields} for name, fields in {**FILTERS, **TOGETHER}.items()}
    for one, other in combinations(FILTERS, 2):
        if not FILTERS[one].keys() & FILTERS[other].keys():
            lists[f"{one} + {other}"] = {"states": IN_THE_CODE, **FILTERS[one], **FILTERS[other]}
    return {name: FindingFilter(**fields) for name, fields in lists.items()}


async def test_each_list_is_read_by_an_index_in_30_ms(
    api_engine: AsyncEngine, explained: Explained, tenant_id: UUID
) -> None:
    slow: dict[str, float] = {}
    scanned: dict[str, set[str]] = {}
    times: dict[str, float] = {}
    for name, wanted in wanted_lists().items():
        if not wanted.is_listed:
            continue
        best: list[float] = []
        # What counts is the plan's work, not what other processes do to the machine's caches meanwhile.
        for _ in range(8):
            took = await read_list(api_engine, tenant_id, wanted)
            best = [min(pair) for pair in zip(best, took, strict=True)] if best else took
            if max(best) <= BAR_MS:
                break
        times[name] = max(best)
        if max(best) > BAR_MS:
            slow[name] = round(max(best), 1)
        explained.plans = []
        await read_list(explained.engine, tenant_id, wanted)
        assert explained.plans, name
        tables = {
            node["Relation Name"]
            for plan in explained.plans
            for node in walk(plan)
            if node["Node Type"] == "Seq Scan"
        }
        if tables - SMALL:
            scanned[name] = tables - SMALL
    ordered = sorted(times.values())
    print(f"{len(times)} lists, median {ordered[len(ordered) // 2]:.2f} ms, worst {ordered[-1]:.1f} ms")
    assert scanned == {}
    assert slow == {}


async def test_the_fiftieth_execution_of_a_list_is_planned_like_the_first(
    api_engine: AsyncEngine, tenant_id: UUID
) -> None:
    """Common values first, so that a plan for all of them would be one for these."""
    common = FindingFilter(states=IN_THE_CODE, cwe="CWE-30", text="title")
    for _ in range(50):
        await read_list(api_engine, tenant_id, common)
    rare = replace(common, cwe="CWE-1333", text="package71")
    best = min([max(await read_list(api_engine, tenant_id, rare)) for _ in range(8)])
    assert best <= BAR_MS


async def test_pages_deep_in_a_list_cost_no_more(api_engine: AsyncEngine, tenant_id: UUID) -> None:
    wanted = FindingFilter(states=IN_THE_CODE, severity="high")
    after: UUID | None = None
    seen = set[UUID]()
    for _ in range(5):
        best = 1e9
        for _ in range(3):
            async with tenant_transaction(api_engine, tenant_id) as session:
                began = await read_backend_ms(session)
                rows = await findings.list_findings(session, wanted, after=after, limit=50)
                best = min(best, await read_backend_ms(session) - began)
        ids = [row[0].id for row in rows[:50]]
        assert len(ids) == 50
        assert not seen & set(ids)
        seen |= set(ids)
        after = ids[-1]
        assert best <= BAR_MS
    async with tenant_transaction(api_engine, tenant_id) as session:
        count = await session.scalar(text("SELECT count(*) FROM securetag.finding_listing"))
        total = (await findings.count_findings(session, FindingFilter(states=IN_THE_CODE))).total
    assert count == 2 * COUNT
    assert 0 < total < COUNT
    assert replace(wanted, due_for="ada").is_listed is False
