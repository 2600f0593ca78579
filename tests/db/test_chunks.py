"""A result is stored in chunks: cut off anywhere it is continued, and never doubled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from rows import Place, make_finding, make_task, result
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db import queue, results
from securetag.db.engine import tenant_transaction
from securetag.db.leases import Lease, lock_lease
from securetag.db.models import Finding, FindingOccurrence, FindingState, ScanReport, Task, TriageVerdict
from securetag.errors import FencedError, InputError
from securetag.records import Decision, Verdict
from securetag.wire import queue as wire

pytestmark = [pytest.mark.anyio, pytest.mark.clean_database]

NAMES = [f"n{number}" for number in range(7)]
VERDICT = Verdict(decision=Decision.FALSE_POSITIVE, alias="m", model_id="m")


class OutageError(Exception):
    """The process dies here."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "CHUNK", 2)


async def claim(db: AsyncEngine, place: Place) -> Lease:
    await make_task(db, place)
    claimed = await queue.claim(db, "w", ["codeaudit"])
    assert claimed is not None
    return claimed.lease


def request_for(lease: Lease, *names: str, verdict: Verdict | None = VERDICT) -> wire.ResultRequest:
    return result(
        lease.task_id,
        findings=[
            wire.TriagedFinding(finding=make_finding(name, path=f"{name}.py"), verdict=verdict)
            for name in names
        ],
    )


async def counts(db: AsyncEngine, place: Place) -> dict[str, int]:
    async with tenant_transaction(db, place.tenant_id) as session:
        return {
            table.__tablename__: await session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Finding, FindingOccurrence, TriageVerdict, FindingState)
        }


def fail_after(monkeypatch: pytest.MonkeyPatch, transactions: int) -> None:
    """Let the process die when it begins one more transaction that holds the lease."""
    began = 0

    async def lock(session: Any, lease: Lease) -> Task:
        nonlocal began
        began += 1
        if began > transactions:
            raise OutageError
        return await lock_lease(session, lease)

    monkeypatch.setattr(results, "lock_lease", lock)


@pytest.mark.parametrize("transactions", range(1, 11))
async def test_a_result_that_dies_anywhere_is_continued(
    db: AsyncEngine, place: Place, monkeypatch: pytest.MonkeyPatch, transactions: int
) -> None:
    lease = await claim(db, place)
    with monkeypatch.context() as dying:
        fail_after(dying, transactions)
        with pytest.raises(OutageError):
            await queue.record_result(db, lease, request_for(lease, *NAMES))
    stored = await counts(db, place)
    # Four chunks of findings, a look at the branch, four chunks of states, a look at what is fixed.
    assert stored["finding"] == min(len(NAMES), 2 * transactions)
    assert stored["finding_state"] == min(len(NAMES), max(0, 2 * (transactions - 5)))
    answer = await queue.record_result(db, lease, request_for(lease, *NAMES))
    assert (answer.state, answer.findings) == ("completed", len(NAMES))
    assert set((await counts(db, place)).values()) == {len(NAMES)}
    with pytest.raises(FencedError):
        await queue.record_result(db, lease, request_for(lease, *NAMES))


async def test_a_worker_that_lost_its_lease_writes_no_further_chunk(
    db: AsyncEngine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await claim(db, place)
    with monkeypatch.context() as dying:
        fail_after(dying, 2)
        with pytest.raises(OutageError):
            await queue.record_result(db, lease, request_for(lease, *NAMES))
    await queue.finish(db, lease, "retry", backoff_s=0.0)
    again = await queue.claim(db, "w2", ["codeaudit"])
    assert again is not None
    with pytest.raises(FencedError):
        await queue.record_result(db, lease, request_for(lease, *NAMES))
    assert (await counts(db, place))["finding"] == 4
    # The next attempt keeps what is there.
    answer = await queue.record_result(db, again.lease, request_for(again.lease, *NAMES))
    assert answer.findings == len(NAMES)
    assert set((await counts(db, place)).values()) == {len(NAMES)}


async def test_verdicts_that_were_cut_off_are_continued_and_a_wrong_one_leaves_none(
    db: AsyncEngine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await claim(db, place)
    findings = [
        wire.TriagedFinding(finding=make_finding(name, path=f"{name}.py"), awaits_verdict=True)
        for name in NAMES
    ]
    early = wire.FindingsRequest(task_id=lease.task_id, findings=findings)
    ids = (await queue.record_findings(db, lease, early)).occurrence_ids
    assert len(set(ids)) == len(NAMES)
    async with tenant_transaction(db, place.tenant_id) as session:
        totals = await session.execute(
            select(ScanReport.findings, ScanReport.awaiting, ScanReport.is_last).order_by(ScanReport.chunk)
        )
        assert [tuple(row) for row in totals] == [
            (2, 2, False),
            (4, 4, False),
            (6, 6, False),
            (7, 7, True),
        ]

    def ending(*named: Any) -> wire.ResultRequest:
        return wire.ResultRequest(
            task_id=lease.task_id,
            outcome="completed",
            findings_sent=True,
            verdicts=[wire.OccurrenceVerdict(occurrence_id=name, verdict=VERDICT) for name in named],
        )

    with pytest.raises(InputError):
        await queue.record_result(db, lease, ending(*ids, ids[0]))
    assert (await counts(db, place))["triage_verdict"] == 0
    with monkeypatch.context() as dying:
        fail_after(dying, 3)
        with pytest.raises(OutageError):
            await queue.record_result(db, lease, ending(*ids))
    assert (await counts(db, place))["triage_verdict"] == 4
    assert (await queue.record_result(db, lease, ending(*ids))).findings == len(NAMES)
    assert (await counts(db, place))["triage_verdict"] == len(NAMES)


async def test_two_results_of_a_project_at_once_find_the_same_findings(db: AsyncEngine, place: Place) -> None:
    leases = [await claim(db, place) for _ in range(2)]
    answers = await asyncio.gather(
        *(queue.record_result(db, lease, request_for(lease, *NAMES)) for lease in leases)
    )
    assert [answer.findings for answer in answers] == [len(NAMES)] * 2
    stored = await counts(db, place)
    assert (stored["finding"], stored["finding_occurrence"]) == (len(NAMES), 2 * len(NAMES))


async def test_a_newer_scan_that_was_partly_stored_wins(
    db: AsyncEngine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older scan that ends in the middle of a newer one's states changes none of them."""
    older, newer = [await claim(db, place) for _ in range(2)]
    scanned = wire.ToolExecution(
        tool="semgrep",
        version="1",
        arguments=[],
        exit_code=0,
        duration_s=1.0,
        started_at=datetime(2026, 11, 1, tzinfo=UTC),
        metrics=wire.ToolMetrics(coverage=wire.Coverage(files={"python": 2})),
    )

    async def send(lease: Lease, *names: str) -> wire.ResultAnswer:
        request = request_for(lease, *names).model_copy(update={"tool_executions": [scanned]})
        return await queue.record_result(db, lease, request)

    with monkeypatch.context() as dying:
        fail_after(dying, 4)  # two chunks of findings, the look at the branch, one chunk of states
        with pytest.raises(OutageError):
            await send(newer, "a", "b", "c", "d")
    await send(older)
    await send(newer, "a", "b", "c", "d")
    async with tenant_transaction(db, place.tenant_id) as session:
        states = await session.execute(select(FindingState.state, FindingState.seen_task_id))
        assert [tuple(row) for row in states] == [("new", newer.task_id)] * 4
