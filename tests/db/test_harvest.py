"""What leaves the database for training, and what doesn't."""

from __future__ import annotations

from typing import get_args

import msgspec
import psycopg
import pytest
from postgres import Database
from rows import Place, make_finding, make_place, make_task, result
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.harvest import WatchedTable, harvest, list_new_rows, list_oldest_findings
from securetag.db.models import (
    Consent,
    Feedback,
    FeedbackWithdrawal,
    Finding,
    FindingOccurrence,
    TriageVerdict,
)
from securetag.records import Decision, SliceLine, Verdict, WebLocation
from securetag.wire import queue as wire

pytestmark = pytest.mark.anyio


async def scan(db: AsyncEngine, place: Place, *names: str, **changes: object) -> None:
    task_id = await make_task(db, place)
    claim = await queue.claim(db, "w", ["codeaudit"])
    assert claim is not None
    await queue.record_result(db, claim.lease, result(task_id, *names, **changes))


async def judge(db: AsyncEngine, place: Place, verdict: str, reviewer: str = "ana", **fields: object) -> None:
    """Feedback on every finding of the place."""
    async with tenant_transaction(db, place.tenant_id) as session:
        for finding_id in await session.scalars(select(Finding.id)):
            session.add(
                Feedback(
                    tenant_id=place.tenant_id,
                    finding_id=finding_id,
                    verdict=verdict,
                    reviewer=reviewer,
                    **{"saw_model": True, "source": "person", **fields},
                )
            )


async def consent(db: AsyncEngine, place: Place) -> Consent:
    async with tenant_transaction(db, place.tenant_id) as session:
        given = Consent(tenant_id=place.tenant_id, granted_by="ana")
        session.add(given)
    return given


async def test_only_consenting_tenants_are_harvested(
    db: AsyncEngine, place: Place, pg_database: Database
) -> None:
    silent = await make_place(db)
    for someone in (place, silent):
        await scan(db, someone, "a")
        await judge(db, someone, "false_positive", source="script", disposition="test_code", comment="a test")
    given = await consent(db, place)
    rows = [
        row
        for row in harvest(pg_database.dsn_harvest)
        if row.tenant_id in {place.tenant_id, silent.tenant_id}
    ]
    assert [(row.tenant_id, row.consent_id) for row in rows] == [(place.tenant_id, given.id)]
    row = rows[0]
    assert (row.label, row.scripted, row.saw_model, row.reviewer) == ("false_positive", True, True, "ana")
    assert (row.disposition, row.comment) == ("test_code", "a test")
    assert row.model_decision is Decision.TRUE_POSITIVE
    assert row.finding.fingerprint == make_finding("a").fingerprint
    assert row.finding.snippet == make_finding("a").snippet


async def test_withdrawn_feedback_is_not_harvested_and_what_it_replaced_is(
    db: AsyncEngine, place: Place, pg_database: Database
) -> None:
    await scan(db, place, "a")
    await consent(db, place)
    bulk = uuid7()
    await judge(db, place, "true_positive", reviewer="ben", saw_model=False, bulk_id=bulk)
    await judge(db, place, "false_positive")
    await judge(db, place, "true_positive")

    async def withdraw_newest() -> None:
        async with tenant_transaction(db, place.tenant_id) as session:
            kept = select(FeedbackWithdrawal.feedback_id)
            rows = select(Feedback).where(Feedback.reviewer == "ana", Feedback.id.not_in(kept))
            newest = (await session.scalars(rows.order_by(Feedback.id.desc()).limit(1))).one()
            session.add(
                FeedbackWithdrawal(
                    tenant_id=place.tenant_id, feedback_id=newest.id, saw_model=False, reviewer="ana"
                )
            )

    def harvested() -> list[tuple[str, str, object]]:
        rows = harvest(pg_database.dsn_harvest)
        return [(row.reviewer, row.label, row.bulk_id) for row in rows if row.tenant_id == place.tenant_id]

    by_ben = ("ben", "true_positive", bulk)
    assert harvested() == [by_ben, ("ana", "true_positive", None)]
    await withdraw_newest()
    assert harvested() == [by_ben, ("ana", "false_positive", None)]
    await withdraw_newest()
    assert harvested() == [by_ben]


async def test_a_project_keeps_its_oldest_finding_while_it_grows(
    db: AsyncEngine, place: Place, pg_database: Database
) -> None:
    await scan(db, place, "first", "second")
    assert place.project_id not in list_oldest_findings(pg_database.dsn_harvest)
    await consent(db, place)
    before = list_oldest_findings(pg_database.dsn_harvest)[place.project_id]
    assert before.fingerprint in {make_finding(name).fingerprint for name in ("first", "second")}
    await scan(db, place, "first", "third")
    assert list_oldest_findings(pg_database.dsn_harvest)[place.project_id] == before


async def test_a_withdrawn_consent_hides_everything_again(
    db: AsyncEngine, place: Place, pg_database: Database
) -> None:
    await scan(db, place, "a")
    await judge(db, place, "true_positive")
    given = await consent(db, place)
    async with tenant_transaction(db, place.tenant_id) as session:
        row = await session.get_one(Consent, given.id)
        row.withdrawn_at, row.withdrawn_by = row.granted_at, "ana"
    assert place.tenant_id not in {row.tenant_id for row in harvest(pg_database.dsn_harvest)}
    with psycopg.connect(pg_database.dsn_harvest) as connection:
        for table in (
            "finding",
            "finding_occurrence",
            "feedback",
            "triage_verdict",
            "tool_execution",
            "consent",
        ):
            query = f"SELECT count(*) FROM securetag.{table} WHERE tenant_id = %s".encode()
            assert connection.execute(query, [place.tenant_id]).fetchone() == (0,), table


async def test_each_reviewers_last_word_counts(db: AsyncEngine, place: Place, pg_database: Database) -> None:
    await scan(db, place, "a")
    await consent(db, place)
    await judge(db, place, "true_positive", "ana")
    await judge(db, place, "false_positive", "ana")
    await judge(db, place, "true_positive", "ben")
    await judge(db, place, "true_positive", "cleo")
    await judge(db, place, "needs_review", "cleo")
    rows = [row for row in harvest(pg_database.dsn_harvest) if row.tenant_id == place.tenant_id]
    assert [(row.reviewer, row.label) for row in rows] == [
        ("ana", "false_positive"),
        ("ben", "true_positive"),
    ]


async def test_the_code_is_the_code_that_was_judged(
    db: AsyncEngine, place: Place, pg_database: Database
) -> None:
    def seen(snippet: str) -> list[wire.TriagedFinding]:
        verdict = Verdict(decision=Decision.NEEDS_REVIEW, model_id=snippet)
        return [wire.TriagedFinding(finding=make_finding("a", snippet=snippet), verdict=verdict)]

    await consent(db, place)
    await scan(db, place, findings=seen("unguarded"))
    async with tenant_transaction(db, place.tenant_id) as session:
        old = (await session.scalars(select(TriageVerdict))).one()
    await judge(db, place, "true_positive", "ana")
    await scan(db, place, findings=seen("guarded"))
    await judge(db, place, "false_positive", "ben")
    await judge(db, place, "true_positive", "cleo", occurrence_id=old.occurrence_id, verdict_id=old.id)
    rows = [row for row in harvest(pg_database.dsn_harvest) if row.tenant_id == place.tenant_id]
    assert [(row.reviewer, row.finding.snippet, row.model_id) for row in rows] == [
        ("ana", "unguarded", "unguarded"),
        ("ben", "guarded", "guarded"),
        ("cleo", "unguarded", "unguarded"),
    ]


async def test_a_slice_is_stored_and_harvested(db: AsyncEngine, place: Place, pg_database: Database) -> None:
    code = [SliceLine(3, 'TABLE = "users"'), SliceLine(12, "    run('select ' + x)")]
    await consent(db, place)
    finding = make_finding("a", code_slice=code)
    await scan(db, place, findings=[wire.TriagedFinding(finding=finding)])
    await judge(db, place, "true_positive")
    (row,) = [row for row in harvest(pg_database.dsn_harvest) if row.tenant_id == place.tenant_id]
    assert row.finding.code_slice == code


async def test_the_harvest_role_only_reads(pg_database: Database) -> None:
    with psycopg.connect(pg_database.dsn_harvest) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM securetag.finding")
        connection.rollback()
        for hidden in ("api_key", "task", "audit_log", "codeaudit_upload", "idempotency_key"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM securetag.{hidden}".encode())
            connection.rollback()


async def test_a_sensor_hears_of_new_rows_once(db: AsyncEngine, place: Place, pg_database: Database) -> None:
    source = pg_database.dsn_harvest
    cursors = {table: list_new_rows(source, table, None)[1] for table in get_args(WatchedTable)}
    await consent(db, place)
    silent = await make_place(db)
    for scanned in (place, silent):
        await scan(db, scanned, "a")
        await judge(db, scanned, "true_positive")
    for table, cursor in cursors.items():
        number, later = list_new_rows(source, table, cursor)
        assert number == 1
        assert later is not None
        assert list_new_rows(source, table, later) == (0, later)


async def test_what_a_web_application_shows_stays_with_its_tenant(
    db: AsyncEngine, place: Place, pg_database: Database
) -> None:
    web = WebLocation(url="https://shop.example/search", method="GET", parameter="q", evidence="¡sí!\n<b>")
    verdict = Verdict(decision=Decision.TRUE_POSITIVE)
    findings = [
        wire.TriagedFinding(finding=make_finding("web", web=web), verdict=verdict),
        wire.TriagedFinding(finding=make_finding("code"), verdict=verdict),
    ]
    await scan(db, place, findings=findings)
    async with tenant_transaction(db, place.tenant_id) as session:
        stored = (await session.scalars(select(FindingOccurrence.web).order_by(FindingOccurrence.id))).all()
    assert stored == [msgspec.to_builtins(web), None]
    await judge(db, place, "true_positive")
    await consent(db, place)
    rows = [row for row in harvest(pg_database.dsn_harvest) if row.tenant_id == place.tenant_id]
    assert [row.finding.fingerprint for row in rows] == [make_finding("code").fingerprint]
    oldest = list_oldest_findings(pg_database.dsn_harvest)[place.project_id]
    assert (oldest.fingerprint, oldest.web) == (make_finding("code").fingerprint, None)
