"""A tenant is forgotten: demand, harvest, release, models, receipt; another tenant isn't touched."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest
from api_in_process import Api, Tenant
from postgres import Database
from pydantic import SecretStr
from rows import Place, make_finding, make_task, result
from sqlalchemy import select
from uuid_utils.compat import uuid7

from securetag.api.projects import repository as projects
from securetag.datasets.build import BuildParams
from securetag.datasets.feedback.harvest import SOURCE
from securetag.datasets.releases import release
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.harvest import harvest as consented
from securetag.db.models import Finding
from securetag.errors import DatabaseUnavailableError, NotFoundError, ReleaseError
from securetag.pipeline import erasure
from securetag.pipeline.harvest import harvest, read_harvest
from securetag.pipeline.release import build_release
from securetag.pipeline.trace import trace
from securetag.records import Decision, Example, Verdict
from securetag.serving.registry import ModelEntry, Registry
from securetag.settings import Settings
from securetag.wire import queue as wire

pytestmark = pytest.mark.anyio

#: Small and quick: no synthetic rows, so neither sandbox nor scanner.
PARAMS = BuildParams(synthetic=0, knowledge=0)


#: Bodies that share no run of words, so that none is another's near duplicate.
BODIES = {
    "only_anas": "    row = db.execute('select name from users where id=' + q).fetchone()\n    return row\n",
    "only_bens": "    cursor.executescript(f'drop table {q}')\n    log.info('table %s is gone', q)\n",
    "shared": "    statement = 'update stock set n = 0 where part = %s' % q\n    connection.run(statement)\n",
    "before": "    for old in session.query(text('archive_' + q)):\n        yield old.title\n",
    "ended": "    os.popen('convert ' + q + ' /var/pictures/small.png').read()\n    return send(q)\n",
    "stands": "    with open('reports/' + q) as report:\n        print(report.readline())\n",
    "after": "    return engine.scalar('values (' + ','.join(q) + ')') or raise_missing(q)\n",
}


def code(name: str) -> str:
    return f"def {name}(q):\n" + BODIES.get(name, f"    return db.execute('select {name}' + q)\n")


async def judged(api: Api, tenant: Tenant, *names: str, project: str = "shop") -> dict[str, UUID]:
    """A scan with these findings, each called a true positive; name → finding."""
    async with tenant_transaction(api.engine, tenant.id) as session:
        place = Place(tenant.id, await projects.ensure_project(session, tenant.id, project))
    task_id = await make_task(api.engine, place)
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    verdict = Verdict(decision=Decision.TRUE_POSITIVE, evidence=[(12, 12)], model_id="m", alias="base")
    triaged = [
        wire.TriagedFinding(finding=make_finding(name, snippet=code(name), scope=name), verdict=verdict)
        for name in names
    ]
    await queue.record_result(api.engine, claim.lease, result(task_id, findings=triaged))
    async with tenant_transaction(api.engine, tenant.id) as session:
        rows = (await session.scalars(select(Finding).where(Finding.last_task_id == task_id))).all()
        ids = {
            name: row.id
            for name in names
            for row in rows
            if row.fingerprint == make_finding(name).fingerprint
        }
    for finding_id in ids.values():
        await judge(tenant, finding_id, "true_positive")
    return ids


async def judge(tenant: Tenant, finding_id: UUID, verdict: str) -> None:
    """Feedback on the newest occurrence."""
    path = f"/findings/{finding_id}"
    shown = (await tenant.client.get(path)).json()["occurrence"]["id"]
    body = {"occurrence_id": shown, "verdict": verdict, "saw_model": False}
    assert (await tenant.client.post(f"{path}/feedback", json=body)).status_code == 201


async def consent(tenant: Tenant) -> str:
    granted = (await tenant.client.put("/consent", json={"granted": True})).json()
    return str(granted["consent_id"])


def names_in_release(folder: str) -> set[str]:
    """Names of the functions that a release teaches, known by their texts: a small model reads no names."""
    contents = release.read_release(Path(folder))
    rows: list[Example] = [*contents.train, *contents.validation, *contents.test]
    texts = [row.messages[1].content for row in rows if row.source == SOURCE]
    marks = {name: re.split("['{]", body)[1] for name, body in BODIES.items()}
    return {name for name, mark in marks.items() if any(f"'{mark}" in text for text in texts)}


@pytest.fixture
def as_harvest(api: Api, pg_database: Database) -> Settings:
    """The installation as the pipeline's harvest reaches it."""
    return Settings(
        database_url=SecretStr(pg_database.dsn_harvest), home=api.settings.home, data=api.settings.data
    )


async def test_two_tenants_one_is_erased(api: Api, as_harvest: Settings) -> None:
    ana, ben = await api.tenant(), await api.tenant()
    hers = await judged(api, ana, "only_anas") | await judged(api, ana, "shared", project="common")
    await judged(api, ben, "only_bens")
    await judged(api, ben, "shared", project="common")
    given = await consent(ana)
    await consent(ben)
    harvest(as_harvest)
    first = build_release(PARAMS, as_harvest)
    assert names_in_release(first.path) == {"only_anas", "only_bens", "shared"}
    models = Registry(api.settings.models_dir)
    models.models_dir.mkdir(parents=True)
    (models.models_dir / "m.gguf").touch()
    for model_id, trained in (("a" * 64, first.digest), ("b" * 64, "f" * 64)):
        models.add(
            ModelEntry(
                model_id=model_id,
                path="m.gguf",
                file_sha256="0" * 64,
                base="b",
                quantisation="Q8_0",
                licence="Apache-2.0",
                release=trained,
            )
        )

    response = await ana.client.post("/erasure", json={}, headers={"Idempotency-Key": "e"})
    again = await ana.client.post("/erasure", json={}, headers={"Idempotency-Key": "e"})
    assert (response.status_code, again.json()) == (202, response.json())
    request = response.json()
    assert (request["completed_at"], request["requested_by"]) == (None, "test")
    assert not (await ana.client.get("/consent")).json()["granted"]
    assert (await ben.client.get("/consent")).json()["granted"]

    receipts = [r for r in await erasure.erase_pending(api.settings) if r.id == request["id"]]
    (receipt,) = receipts
    assert (receipt.subject.kind, receipt.subject.id, receipt.consents) == ("tenant", str(ana.id), [given])
    assert [(affected.release, affected.examples) for affected in receipt.releases] == [(first.release, 2)]
    assert [model.model_id for model in receipt.models] == ["a" * 64]
    assert [entry.erasures for entry in models.list()] == [[receipt.id], []]
    folder = api.settings.data / "erasures"
    rows = (folder / f"{receipt.id}.rows.jsonl").read_bytes()
    assert hashlib.sha256(rows).hexdigest() == receipt.rows_sha256
    assert {json.loads(line)["release"] for line in rows.splitlines()} == {first.release}
    assert msgspec.json.decode((folder / f"{receipt.id}.json").read_bytes(), type=erasure.Receipt) == receipt

    # Without another harvest and with one: hers are gone, his stay, the shared row rests on his alone.
    for _ in range(2):
        later = build_release(PARAMS, as_harvest)
        assert names_in_release(later.path) == {"only_bens", "shared"}
        assert later.release != first.release
        harvest(as_harvest)
    assert trace(str(hers["shared"]), api.settings).places[0].release == first.release
    assert [place.release for place in trace(str(ana.id), api.settings).places] == [first.release]
    assert {p.release for p in trace(str(ben.id), api.settings).places} == {first.release, later.release}
    release.verify_release(Path(first.path))  # what exists isn't changed

    done = (await ana.client.get(f"/erasure/{request['id']}")).json()
    assert done["completed_at"]
    assert done["detail"]["models"] == [{"model_id": "a" * 64, "release": first.release}]
    assert await erasure.erase_pending(api.settings) == []


async def test_a_later_consent_covers_later_words_alone(api: Api, as_harvest: Settings) -> None:
    tenant = await api.tenant()
    finding_ids = await judged(api, tenant, "before")
    await consent(tenant)
    await tenant.client.post("/erasure", json={})
    await erasure.erase_pending(api.settings)
    await consent(tenant)
    harvest(as_harvest)
    assert mine(as_harvest, tenant) == set()
    await judged(api, tenant, "after")
    await judge(tenant, finding_ids["before"], "false_positive")
    harvest(as_harvest)
    assert mine(as_harvest, tenant) == {"after", "before"}
    assert "after" in names_in_release(build_release(PARAMS, as_harvest).path)


async def test_a_consent_that_ended_after_the_harvest_is_asked_for_anew_by_every_build(
    api: Api, as_harvest: Settings
) -> None:
    ana, ben = await api.tenant(), await api.tenant()
    for tenant, name in ((ana, "ended"), (ben, "stands")):
        await judged(api, tenant, name)
        await consent(tenant)
    harvest(as_harvest)
    assert {"ended", "stands"} <= names_in_release(build_release(PARAMS, as_harvest).path)
    await ana.client.put("/consent", json={"granted": False})
    later = build_release(PARAMS, as_harvest)
    assert "ended" not in names_in_release(later.path)
    assert "stands" in names_in_release(later.path)
    assert later.dropped["verdict_consent_ended"] == 1

    away = as_harvest.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:1/none")})
    with pytest.raises(DatabaseUnavailableError, match="consents are still given") as refused:
        build_release(PARAMS, away)
    assert "--no-harvest" in refused.value.hint
    with pytest.raises(ReleaseError, match="nothing is left"):
        build_release(PARAMS, away, harvest=False)


async def test_a_finding_or_project_is_forgotten_for_good(api: Api, as_harvest: Settings) -> None:
    tenant = await api.tenant()
    finding_ids = await judged(api, tenant, "kept", "named")
    await judged(api, tenant, "elsewhere", project="other")
    await consent(tenant)
    harvest(as_harvest)
    assert mine(as_harvest, tenant) == {"kept", "named", "elsewhere"}
    listed = (await tenant.client.get("/projects")).json()["items"]
    other = next(project["id"] for project in listed if project["name"] == "other")
    for body in ({"finding_id": str(finding_ids["named"])}, {"project_id": other}):
        assert (await tenant.client.post("/erasure", json=body)).status_code == 202
    assert (await tenant.client.get("/consent")).json()["granted"]
    receipts = [r for r in await erasure.erase_pending(api.settings) if r.subject.tenant_id == str(tenant.id)]
    assert [(r.subject.kind, len(r.findings), r.harvest_rows) for r in receipts] == [
        ("finding", 1, 1),
        ("project", 1, 1),
    ]
    assert mine(as_harvest, tenant) == {"kept"}
    # Said again, scanned again, harvested again: it stays away.
    await judged(api, tenant, "named")
    await judged(api, tenant, "elsewhere", project="other")
    harvest(as_harvest)
    assert mine(as_harvest, tenant) == {"kept"}
    with psycopg.connect(as_harvest.database_url.get_secret_value()) as connection:  # type: ignore[union-attr]
        for table in ("finding_occurrence", "triage_verdict", "feedback"):
            query = f"SELECT count(*) FROM securetag.{table} WHERE finding_id = %s".encode()
            assert connection.execute(query, [finding_ids["named"]]).fetchone() == (0,), table
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT requested_by FROM securetag.erasure_request")


def mine(settings: Settings, tenant: Tenant) -> set[str]:
    """Functions of a tenant in the harvest's file, which must be those that the database shows."""
    rows = [
        row
        for row in read_harvest(settings.records_dir / "harvest.jsonl")
        if row.origin.tenant_id == str(tenant.id)
    ]
    shown = {row.finding.scope for row in consented(settings) if row.tenant_id == tenant.id}
    assert {row.finding.scope for row in rows} == shown
    return shown


async def test_demands_are_a_tenants_own(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    finding_ids = await judged(api, other, "foreign")
    for body in ({"finding_id": str(finding_ids["foreign"])}, {"project_id": str(uuid7())}):
        assert (await tenant.client.post("/erasure", json=body)).status_code == 404
    both = {"finding_id": str(uuid7()), "project_id": str(uuid7())}
    for bad in (both, {"colour": "red"}, {"finding_id": "x"}):
        assert (await tenant.client.post("/erasure", json=bad)).status_code == 422
    for _ in range(3):
        made = (await other.client.post("/erasure", json={"finding_id": str(finding_ids["foreign"])})).json()
    assert (await tenant.client.get(f"/erasure/{made['id']}")).status_code == 404
    assert (await tenant.client.get("/erasure")).json()["items"] == []
    page = (await other.client.get("/erasure", params={"limit": 2})).json()
    rest = (await other.client.get("/erasure", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [item["id"] for item in [*page["items"], *rest["items"]]][-1] == made["id"]
    reader = api.client(await api.key(tenant.id, "read", "scan", "feedback"))
    assert (await reader.post("/erasure", json={})).status_code == 403
    actions = api.query("SELECT action FROM securetag.audit_log WHERE tenant_id = %s", other.id)
    assert [action for (action,) in actions].count("erasure.request") == 3


async def test_an_operator_demands_for_a_tenant(api: Api) -> None:
    tenant = await api.tenant()
    with pytest.raises(NotFoundError):
        await erasure.request_erasure(api.settings, uuid7())
    made = await erasure.request_erasure(api.settings, tenant.id)
    receipts = await erasure.erase_pending(api.settings)
    assert str(made) in {receipt.id for receipt in receipts}
    assert (await tenant.client.get(f"/erasure/{made}")).json()["requested_by"] == "operator"


async def test_a_broken_receipt_stops_the_build(api: Api, as_harvest: Settings) -> None:
    (api.settings.data / "erasures").mkdir(parents=True)
    (api.settings.data / "erasures" / "x.json").write_text('{"schema": 1')
    with pytest.raises(ReleaseError, match="no receipt"):
        build_release(PARAMS, as_harvest)
