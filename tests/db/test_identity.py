"""A verdict stays where it was given, whatever else of the same code appears in a scan."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres import Database
from rows import Place as Project
from rows import make_finding, make_place, make_task, result
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from securetag.api.findings import repository as findings
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.harvest import harvest
from securetag.db.identity import Place, assign, separate_fingerprint
from securetag.db.models import Consent, Finding, FindingOccurrence
from securetag.wire import queue as wire

SHARED = make_finding("a").fingerprint


def place(path: str, line: int = 1) -> Place:
    return Place(SHARED, path, line, line)


def separate(path: str, ordinal: int = 0) -> str:
    return separate_fingerprint(place(path), ordinal)


@pytest.mark.parametrize(
    ("last_paths", "scan", "stored"),
    [
        pytest.param({}, [("b.py", 1)], [SHARED], id="the first scan"),
        pytest.param({}, [("b.py", 1), ("a.py", 1)], [separate("b.py"), SHARED], id="copies at first"),
        pytest.param(
            {SHARED: "b.py"}, [("a.py", 1), ("b.py", 1)], [separate("a.py"), SHARED], id="an earlier copy"
        ),
        pytest.param({SHARED: "a.py"}, [("b.py", 1)], [SHARED], id="a moved file"),
        pytest.param(
            {SHARED: "a.py"},
            [("b.py", 1), ("c.py", 1)],
            [separate("b.py"), separate("c.py")],
            id="two candidates for a moved file",
        ),
        pytest.param(
            {SHARED: "a.py", separate("b.py"): "b.py"},
            [("b.py", 1)],
            [separate("b.py")],
            id="the reviewed one is gone, its copy stays",
        ),
        pytest.param(
            {SHARED: "a.py", separate("b.py"): "b.py"},
            [("b.py", 1), ("c.py", 1)],
            [separate("b.py"), SHARED],
            id="the reviewed one moves, its copy stays",
        ),
        pytest.param(
            {SHARED: "a.py"},
            [("a.py", 9), ("a.py", 2)],
            [separate("a.py", 1), SHARED],
            id="twice in one file",
        ),
    ],
)
def test_a_place_is_the_finding_that_it_was(
    last_paths: dict[str, str], scan: list[tuple[str, int]], stored: list[str]
) -> None:
    assert assign([place(*at) for at in scan], last_paths) == stored


@given(
    scans=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), min_size=1, max_size=5),
    data=st.data(),
)
def test_no_two_places_are_one_finding_and_order_does_not_count(
    scans: list[list[str]], data: st.DataObject
) -> None:
    last_paths: dict[str, str] = {}
    for paths in scans:
        places = [place(path, line) for line, path in enumerate(paths)]
        stored = assign(places, last_paths)
        assert len(set(stored)) == len(stored)
        shuffled = data.draw(st.permutations(list(zip(places, stored, strict=True))))
        assert assign([at for at, _ in shuffled], last_paths) == [name for _, name in shuffled]
        # A finding changes its path only where its old path holds none of its code any more.
        for at, name in zip(places, stored, strict=True):
            assert last_paths.get(name, at.path) == at.path or last_paths[name] not in paths
        last_paths |= {name: at.path for at, name in zip(places, stored, strict=True)}


async def scan(db: AsyncEngine, project: Project, *paths: str) -> None:
    task_id = await make_task(db, project)
    claim = await queue.claim(db, "w", ["codeaudit"])
    assert claim is not None
    triaged = [wire.TriagedFinding(finding=make_finding("a", path=path, snippet=path)) for path in paths]
    async with tenant_transaction(db, project.tenant_id) as session:
        await queue.record_result(session, claim.lease, result(task_id, findings=triaged))


async def ids(db: AsyncEngine, project: Project) -> dict[str, UUID]:
    """Path of the newest occurrence → finding."""
    async with tenant_transaction(db, project.tenant_id) as session:
        rows = await findings.list_findings(session, after=None, limit=100)
        return {row[1].path: row[0].id for row in rows}


@pytest.mark.anyio
async def test_a_copy_in_an_earlier_path_does_not_take_over_the_verdict(
    db: AsyncEngine, pg_database: Database
) -> None:
    project = await make_place(db)
    await scan(db, project, "reviewed.py")
    reviewed = (await ids(db, project))["reviewed.py"]
    async with tenant_transaction(db, project.tenant_id) as session:
        session.add(Consent(tenant_id=project.tenant_id, granted_by="ana"))
        shown = await session.scalar(select(FindingOccurrence.id))
        assert shown is not None
        await findings.add_feedback(
            session,
            project.tenant_id,
            reviewed,
            occurrence_id=shown,
            verdict="false_positive",
            disposition=None,
            comment="",
            saw_model=False,
            source="person",
            reviewer="ana",
            api_key_id=None,
        )
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
        rows = await session.execute(
            select(FindingOccurrence.path, Finding.fingerprint).join(
                Finding, Finding.id == FindingOccurrence.finding_id
            )
        )
        assert {row.path: row.fingerprint for row in rows} == {"a.py": SHARED, "b.py": separate("b.py")}
