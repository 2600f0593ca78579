"""A verdict stays where it was given, whatever else of the same code appears in a scan."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from postgres import Database
from rows import Place as Project
from rows import make_finding, make_place, make_task, result
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.api.feedback import repository as feedback
from securetag.api.findings import repository as findings
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.harvest import harvest
from securetag.db.models import ApiKey, Consent, Finding, Task
from securetag.db.repositories.keys import Principal, create_key
from securetag.records import CodeIdentity, CodeTerm, Decision, Verdict
from securetag.settings import LOCAL_PEPPER
from securetag.wire import queue as wire
from securetag.wire.feedback import FeedbackBody


def code(guard: str = "is_allowed", **changes: Any) -> CodeIdentity:
    """The identity of code with one guard."""
    fields: dict[str, Any] = {
        "digest": guard or "no guard",
        "file": "f",
        "statement": "s",
        "sink": CodeTerm("run"),
        "guards": [CodeTerm(guard)] if guard else [],
    }
    return CodeIdentity(**{**fields, **changes})


async def scan(db: AsyncEngine, project: Project, *paths: str, **changes: Any) -> None:
    task_id = await make_task(db, project)
    claim = await queue.claim(db, "w", ["codeaudit"])
    assert claim is not None
    verdict = changes.pop("model_verdict", None)
    triaged = [
        wire.TriagedFinding(
            finding=make_finding("a", **{"path": path, "snippet": path, **changes}), verdict=verdict
        )
        for path in paths
    ]
    await queue.record_result(db, claim.lease, result(task_id, findings=triaged))


async def ids(db: AsyncEngine, project: Project) -> dict[str, UUID]:
    """Path of the newest occurrence → finding."""
    async with tenant_transaction(db, project.tenant_id) as session:
        rows = await findings.list_findings(session, after=None, limit=100)
        return {row[1].path: row[0].id for row in rows}


async def judge(db: AsyncEngine, project: Project, finding_id: UUID) -> UUID:
    """A person's `false_positive` on the newest occurrence, whose id is returned."""
    await create_key(db, project.tenant_id, "ana", ("feedback",), LOCAL_PEPPER)
    async with tenant_transaction(db, project.tenant_id) as session:
        key_id = (await session.scalars(select(ApiKey.id).limit(1))).one()
        row = await findings.get_finding(session, finding_id)
        caller = Principal(project.tenant_id, key_id, "ana", frozenset({"feedback"}))
        body = FeedbackBody(occurrence_id=row[1].id, verdict="false_positive", saw_model=False)
        await feedback.add_feedback(session, caller, finding_id, body)
        shown: UUID = row[1].id
        return shown


async def stale_since(db: AsyncEngine, project: Project) -> UUID | None:
    """Of the project's only finding."""
    async with tenant_transaction(db, project.tenant_id) as session:
        return (await session.scalars(select(Finding.verdict_stale_task_id))).one()


@pytest.mark.anyio
async def test_a_copy_in_an_earlier_path_does_not_take_over_the_verdict(
    db: AsyncEngine, pg_database: Database
) -> None:
    project = await make_place(db)
    await scan(db, project, "reviewed.py")
    reviewed = (await ids(db, project))["reviewed.py"]
    async with tenant_transaction(db, project.tenant_id) as session:
        session.add(Consent(tenant_id=project.tenant_id, granted_by="ana"))
    shown = await judge(db, project, reviewed)
    for _ in range(2):
        await scan(db, project, "an/earlier/copy.py", "reviewed.py", "zz.py")
        now = await ids(db, project)
        assert len(now) == 3
        assert now["reviewed.py"] == reviewed
        async with tenant_transaction(db, project.tenant_id) as session:
            rows = await findings.list_findings(session, after=None, limit=100)
            assert {row[1].path: row[3] is not None for row in rows} == {
                "an/earlier/copy.py": False,
                "reviewed.py": True,
                "zz.py": False,
            }
    rows = [row for row in harvest(pg_database.dsn_harvest) if row.tenant_id == project.tenant_id]
    assert [(row.finding.path, row.finding.snippet, row.occurrence_id) for row in rows] == [
        ("reviewed.py", "reviewed.py", shown)
    ]


@pytest.mark.anyio
async def test_another_project_knows_nothing_of_it(db: AsyncEngine) -> None:
    project = await make_place(db)
    await scan(db, project, "b.py")
    other = await make_place(db)
    await scan(db, other, "a.py", "b.py")
    async with tenant_transaction(db, other.tenant_id) as session:
        rows = (await session.scalars(select(Finding))).all()
        assert len(rows) == 2
        assert len({row.fingerprint for row in rows}) == 1, "twins share the fingerprint"


@pytest.mark.anyio
async def test_a_moved_file_takes_its_finding_along_and_a_fixed_one_does_not_move_later(
    db: AsyncEngine,
) -> None:
    project = await make_place(db)
    await scan(db, project, "a.py")
    first = (await ids(db, project))["a.py"]
    await scan(db, project, "b.py")
    assert await ids(db, project) == {"b.py": first}
    await scan(db, project)
    await scan(db, project, "c.py")
    assert set(await ids(db, project)) == {"b.py", "c.py"}


@pytest.mark.anyio
async def test_a_person_s_verdict_is_stale_while_the_guard_is_gone(db: AsyncEngine) -> None:
    project = await make_place(db)
    await scan(db, project, "a.py", identity=code())
    finding = (await ids(db, project))["a.py"]
    await judge(db, project, finding)
    await scan(db, project, "a.py", identity=code(), start_line=20, end_line=20)
    assert await stale_since(db, project) is None
    await scan(db, project, "a.py", identity=code(guard=""))
    since = await stale_since(db, project)
    async with tenant_transaction(db, project.tenant_id) as session:
        assert since == await session.scalar(select(Task.id).order_by(Task.id.desc()).limit(1))
    await scan(db, project, "a.py", identity=code(guard=""))
    assert await stale_since(db, project) == since, "since which scan is kept"
    await scan(db, project, "a.py", identity=code())
    assert await stale_since(db, project) is None, "the judged code is back"
    await scan(db, project, "a.py", identity=code(guard=""))
    assert await stale_since(db, project) is not None
    await judge(db, project, finding)
    assert await stale_since(db, project) is None, "the person has judged this code"


@pytest.mark.anyio
async def test_a_model_s_verdict_is_stale_until_a_model_looks_again(db: AsyncEngine) -> None:
    project = await make_place(db)
    verdict = Verdict(decision=Decision.FALSE_POSITIVE, model_id="m")
    await scan(db, project, "a.py", identity=code(), model_verdict=verdict)
    assert await stale_since(db, project) is None
    await scan(db, project, "a.py", identity=code(guard=""))
    since = await stale_since(db, project)
    assert since is not None
    await scan(db, project, "a.py", identity=code(guard=""))
    assert await stale_since(db, project) == since
    await scan(db, project, "a.py", identity=code(guard=""), model_verdict=verdict)
    assert await stale_since(db, project) is None


@pytest.mark.anyio
async def test_a_finding_from_before_code_was_compared_stays_while_its_snippet_does(db: AsyncEngine) -> None:
    project = await make_place(db)
    await scan(db, project, "a.py")
    finding = (await ids(db, project))["a.py"]
    await judge(db, project, finding)
    now = {"fingerprint": "v2:" + "0" * 64, "identity": code()}
    await scan(db, project, "a.py", **now)
    assert (await ids(db, project), await stale_since(db, project)) == ({"a.py": finding}, None)
    await scan(db, project, "a.py", **now, snippet="other code")
    assert await stale_since(db, project) is not None
