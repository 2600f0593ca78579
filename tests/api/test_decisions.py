"""What people decide on findings: lists of what is in the code now, suppressions, settings of a project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from api_in_process import Api, Tenant
from rows import make_finding
from sqlalchemy import select

from securetag.api.findings.statistics import measure_worth
from securetag.db import queue
from securetag.db.engine import tenant_transaction
from securetag.db.models import Project
from securetag.records import CodeIdentity, CodeTerm, Decision, Finding, JsonObject, Verdict
from securetag.wire import queue as wire
from securetag.wire.api import FindingAnswer
from securetag.wire.verdicts import counts, is_dismissed

pytestmark = pytest.mark.anyio


async def scan(api: Api, tenant: Tenant, *findings: Finding, gate: str = "none", **params: str) -> UUID:
    """Store a completed scan of the project `shop`, each finding called a false positive by a model."""
    await tenant.client.post("/projects", json={"name": "shop"})
    async with tenant_transaction(api.engine, tenant.id) as session:
        project_id = (await session.scalars(select(Project.id))).one()
        task_id = await queue.enqueue(
            session, tenant_id=tenant.id, project_id=project_id, kind="codeaudit", params=params
        )
    claim = await queue.claim(api.engine, "w", ["codeaudit"])
    assert claim is not None
    assert claim.lease.task_id == task_id
    verdict = Verdict(decision=Decision.FALSE_POSITIVE, model_id="m", alias="securetag-v1", gate=gate)  # type: ignore[arg-type]
    request = wire.ResultRequest(
        task_id=task_id,
        outcome="completed",
        tool_executions=[
            wire.ToolExecution(
                tool="semgrep",
                version="1",
                arguments=[],
                exit_code=0,
                duration_s=1.0,
                started_at=datetime(2026, 11, 1, tzinfo=UTC),
                metrics=wire.ToolMetrics(coverage=wire.Coverage(files={"python": 1})),
            )
        ],
        findings=[wire.TriagedFinding(finding=finding, verdict=verdict) for finding in findings],
    )
    await queue.record_result(api.engine, claim.lease, request)
    return task_id


async def listed(tenant: Tenant, **query: object) -> list[str]:
    answer = await tenant.client.get("/findings", params=query)
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def first(tenant: Tenant, title: str = "a") -> JsonObject:
    items: list[JsonObject] = (await tenant.client.get("/findings", params={"state": "any"})).json()["items"]
    return next(item for item in items if item["title"] == title)


A = make_finding("a", title="a", path="app/a.py")
B = make_finding(
    "b",
    title="b",
    path="lib/b.py",
    rule_id="python.exec",
    cwe="CWE-78",
    confidence="low",
    severity="critical",
)


async def test_a_list_shows_what_is_in_the_code_now_and_the_rest_on_request(api: Api) -> None:
    tenant = await api.tenant()
    await scan(api, tenant, A, B, branch="main")
    assert await listed(tenant) == ["a", "b"]
    await scan(api, tenant, A, branch="main")
    assert await listed(tenant) == ["a"]
    assert await listed(tenant, state="fixed") == ["b"]
    assert await listed(tenant, state=["open", "fixed"]) == ["a", "b"]
    await scan(api, tenant, A, B, branch="feature")
    assert await listed(tenant) == ["a"]
    assert await listed(tenant, branch="feature") == ["a", "b"]
    b = await first(tenant, "b")
    assert (b["branch"], b["state"]) == ("main", "fixed")


async def test_filters_narrow_the_list(api: Api) -> None:
    tenant = await api.tenant()
    await scan(api, tenant, A, B)
    for query, titles in (
        ({"confidence": "medium"}, ["a"]),
        ({"confidence": "low"}, ["a", "b"]),
        ({"cwe": "CWE-78"}, ["b"]),
        ({"path": "lib/"}, ["b"]),
        ({"path": "l_b/"}, []),
        ({"rule_id": "python.exec"}, ["b"]),
        ({"project": "shop", "severity": "high"}, ["a"]),
        ({"suppressed": "true"}, []),
        ({"suppressed": "false"}, ["a", "b"]),
    ):
        assert await listed(tenant, **query) == titles, query
    assert (await tenant.client.get("/findings", params={"project": "none"})).status_code == 404
    assert (await tenant.client.get("/findings", params={"state": "lost"})).status_code == 422


async def test_a_suppression_hides_a_finding_until_its_code_changes(api: Api) -> None:
    tenant = await api.tenant()
    await scan(api, tenant, A)
    a = await first(tenant)
    body = {"finding_id": a["id"], "occurrence_id": a["occurrence"]["id"], "reason": "behind the firewall"}
    made = await tenant.client.post("/suppressions", json={**body, "owner": "ana"})
    assert made.status_code == 201, made.text
    assert (made.json()["scope"], made.json()["owner"], made.json()["in_force"]) == ("finding", "ana", True)
    await scan(api, tenant, make_finding("a", title="a", path="app/a.py", start_line=90, end_line=90))
    shown = FindingAnswer.model_validate(await first(tenant))
    assert shown.suppression is not None
    assert shown.suppression.reason == "behind the firewall"
    assert not counts(shown)
    assert await listed(tenant, suppressed=True) == ["a"]

    changed = make_finding("a", title="a", path="app/a.py", snippet="def f(x):\n    run('delete ' + x)\n")
    task_id = await scan(api, tenant, changed)
    assert (await first(tenant))["suppression"] is None
    assert (await tenant.client.get("/suppressions")).json()["items"] == []
    lapsed = (await tenant.client.get("/suppressions", params={"all": True})).json()["items"][0]
    assert (lapsed["in_force"], lapsed["lapsed_task_id"]) == (False, str(task_id))
    stale = await tenant.client.post("/suppressions", json=body)
    assert stale.status_code == 409, "the code that was looked at isn't the newest"


async def test_rules_and_paths_are_suppressed_until_a_time(api: Api) -> None:
    tenant = await api.tenant()
    await scan(api, tenant, A, B)
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()

    async def add(**body: object) -> JsonObject:
        answer = await tenant.client.post("/suppressions", json={"project": "shop", "reason": "why", **body})
        assert answer.status_code == 201, answer.text
        made: JsonObject = answer.json()
        return made

    for body, hidden in (
        ({"path": "lib"}, ["b"]),
        ({"path": "*.py"}, []),
        ({"path": "**/*.py", "expires_at": later}, ["a", "b"]),
        ({"path": "**", "rule_id": "python.exec"}, ["b"]),
        ({"path": "app/**", "rule_id": "python.exec"}, []),
    ):
        made = await add(**body)
        assert await listed(tenant, suppressed=True) == hidden, body
        assert (await tenant.client.delete(f"/suppressions/{made['id']}")).status_code == 204
        assert await listed(tenant, suppressed=True) == []
    log = api.query(
        "SELECT action, actor FROM securetag.audit_log WHERE tenant_id = %s AND action LIKE 'suppression%%'",
        tenant.id,
    )
    assert len(log) == 10
    assert set(log) == {("suppression.add", "test"), ("suppression.remove", "test")}


async def test_a_rule_is_not_suppressed_where_another_reports_the_place_too(api: Api) -> None:
    tenant = await api.tenant()
    matches = [
        {
            "tool": "semgrep",
            "rule_id": rule,
            "cwe": "CWE-89",
            "kind": "traced",
            "start_line": 1,
            "end_line": 1,
        }
        for rule in (A.rule_id, "python.other")
    ]
    both = wire.TriagedFinding.model_validate({"finding": {**_fields(A), "matches": matches}}).finding
    await scan(api, tenant, both, B)
    for rule, hidden in ((A.rule_id, []), (B.rule_id, ["b"])):
        body = {"project": "shop", "path": "**", "rule_id": rule, "reason": "why"}
        assert (await tenant.client.post("/suppressions", json=body)).status_code == 201
        assert await listed(tenant, suppressed=True) == hidden


def _fields(finding: Finding) -> JsonObject:
    return {
        name: getattr(finding, name) for name in Finding.__struct_fields__ if name not in {"matches", "trace"}
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"reason": "why"}, 422, id="nothing to hide"),
        pytest.param({"project": "shop", "path": "a", "reason": ""}, 422, id="no reason"),
        pytest.param({"finding_id": str(uuid4()), "reason": "why"}, 422, id="no occurrence"),
        pytest.param({"project": "shop", "rule_id": "r", "reason": "why"}, 422, id="a rule without a path"),
        pytest.param({"project": "none", "path": "a", "reason": "why"}, 404, id="no such project"),
        pytest.param(
            {"finding_id": str(uuid4()), "occurrence_id": str(uuid4()), "reason": "why"}, 404, id="no finding"
        ),
        pytest.param(
            {"project": "shop", "path": "a", "reason": "why", "expires_at": "2020-01-01T00:00:00Z"},
            422,
            id="expired",
        ),
    ],
)
async def test_a_suppression_says_what_and_why(api: Api, body: JsonObject, status: int) -> None:
    tenant = await api.tenant()
    await tenant.client.post("/projects", json={"name": "shop"})
    answer = await tenant.client.post("/suppressions", json=body)
    assert answer.status_code == status, answer.text
    assert (await tenant.client.get("/suppressions", params={"all": True})).json()["items"] == []


async def test_neither_a_scanner_nor_a_worker_suppresses(api: Api) -> None:
    body = {"project": "shop", "path": "a", "reason": "why"}
    for scope in ("read", "scan", "worker"):
        tenant = await api.tenant(scope)
        assert (await tenant.client.post("/suppressions", json=body)).status_code == 403


async def test_feedback_is_on_the_newest_occurrence_of_its_branch(api: Api) -> None:
    tenant = await api.tenant()
    await scan(api, tenant, A, branch="main")
    on_main = (await first(tenant))["occurrence"]["id"]
    await scan(api, tenant, A, branch="feature")
    a = await first(tenant)
    assert a["occurrence"]["id"] == on_main
    body = {"occurrence_id": on_main, "verdict": "false_positive", "saw_model": True}
    answer = await tenant.client.post(f"/findings/{a['id']}/feedback", json=body)
    assert answer.status_code == 201, answer.text
    await scan(api, tenant, A, branch="main")
    assert (await tenant.client.post(f"/findings/{a['id']}/feedback", json=body)).status_code == 409


async def test_a_model_dismisses_only_where_its_gate_the_project_and_the_class_allow_it(api: Api) -> None:
    tenant = await api.tenant()
    injection = make_finding("c", title="c", cwe="CWE-78")

    async def that_count() -> list[str]:
        items = (await tenant.client.get("/findings")).json()["items"]
        return [item["title"] for item in items if counts(FindingAnswer.model_validate(item))]

    await scan(api, tenant, A, B, injection, gate="production")
    assert await that_count() == ["a", "b", "c"]
    project = (await tenant.client.get("/projects")).json()["items"][0]
    assert (project["default_branch"], project["model_may_dismiss"]) == ("main", False)
    changed = await tenant.client.patch(f"/projects/{project['id']}", json={"model_may_dismiss": True})
    assert changed.json() == {**project, "model_may_dismiss": True}
    assert await that_count() == ["b", "c"]
    await scan(api, tenant, A, B, injection, gate="demo")
    assert await that_count() == ["a", "b", "c"]


async def test_settings_of_a_project_are_changed_by_people_and_logged(api: Api) -> None:
    tenant, other = await api.tenant(), await api.tenant()
    project = (await tenant.client.post("/projects", json={"name": "shop"})).json()
    path = f"/projects/{project['id']}"
    assert (await tenant.client.patch(path, json={"default_branch": "trunk"})).status_code == 200
    assert (await other.client.patch(path, json={"default_branch": "mine"})).status_code == 404
    assert (await tenant.client.patch(path, json={"default_branch": "a b"})).status_code == 422
    assert (await tenant.client.patch(path, json={"colour": 1})).status_code == 422
    # Who judges findings also says what counts; a pipeline's key would turn its own check green.
    scanner = api.client(await api.key(tenant.id, "scan", "read"))
    assert (await scanner.patch(path, json={"model_may_dismiss": True})).status_code == 403
    reviewer = api.client(await api.key(tenant.id, "feedback"))
    assert (await reviewer.patch(path, json={"allow_ignore_file": True})).status_code == 200
    assert (await tenant.client.get("/projects")).json()["items"][0]["default_branch"] == "trunk"
    log = api.query("SELECT detail FROM securetag.audit_log WHERE subject = %s", project["id"])
    assert log == [({"default_branch": "trunk"},), ({"allow_ignore_file": True},)]


def _coded(digest: str, sink: str) -> Finding:
    """The finding `a` with other code: digests differ, and so do sinks."""
    identity = CodeIdentity(digest=digest, file=digest, statement="s", sink=CodeTerm(shape=sink))
    return make_finding("a", title="a", identity=identity)


async def count_judged(api: Api, tenant: Tenant) -> list[int]:
    """Findings by which each model's worth is measured."""
    async with tenant_transaction(api.engine, tenant.id) as session:
        return [
            worth.false_alarms_removed.n + worth.vulnerabilities_kept.n
            for worth in await measure_worth(session)
        ]


async def test_a_verdict_is_stale_in_the_branch_whose_code_has_changed_and_in_no_other(api: Api) -> None:
    tenant = await api.tenant()
    await scan(api, tenant, _coded("d1", "s1"), branch="main")
    a = await first(tenant)
    path = f"/findings/{a['id']}/feedback"
    body = {"occurrence_id": a["occurrence"]["id"], "verdict": "false_positive", "saw_model": True}
    given = await tenant.client.post(path, json=body)
    assert given.status_code == 201, given.text

    async def in_branch(branch: str) -> tuple[str | None, bool]:
        """State, and whether the verdict is stale there."""
        items = (await tenant.client.get("/findings", params={"branch": branch})).json()["items"]
        (item,) = [item for item in items if item["id"] == a["id"]]
        return item["state"], item["verdict_stale_task_id"] is not None

    await scan(api, tenant, _coded("d2", "s2"), branch="feature")
    assert await in_branch("feature") == ("open", True)
    assert await in_branch("main") == ("new", False), "main's code is what was judged"
    # In main the verdict still dismisses it, in the branch it doesn't.
    on_main = FindingAnswer.model_validate((await tenant.client.get(f"/findings/{a['id']}")).json())
    params = {"branch": "feature"}
    answer = await tenant.client.get(f"/findings/{a['id']}", params=params)
    on_branch = FindingAnswer.model_validate(answer.json())
    assert (is_dismissed(on_main), is_dismissed(on_branch)) == (True, False)
    reviewed = (await tenant.client.get("/findings", params={"reviewed": "true"})).json()["items"]
    assert [item["id"] for item in reviewed] == [a["id"]]
    # The person's verdict counts for the model's worth as long as it holds for the default branch.
    assert await count_judged(api, tenant) == [1]

    # A verdict on the branch's code holds there, and no longer for main's.
    body |= {"occurrence_id": str(on_branch.occurrence.id), "verdict": "true_positive"}
    second = await tenant.client.post(path, json=body)
    assert second.status_code == 201, second.text
    assert await in_branch("feature") == ("open", False)
    assert await in_branch("main") == ("new", True)
    # Taken back, the one before stands again.
    assert (await tenant.client.delete(f"{path}/{second.json()['id']}")).status_code in {200, 204}
    assert await in_branch("feature") == ("open", True)
    assert await in_branch("main") == ("new", False)

    # Main changes too, and is reopened; the branch gets the judged code back.
    await scan(api, tenant, _coded("d3", "s3"), branch="main")
    await scan(api, tenant, _coded("d1", "s1"), branch="feature")
    assert await in_branch("main") == ("reopened", True)
    assert await in_branch("feature") == ("open", False)
    assert await count_judged(api, tenant) == []
