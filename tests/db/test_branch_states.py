"""States of findings by branch: what a scan's result makes of what the branch had before."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from rows import Place, make_finding, make_task
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.models import Finding, FindingState, Project
from securetag.wire import queue as wire
from securetag.wire.queue import Coverage, RuleTimeout, SkippedFile, SkipReason

pytestmark = [pytest.mark.anyio, pytest.mark.clean_database]

READ = Coverage(files={"python": 2})


def execution(tool: str, coverage: Coverage | None, **changes: object) -> wire.ToolExecution:
    return wire.ToolExecution.model_validate(
        {
            "tool": tool,
            "version": "1",
            "arguments": [],
            "exit_code": 0,
            "duration_s": 1.0,
            "started_at": datetime(2026, 11, 1, tzinfo=UTC),
            "metrics": wire.ToolMetrics(tool=tool, coverage=coverage),
            **changes,
        }
    )


async def record(
    db: AsyncEngine,
    task_id: UUID,
    place: Place,
    *names: str,
    coverage: Coverage | None = READ,
    tool: str = "semgrep",
) -> None:
    """Claim the task, and end it with a finding for each name, in `<name>.py`."""
    claim = await queue.claim(db, "w", ["codeaudit"])
    assert claim is not None
    assert claim.lease.task_id == task_id
    request = wire.ResultRequest(
        task_id=task_id,
        outcome="completed",
        tool_executions=[execution(tool, coverage)],
        findings=[
            wire.TriagedFinding(finding=make_finding(name, path=f"{name}.py", title=name, tool=tool))
            for name in names
        ],
    )
    await queue.record_result(db, claim.lease, request)


async def scan(
    db: AsyncEngine,
    place: Place,
    *names: str,
    coverage: Coverage | None = READ,
    tool: str = "semgrep",
    **params: str,
) -> UUID:
    task_id = await make_task(db, place, params=params)
    await record(db, task_id, place, *names, coverage=coverage, tool=tool)
    return task_id


async def states(db: AsyncEngine, place: Place, branch: str = "main") -> dict[str, str]:
    query = (
        select(Finding.title, FindingState.state)
        .join(FindingState, FindingState.finding_id == Finding.id)
        .where(FindingState.branch == branch)
    )
    async with tenant_transaction(db, place.tenant_id) as session:
        return {row[0]: row[1] for row in await session.execute(query)}


async def test_a_finding_is_new_then_open_then_fixed_then_reopened(db: AsyncEngine, place: Place) -> None:
    await scan(db, place, "a", "b", commit="c1")
    assert await states(db, place) == {"a": "new", "b": "new"}
    await scan(db, place, "a", "b", commit="c1")
    assert await states(db, place) == {"a": "new", "b": "new"}, (
        "a repeated scan of a commit isn't a newer one"
    )
    await scan(db, place, "a", "b", commit="c2")
    assert await states(db, place) == {"a": "open", "b": "open"}
    await scan(db, place, "a", commit="c3")
    assert await states(db, place) == {"a": "open", "b": "fixed"}
    await scan(db, place, "a", "b", commit="c4")
    assert await states(db, place) == {"a": "open", "b": "reopened"}


async def test_the_first_branch_is_the_default_and_another_has_states_of_its_own(
    db: AsyncEngine, place: Place
) -> None:
    await scan(db, place, "a", branch="trunk")
    await scan(db, place, "a", "b", branch="feature")
    assert await states(db, place, "trunk") == {"a": "new"}
    assert await states(db, place, "feature") == {"a": "open", "b": "new"}
    await scan(db, place, "b", branch="feature")
    assert await states(db, place, "trunk") == {"a": "new"}
    assert await states(db, place, "feature") == {"a": "fixed", "b": "open"}
    await scan(db, place)
    assert await states(db, place, "trunk") == {"a": "fixed"}, (
        "an upload without a branch is of the default one"
    )
    async with tenant_transaction(db, place.tenant_id) as session:
        assert await session.scalar(select(Project.default_branch)) == "trunk"


async def test_a_branch_compares_with_the_scan_of_its_base_commit(db: AsyncEngine, place: Place) -> None:
    await scan(db, place, "a", branch="main", commit="c1")
    await scan(db, place, "a", "b", branch="main", commit="c2")
    await scan(db, place, "a", "b", branch="feature", commit="f1", base_commit="c1")
    assert await states(db, place, "feature") == {"a": "open", "b": "new"}


@pytest.mark.parametrize(
    "coverage",
    [
        pytest.param(
            Coverage(
                skipped=[SkippedFile(path="a.py", reason=SkipReason.TOO_LARGE, bytes=9)],
                skipped_by_reason={SkipReason.TOO_LARGE: 1},
            ),
            id="skipped",
        ),
        pytest.param(
            Coverage(timeouts=[RuleTimeout(rule="other", path="a.py")], timeouts_total=1), id="rule timed out"
        ),
        pytest.param(Coverage(parse_errors=["a.py"], parse_errors_total=1), id="read in part"),
        pytest.param(Coverage(skipped_by_reason={SkipReason.LIMIT: 1}), id="left out more than it names"),
        pytest.param(None, id="no coverage"),
    ],
)
async def test_what_a_scan_has_not_read_is_not_fixed(
    db: AsyncEngine, place: Place, coverage: Coverage | None
) -> None:
    await scan(db, place, "a")
    await scan(db, place, coverage=coverage)
    assert await states(db, place) == {"a": "new"}
    await scan(db, place)
    assert await states(db, place) == {"a": "fixed"}


async def test_only_the_tool_that_reported_a_finding_says_that_it_is_fixed(
    db: AsyncEngine, place: Place
) -> None:
    await scan(db, place, "a", tool="bandit")
    await scan(db, place, tool="semgrep")
    assert await states(db, place) == {"a": "new"}


async def test_a_scan_that_ends_after_a_newer_one_changes_nothing(db: AsyncEngine, place: Place) -> None:
    older = await make_task(db, place)
    slow = await queue.claim(db, "slow", ["codeaudit"])
    assert slow is not None
    await scan(db, place, "a")
    request = wire.ResultRequest(
        task_id=older, outcome="completed", tool_executions=[execution("semgrep", READ)]
    )
    await queue.record_result(db, slow.lease, request)
    assert await states(db, place) == {"a": "new"}
