"""Findings that are stored before their triage: once, kept by later attempts, and ended by verdicts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest
from rows import Place, make_finding, make_task
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.leases import Lease
from securetag.db.models import (
    Feedback,
    Finding,
    FindingOccurrence,
    FindingState,
    ScanReport,
    ScanResult,
    ToolExecution,
    TriageVerdict,
)
from securetag.errors import FencedError, InputError
from securetag.records import Decision, Verdict
from securetag.wire import queue as wire

pytestmark = [pytest.mark.anyio, pytest.mark.clean_database]

TABLES = (Finding, FindingOccurrence, TriageVerdict, ToolExecution, ScanReport, ScanResult)
VERDICT = Verdict(decision=Decision.FALSE_POSITIVE, alias="m", model_id="m")


def execution(tool: str, metrics: wire.Metrics) -> wire.ToolExecution:
    return wire.ToolExecution(
        tool=tool,
        version="1",
        arguments=[],
        exit_code=0,
        duration_s=1.0,
        started_at=datetime(2026, 11, 1, tzinfo=UTC),
        metrics=metrics,
    )


SEMGREP = execution("semgrep", wire.ToolMetrics(coverage=wire.Coverage(files={"python": 2})))
TRIAGE = execution("triage", wire.ModelMetrics())


async def claim(db: AsyncEngine) -> Lease:
    claimed = await queue.claim(db, "w", ["codeaudit"])
    assert claimed is not None
    return claimed.lease


async def send(db: AsyncEngine, lease: Lease, *names: str) -> list[UUID]:
    """Send a finding for each name, in `<name>.py`; the model is asked about all of them."""
    request = wire.FindingsRequest(
        task_id=lease.task_id,
        tool_executions=[SEMGREP],
        findings=[
            wire.TriagedFinding(
                finding=make_finding(name, path=f"{name}.py", title=name), awaits_verdict=True
            )
            for name in names
        ],
    )
    return (await queue.record_findings(db, lease, request)).occurrence_ids


async def end(db: AsyncEngine, lease: Lease, *occurrence_ids: UUID, outcome: str = "completed") -> int:
    request = wire.ResultRequest.model_validate(
        {
            "task_id": lease.task_id,
            "outcome": outcome,
            "tool_executions": [TRIAGE],
            "findings_sent": True,
            "verdicts": [
                wire.OccurrenceVerdict(occurrence_id=occurrence_id, verdict=VERDICT)
                for occurrence_id in occurrence_ids
            ],
        }
    )
    return (await queue.record_result(db, lease, request)).findings


async def count(db: AsyncEngine, place: Place) -> dict[str, int]:
    async with tenant_transaction(db, place.tenant_id) as session:
        return {
            table.__tablename__: await session.scalar(select(func.count()).select_from(table)) or 0
            for table in TABLES
        }


async def retry(db: AsyncEngine, lease: Lease) -> Lease:
    """Give the attempt up and claim the next one, which is due at once."""
    await queue.finish(db, lease, "retry", backoff_s=0.0)
    return await claim(db)


async def test_findings_are_there_before_their_verdicts_and_states_after(
    db: AsyncEngine, place: Place
) -> None:
    await make_task(db, place)
    lease = await claim(db)
    sent = await send(db, lease, "a", "b")
    assert await count(db, place) == {
        "finding": 2,
        "finding_occurrence": 2,
        "triage_verdict": 0,
        "tool_execution": 1,
        "scan_report": 1,
        "scan_result": 0,
    }
    async with tenant_transaction(db, place.tenant_id) as session:
        assert (await session.scalars(select(FindingState))).all() == []

    assert await end(db, lease, sent[1]) == 2
    async with tenant_transaction(db, place.tenant_id) as session:
        (result,) = (await session.scalars(select(ScanResult))).all()
        assert (result.findings, result.by_severity) == (2, {"high": 2})
        assert result.by_verdict == {"false_positive": 1, "none": 1}
        (verdict,) = (await session.scalars(select(TriageVerdict))).all()
        assert verdict.occurrence_id == sent[1]
        states = (await session.scalars(select(FindingState.state))).all()
        assert Counter(states) == {"new": 2}


async def test_a_repetition_gets_the_first_answer_and_writes_nothing(db: AsyncEngine, place: Place) -> None:
    await make_task(db, place)
    lease = await claim(db)
    sent = await send(db, lease, "b", "a", "c")
    before = await count(db, place)
    assert await send(db, lease, "b", "a", "c") == sent
    assert await count(db, place) == before


async def test_a_later_attempt_keeps_and_doubles_nothing(db: AsyncEngine, place: Place) -> None:
    await make_task(db, place)
    lease = await claim(db)
    first = dict(zip(("a", "b"), await send(db, lease, "a", "b"), strict=True))
    again = await retry(db, lease)
    with pytest.raises(FencedError):
        await send(db, lease, "a", "b")
    # It scans the same code: `b` is there although this time a limit has left it out, and `c` is new.
    second = dict(zip(("c", "a"), await send(db, again, "c", "a"), strict=True))
    assert second["a"] == first["a"]
    assert await end(db, again, *second.values()) == 3
    assert (await count(db, place))["finding"] == 3
    async with tenant_transaction(db, place.tenant_id) as session:
        (result,) = (await session.scalars(select(ScanResult))).all()
        assert (result.findings, result.by_verdict) == (3, {"false_positive": 2, "none": 1})


async def test_an_older_worker_ends_what_a_newer_one_began(db: AsyncEngine, place: Place) -> None:
    """Its result brings findings and verdicts at once."""
    await make_task(db, place)
    lease = await claim(db)
    (first,) = await send(db, lease, "a")
    again = await retry(db, lease)
    finding = make_finding("a", path="a.py", title="a")
    request = wire.ResultRequest(
        task_id=again.task_id,
        outcome="completed",
        tool_executions=[SEMGREP],
        findings=[wire.TriagedFinding(finding=finding, verdict=VERDICT)],
    )
    assert (await queue.record_result(db, again, request)).findings == 1
    async with tenant_transaction(db, place.tenant_id) as session:
        (verdict,) = (await session.scalars(select(TriageVerdict))).all()
        assert verdict.occurrence_id == first


async def test_what_an_attempt_that_died_for_good_has_found_stays_and_is_known_again(
    db: AsyncEngine, place: Place
) -> None:
    await make_task(db, place, max_attempts=1)
    lease = await claim(db)
    await send(db, lease, "a")
    assert await end(db, lease, outcome="retry") == 0
    await make_task(db, place)
    again = await claim(db)
    sent = await send(db, again, "a")
    await end(db, again, *sent)
    numbers = await count(db, place)
    assert (numbers["finding"], numbers["finding_occurrence"], numbers["scan_result"]) == (1, 2, 1)


async def test_a_finding_moves_on_from_a_scan_that_never_ended(db: AsyncEngine, place: Place) -> None:
    """The newest scan that has reported it is the one before, whether or not its triage ended."""
    await make_task(db, place, max_attempts=1)
    lease = await claim(db)
    await send(db, lease, "a")
    await end(db, lease, outcome="retry")
    await make_task(db, place)
    again = await claim(db)
    moved = make_finding("a", path="moved/a.py", title="a")
    request = wire.FindingsRequest(task_id=again.task_id, findings=[wire.TriagedFinding(finding=moved)])
    await queue.record_findings(db, again, request)
    assert (await count(db, place))["finding"] == 1


@pytest.mark.parametrize("case", ["not sent", "another's", "twice"])
async def test_a_verdict_on_something_else_is_refused_and_ends_nothing(
    db: AsyncEngine, place: Place, case: str
) -> None:
    await make_task(db, place)
    lease = await claim(db)
    given: list[UUID] = []
    if case != "not sent":
        (own,) = await send(db, lease, "a")
        given = [own, own] if case == "twice" else [lease.task_id]
    with pytest.raises(InputError):
        await end(db, lease, *given)
    assert (await count(db, place))["scan_result"] == 0
    async with tenant_transaction(db, place.tenant_id) as session:
        assert (await queue.lock_lease(session, lease)).state == "running"


async def test_no_verdict_of_a_model_changes_a_persons(db: AsyncEngine, place: Place) -> None:
    await make_task(db, place)
    lease = await claim(db)
    (sent,) = await send(db, lease, "a")
    async with tenant_transaction(db, place.tenant_id) as session:
        (finding,) = (await session.scalars(select(Finding))).all()
        finding.verdict_stale_task_id = lease.task_id
        session.add(
            Feedback(
                tenant_id=place.tenant_id,
                finding_id=finding.id,
                occurrence_id=sent,
                verdict="true_positive",
                saw_model=False,
                reviewer="ana",
            )
        )
    await end(db, lease, sent)
    async with tenant_transaction(db, place.tenant_id) as session:
        assert (await session.scalars(select(Finding.verdict_stale_task_id))).one() == lease.task_id
