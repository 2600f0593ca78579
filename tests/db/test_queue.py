"""One attempt's life, and every way in which it may end."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import psycopg
import pytest
from postgres import Database
from rows import Place, make_finding, make_place, make_task, result
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.db import queue
from securetag.db.engine import create_engine, tenant_transaction
from securetag.db.leases import BACKOFF_S
from securetag.db.models import (
    Finding,
    FindingOccurrence,
    ScanResult,
    Task,
    TaskEvent,
    ToolExecution,
    TriageVerdict,
)
from securetag.db.states import TRANSITIONS, State
from securetag.errors import ConflictError, FencedError, InputError, NotFoundError
from securetag.records import Decision, Verdict
from securetag.settings import Settings
from securetag.settings.sections import ApiSettings
from securetag.wire import queue as wire

pytestmark = [pytest.mark.anyio, pytest.mark.clean_database]


async def claimed(db: AsyncEngine, worker: str = "w1", **options: float) -> queue.Claim:
    claim = await queue.claim(db, worker, ["codeaudit"], **options)
    assert claim is not None
    return claim


async def state_of(db: AsyncEngine, place: Place, task_id: UUID) -> str:
    async with tenant_transaction(db, place.tenant_id) as session:
        return str(await session.scalar(select(Task.state).where(Task.id == task_id)))


async def history(db: AsyncEngine, place: Place, task_id: UUID) -> list[tuple[str | None, str, int]]:
    query = select(TaskEvent).where(TaskEvent.task_id == task_id).order_by(TaskEvent.id)
    async with tenant_transaction(db, place.tenant_id) as session:
        return [(event.from_state, event.to_state, event.attempt) for event in await session.scalars(query)]


async def count(db: AsyncEngine, place: Place, table: type) -> int:
    async with tenant_transaction(db, place.tenant_id) as session:
        return int(await session.scalar(select(func.count()).select_from(table)) or 0)


async def finish(
    db: AsyncEngine, place: Place, lease: queue.Lease, request: wire.ResultRequest
) -> wire.ResultAnswer:
    return await queue.record_result(db, lease, request)


async def test_a_task_is_claimed_once_and_completed_once(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place, params={"lang": "es"})
    claim = await claimed(db)
    assert claim.lease.tenant_id == place.tenant_id
    assert (claim.lease.task_id, claim.attempt, claim.params) == (task_id, 1, {"lang": "es"})
    assert await queue.claim(db, "w2", ["codeaudit"]) is None
    answer = await finish(db, place, claim.lease, result(task_id, "a", "b"))
    assert (answer.state, answer.findings) == ("completed", 2)
    assert await history(db, place, task_id) == [
        (None, "queued", 0),
        ("queued", "running", 1),
        ("running", "completed", 1),
    ]
    for table, rows in (
        (Finding, 2),
        (FindingOccurrence, 2),
        (TriageVerdict, 2),
        (ToolExecution, 1),
        (ScanResult, 1),
    ):
        assert await count(db, place, table) == rows


async def test_a_replayed_result_is_fenced_and_writes_nothing(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place)
    lease = (await claimed(db)).lease
    await finish(db, place, lease, result(task_id, "a"))
    with pytest.raises(FencedError):
        await finish(db, place, lease, result(task_id, "a", "b"))
    assert await count(db, place, Finding) == 1
    assert await count(db, place, ToolExecution) == 1


async def test_a_second_scan_finds_the_same_finding(db: AsyncEngine, place: Place) -> None:
    for title in ("old words", "new words"):
        task_id = await make_task(db, place)
        moved = wire.TriagedFinding(finding=make_finding("a", title=title, path=f"{title}.py"))
        await finish(db, place, (await claimed(db)).lease, result(task_id, findings=[moved]))
    async with tenant_transaction(db, place.tenant_id) as session:
        finding = (await session.scalars(select(Finding))).one()
        assert finding.title == "new words"
        assert finding.last_task_id == task_id != finding.first_task_id
        paths = await session.scalars(select(FindingOccurrence.path).order_by(FindingOccurrence.id))
        assert paths.all() == ["old words.py", "new words.py"]


async def test_a_silent_worker_loses_its_task_and_its_word(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place)
    old = (await claimed(db, lease_s=0)).lease
    assert await queue.reap(db, backoff_s=0) == 1
    assert await state_of(db, place, task_id) == "retrying"
    new = await claimed(db, "w2")
    assert new.lease.fence > old.fence
    assert new.attempt == 2
    with pytest.raises(FencedError):
        await finish(db, place, old, result(task_id, "a"))
    async with tenant_transaction(db, place.tenant_id) as session:
        with pytest.raises(FencedError):
            await queue.heartbeat(session, old)
    assert await count(db, place, ToolExecution) == 0
    await finish(db, place, new.lease, result(task_id, "a"))
    assert await count(db, place, Finding) == 1


async def test_attempts_run_out(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place, max_attempts=2)
    for expected in ("retrying", "dead_letter"):
        await claimed(db, lease_s=0)
        await queue.reap(db, backoff_s=0)
        assert await state_of(db, place, task_id) == expected
    assert await queue.claim(db, "w", ["codeaudit"]) is None


async def test_a_transient_error_waits_before_it_is_tried_again(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place, max_attempts=2)
    lease = (await claimed(db)).lease
    answer = await finish(db, place, lease, result(task_id, "a", outcome="retry", error="disk is full"))
    assert answer.state == "retrying"
    assert await queue.claim(db, "w", ["codeaudit"]) is None
    async with tenant_transaction(db, place.tenant_id) as session:
        wait = await session.scalar(
            text("SELECT extract(epoch FROM not_before - clock_timestamp()) FROM securetag.task")
        )
        assert BACKOFF_S - 3 < float(wait) <= BACKOFF_S
        assert await session.scalar(select(Task.reason)) == "disk is full"
    assert await count(db, place, Finding) == 0
    assert await count(db, place, ToolExecution) == 1


@pytest.mark.parametrize("outcome", ["failed", "timeout"])
async def test_a_permanent_end_keeps_the_log_alone(db: AsyncEngine, place: Place, outcome: str) -> None:
    task_id = await make_task(db, place)
    answer = await finish(db, place, (await claimed(db)).lease, result(task_id, "a", outcome=outcome))
    assert (answer.state, answer.findings) == (outcome, 0)
    assert await count(db, place, Finding) == 0
    assert await count(db, place, ToolExecution) == 1


async def test_an_attempt_that_overruns_is_taken_from_a_living_worker(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place, time_limit_s=0)
    await claimed(db, lease_s=600)
    assert await queue.reap(db) == 0
    assert await queue.reap(db, overrun_s=0) == 1
    assert await state_of(db, place, task_id) == "timeout"


async def test_a_heartbeat_extends_the_lease(db: AsyncEngine, place: Place) -> None:
    await make_task(db, place)
    claim = await claimed(db, lease_s=0)
    async with tenant_transaction(db, place.tenant_id) as session:
        beat = await queue.heartbeat(session, claim.lease, stage="semgrep", process_group=7)
    assert beat.lease_until > claim.lease_until
    assert not beat.cancelled
    assert await queue.reap(db) == 0


async def test_cancelling_reaches_the_worker_and_refuses_its_result(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place)
    lease = (await claimed(db)).lease
    async with tenant_transaction(db, place.tenant_id) as session:
        await queue.cancel(session, task_id)
    async with tenant_transaction(db, place.tenant_id) as session:
        assert (await queue.heartbeat(session, lease)).cancelled
    with pytest.raises(FencedError, match="cancelled"):
        await finish(db, place, lease, result(task_id, "a"))
    with pytest.raises(ConflictError):
        async with tenant_transaction(db, place.tenant_id) as session:
            await queue.cancel(session, task_id)


async def test_nobody_cancels_anothers_task(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place)
    stranger = await make_place(db)
    with pytest.raises(NotFoundError):
        async with tenant_transaction(db, stranger.tenant_id) as session:
            await queue.cancel(session, task_id)


async def test_hostile_text_is_stored_and_impossible_numbers_are_refused(
    db: AsyncEngine, place: Place
) -> None:
    task_id = await make_task(db, place)
    lease = (await claimed(db)).lease
    huge = wire.TriagedFinding(finding=make_finding("a", start_line=10**30))
    with pytest.raises(InputError, match="can't be stored"):
        await finish(db, place, lease, result(task_id, findings=[huge]))
    verdict = Verdict(decision=Decision.NEEDS_REVIEW, reason="nul \x00 here")
    hostile = wire.TriagedFinding(
        finding=make_finding("a", snippet="x\x00y'; DROP TABLE", path="\ud800.py"), verdict=verdict
    )
    await finish(db, place, lease, result(task_id, findings=[hostile], error="\x00"))
    async with tenant_transaction(db, place.tenant_id) as session:
        row = (await session.scalars(select(FindingOccurrence))).one()
        assert (row.snippet, row.path) == ("x\ufffdy'; DROP TABLE", "?.py")


async def test_a_large_result_arrives_whole(db: AsyncEngine, place: Place) -> None:
    task_id = await make_task(db, place)
    names = [str(number) for number in range(3_000)]
    answer = await finish(db, place, (await claimed(db)).lease, result(task_id, *names))
    assert answer.findings == await count(db, place, TriageVerdict) == 3_000


async def test_a_result_that_is_cancelled_ends_at_once_and_the_next_caller_is_served(
    clean_database: Database,
) -> None:
    """At whatever moment: in a pipeline of statements it never ended, and kept its connection."""
    db = create_engine(Settings(database_url=clean_database.dsn_api, api=ApiSettings(pool_size=1)))  # type: ignore[arg-type]
    place = await make_place(db)
    seconds = 0.0
    for share in (1.0, *(step / 8 for step in range(8))):
        task_id = await make_task(db, place)
        lease = (await claimed(db)).lease
        names = [f"{share} {number}" for number in range(1_000)]
        began = time.monotonic()
        writing = asyncio.create_task(finish(db, place, lease, result(task_id, *names)))
        if share == 1.0:
            await writing
            seconds = time.monotonic() - began
            continue
        await asyncio.sleep(seconds * share)
        writing.cancel()
        done, _ = await asyncio.wait({writing}, timeout=30)
        assert done, f"cancelled at {share:.0%} it doesn't end"
        if await state_of(db, place, task_id) == "running":
            assert writing.cancelled()
            async with tenant_transaction(db, place.tenant_id) as session:
                await queue.cancel(session, task_id)
    await db.dispose()


async def test_the_database_holds_the_same_state_machine(db: AsyncEngine, place: Place) -> None:
    async with tenant_transaction(db, place.tenant_id) as session:
        for before in State:
            for following in State:
                if before is following:
                    continue
                may = await session.scalar(
                    text("SELECT securetag.task_may(:a, :b)"), {"a": before.value, "b": following.value}
                )
                assert may == (following in TRANSITIONS[before]), (before, following)


async def test_no_writer_gets_round_the_state_machine(db: AsyncEngine, place: Place) -> None:
    await make_task(db, place)
    with pytest.raises(IntegrityError, match="may not become"):
        async with tenant_transaction(db, place.tenant_id) as session:
            await session.execute(text("UPDATE securetag.task SET state = 'completed'"))


async def test_concurrent_claims_never_share_a_task(db: AsyncEngine, place: Place) -> None:
    tasks = {await make_task(db, place) for _ in range(12)}
    claims = await asyncio.gather(*(queue.claim(db, f"w{n}", ["codeaudit"]) for n in range(20)))
    got = [claim.lease for claim in claims if claim]
    assert {lease.task_id for lease in got} == tasks
    assert len({lease.fence for lease in got}) == len(got) == 12


async def test_a_new_task_is_announced(db: AsyncEngine, place: Place, clean_database: Database) -> None:
    async with await psycopg.AsyncConnection.connect(clean_database.dsn_api, autocommit=True) as listener:
        await listener.execute(f"LISTEN {queue.CHANNEL}")
        await make_task(db, place)
        payloads = [note.payload async for note in listener.notifies(timeout=10, stop_after=1)]
    assert payloads == ["codeaudit"]


async def test_lost_leases_wait_as_long_as_reported_errors(db: AsyncEngine, place: Place) -> None:
    await make_task(db, place, max_attempts=4)
    wait = text("SELECT extract(epoch FROM not_before - clock_timestamp()) FROM securetag.task")
    for attempt in range(1, 4):
        await claimed(db, lease_s=0)
        await queue.reap(db)
        async with tenant_transaction(db, place.tenant_id) as session:
            left = float((await session.execute(wait)).scalar_one())
            backoff_s = BACKOFF_S * 4 ** (attempt - 1)
            assert backoff_s - 3 < left <= backoff_s
            await session.execute(text("UPDATE securetag.task SET not_before = clock_timestamp()"))
