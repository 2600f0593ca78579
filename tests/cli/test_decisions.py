"""Decisions at the command line: the real api in a process of its own, and real repositories of git."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest
from click.testing import Result
from deployment import Deployment, deployed
from postgres import Database
from rows import make_finding
from sqlalchemy import select
from typer.testing import CliRunner

from securetag.cli import app
from securetag.cli.findings import judge, show
from securetag.cli.scan.compare import load_baseline, select_changed
from securetag.cli.scan.git import Checkout, Git, read_diff
from securetag.client.api import ApiClient
from securetag.db import queue
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import create_engine, tenant_transaction
from securetag.db.models import DISPOSITIONS, Project
from securetag.errors import InputError
from securetag.records import BranchState, Decision, Finding, JsonObject
from securetag.wire import queue as wire
from securetag.wire.api import FindingAnswer, OccurrenceAnswer

A = make_finding("a", title="a", path="app/a.py")
B = make_finding("b", title="b", path="lib/b.py")


def run_git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *settings, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a commit on `main`, and a branch `feature` that is checked out."""
    folder = tmp_path / "repository"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop/app.py").write_text("".join(f"line_{n} = {n}\n" for n in range(1, 31)))
    run_git(folder, "init", "-q", "-b", "main")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "-q", "-m", "first")
    run_git(folder, "checkout", "-q", "-b", "feature")
    return folder


def test_a_checkout_says_branch_and_commit_unless_files_are_changed(repository: Path, tmp_path: Path) -> None:
    git = Git(repository / "shop", {})
    commit = run_git(repository, "rev-parse", "HEAD")
    assert git.read_checkout() == Checkout("feature", commit)
    (repository / "shop/app.py").write_text("changed = 1\n")
    assert git.read_checkout() == Checkout("feature", None)
    run_git(repository, "checkout", "-q", "--detach", "--force")
    assert git.read_checkout() == Checkout(None, commit)
    assert Git(repository / "shop", {"GITHUB_HEAD_REF": "pull"}).read_checkout() == Checkout("pull", commit)
    assert Git(tmp_path, {}).read_checkout() == Checkout()


def test_changed_lines_are_those_since_the_branch_began(repository: Path) -> None:
    lines = (repository / "shop/app.py").read_text().splitlines(keepends=True)
    lines[4] = "+++ b/other.py\n"  # code that looks like a header of the diff
    lines[9:9] = ["added = 1\n", "added = 2\n"]
    del lines[20]
    (repository / "shop/app.py").write_text("".join(lines))
    (repository / "shop/año nuevo.py").write_text("x = 1\n")
    run_git(repository, "add", ".")
    run_git(repository, "commit", "-q", "-m", "second")
    (repository / "shop/untracked.py").write_text("y = 1\n")
    run_git(repository, "checkout", "-q", "main")
    (repository / "shop/main.py").write_text("only_in_main = 1\n")
    run_git(repository, "add", "shop/main.py")
    run_git(repository, "commit", "-q", "-m", "later")
    run_git(repository, "checkout", "-q", "feature")
    changes = Git(repository / "shop").changed_lines("main")
    assert changes["app.py"] == [(5, 5), (10, 11)]
    assert changes["año nuevo.py"] == [(1, 1)]
    assert set(changes) == {"app.py", "año nuevo.py", "untracked.py"}
    with pytest.raises(InputError, match="origin/none"):
        Git(repository / "shop").changed_lines("origin/none")


def test_a_diff_with_an_odd_name_is_read() -> None:
    diff = '--- "a/a\\"b.py"\n+++ "b/a\\"b.py"\n@@ -1 +1,2 @@\n-x\n+y\n+z\n@@ -9,3 +9,0 @@\n-a\n-b\n-c\n'
    assert read_diff(diff) == {'a"b.py': [(1, 2)]}


@pytest.mark.parametrize(
    ("changes", "is_touched"),
    [
        pytest.param({"app/a.py": [(12, 12)]}, True, id="its line"),
        pytest.param({"app/a.py": [(1, 11), (14, 99)]}, False, id="around it"),
        pytest.param({"lib/b.py": [(12, 12)]}, False, id="another file"),
        pytest.param({"app/forms.py": [(3, 4)]}, True, id="a step of its data flow"),
    ],
)
def test_a_finding_is_of_a_change_that_touches_it(
    changes: dict[str, list[tuple[int, int]]], is_touched: bool
) -> None:
    step = {"path": "app/forms.py", "start_line": 4, "end_line": 4, "text": ""}
    finding = FindingAnswer.model_construct(
        matches=[],
        occurrence=OccurrenceAnswer.model_validate(
            {
                "id": UUID(int=1),
                "task_id": UUID(int=2),
                "path": "app/a.py",
                "start_line": 12,
                "end_line": 13,
                "snippet": "",
                "snippet_line": 1,
                "scope": "",
                "path_class": "source",
                "trace": [step],
            }
        ),
    )
    assert bool(select_changed([finding], changes)) is is_touched


def test_the_options_name_what_the_api_knows() -> None:
    assert set(show.State) == {*get_args(BranchState), "any"}
    assert set(get_args(judge.Decision)) == set(Decision)
    assert set(get_args(judge.Disposition)) == set(DISPOSITIONS)


@pytest.fixture(scope="module")
def platform(
    pg_database: Database, pg_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    superuser = pg_cluster.dsn(pg_database.name, SUPERUSER)
    with deployed(tmp_path_factory.mktemp("decisions"), pg_database.dsn_api, superuser) as deployment:
        yield deployment


def store(platform: Deployment, database: Database, project: str, *findings: Finding, **params: str) -> UUID:
    """Store a completed scan, as a worker's result does."""
    with platform.http() as client:
        client.post("/projects", json={"name": project})
    ((tenant_id,),) = platform.query("SELECT tenant_id FROM securetag.project WHERE name = %s", project)

    async def run() -> UUID:
        engine = create_engine(database.dsn_api)
        async with tenant_transaction(engine, tenant_id) as session:
            project_id = (await session.scalars(select(Project.id).where(Project.name == project))).one()
            task_id = await queue.enqueue(
                session, tenant_id=tenant_id, project_id=project_id, kind="codeaudit", params=params
            )
        claim = await queue.claim(engine, "w", ["codeaudit"])
        assert claim is not None
        execution = {
            "tool": "semgrep",
            "version": "1",
            "arguments": [],
            "exit_code": 0,
            "duration_s": 1,
            "started_at": datetime(2026, 11, 1, tzinfo=UTC),
            "metrics": wire.ToolMetrics(coverage=wire.Coverage(files={"python": 1})),
        }
        request = wire.ResultRequest(
            task_id=task_id,
            outcome="completed",
            tool_executions=[wire.ToolExecution.model_validate(execution)],
            findings=[wire.TriagedFinding(finding=finding) for finding in findings],
        )
        await queue.record_result(engine, claim.lease, request)
        await engine.dispose()
        return task_id

    return asyncio.run(run())


def invoke(platform: Deployment, *arguments: object) -> Result:
    where = ["--api", platform.url, "--key", platform.key]
    return CliRunner().invoke(app, [*map(str, arguments), *where])


def read(platform: Deployment, *arguments: object) -> list[JsonObject]:
    """Return what a command prints as JSON; a single object as a list of one."""
    done = invoke(platform, *arguments, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    return answer if isinstance(answer, list) else [answer]


@pytest.mark.sockets
def test_findings_are_listed_shown_judged_and_suppressed(platform: Deployment, pg_database: Database) -> None:
    task = store(platform, pg_database, "shop", A, B)
    listed = read(platform, "findings", "list", "--project", "shop")
    assert [(item["title"], item["state"]) for item in listed] == [("a", "new"), ("b", "new")]
    a, b = listed
    assert a["id"] in invoke(platform, "findings", "list", "--path", "app/").stdout
    shown = invoke(platform, "findings", "show", a["id"])
    assert f"occurrence: {a['occurrence']['id']}" in shown.stdout

    judge = ("feedback", a["id"], "--verdict", "false_positive", "--comment", "a constant")
    unnamed = invoke(platform, *judge)
    assert unnamed.exit_code == 1
    assert f"--occurrence {a['occurrence']['id']}" in unnamed.output
    (said,) = read(platform, *judge, "--occurrence", a["occurrence"]["id"])
    assert (said["verdict"], said["occurrence_id"]) == ("false_positive", a["occurrence"]["id"])
    scan = invoke(platform, "scan", "--resume", task, "--fail-on", "high")
    assert scan.exit_code == 1, "b counts"
    check_filters(platform, a, b)

    suppressed = invoke(
        platform,
        "findings",
        "suppress",
        b["id"],
        "--occurrence",
        b["occurrence"]["id"],
        "--reason",
        "no input",
    )
    assert suppressed.exit_code == 0, suppressed.output
    scan = invoke(platform, "scan", "--resume", task, "--fail-on", "high")
    assert scan.exit_code == 0, scan.output
    assert "suppressed, not counted: 1 (1 no input)" in scan.stdout
    (row,) = read(platform, "suppressions", "list", "--project", "shop")
    assert invoke(platform, "suppressions", "remove", row["id"]).exit_code == 0
    assert invoke(platform, "scan", "--resume", task, "--fail-on", "high").exit_code == 1
    added = ("suppressions", "add", "--project", "shop", "--path", "lib", "--reason", "vendored")
    assert invoke(platform, *added, "--expires", "2100-01-01").exit_code == 0
    assert invoke(platform, "scan", "--resume", task, "--fail-on", "high").exit_code == 0

    store(platform, pg_database, "shop", A)
    late = invoke(platform, *judge, "--occurrence", a["occurrence"]["id"])
    assert late.exit_code == 1
    assert "a newer scan has seen this finding" in late.output
    assert "securetag findings show" in late.output


def check_filters(platform: Deployment, judged: JsonObject, other: JsonObject) -> None:
    """Of two findings the first one has been judged."""

    def listed(*arguments: str) -> list[str]:
        return [item["id"] for item in read(platform, "findings", "list", *arguments)]

    assert invoke(platform, "findings", "assign", other["id"], "--to", "lea").exit_code == 0
    assert "noted by" in invoke(platform, "findings", "note", other["id"], "seen in production").output
    for argument, ids in {
        "--reviewed": [judged["id"]],
        "--not-reviewed": [other["id"]],
        "--disagree": [],
        "--since=2999-01-01": [],
        "--assignee=lea": [other["id"]],
        "--not-assigned": [judged["id"]],
        "--noted": [other["id"]],
        "--search=APP/": [judged["id"]],
        "--verdict=true_positive": [],
    }.items():
        assert listed("--project", "shop", argument) == ids, argument
    assert invoke(platform, "findings", "assign", other["id"]).exit_code == 0
    assert listed("--assigned") == []

    feedback = ("feedback", judged["id"], "--withdraw")
    assert "false_positive, by " in (taken_back := invoke(platform, *feedback)).output
    assert "taken back by" in taken_back.output
    assert "nothing to take back" in (again := invoke(platform, *feedback)).output
    assert again.exit_code == 1
    assert listed("--reviewed") == []
    assert invoke(platform, "feedback", judged["id"]).exit_code == 2, "neither a verdict nor --withdraw"
    at = ("--occurrence", judged["occurrence"]["id"])
    assert invoke(platform, "feedback", judged["id"], "--verdict", "false_positive", *at).exit_code == 0


@pytest.mark.sockets
def test_only_new_findings_count_against_a_baseline(platform: Deployment, pg_database: Database) -> None:
    first, second = "1" * 40, "2" * 40
    base = store(platform, pg_database, "pulls", A, branch="main", commit=first)
    same = store(platform, pg_database, "pulls", A, branch="pull", base_commit=first, commit=second)
    more = store(platform, pg_database, "pulls", A, B, branch="pull", base_commit=first)
    check = ("--fail-on", "high")
    assert invoke(platform, "scan", "--resume", same, *check).exit_code == 1
    assert invoke(platform, "scan", "--resume", same, *check, "--new-only").exit_code == 0
    new = invoke(platform, "scan", "--resume", more, *check, "--new-only")
    assert new.exit_code == 1
    assert f"1 of 2 are new since scan {base} of main" in new.stdout
    assert "lib/b.py:12" in new.stdout
    assert "app/a.py:12" not in new.stdout
    assert invoke(platform, "scan", "--resume", more, *check, "--baseline", "main").exit_code == 1
    as_json = json.loads(invoke(platform, "scan", "--resume", more, "--baseline", base, "--json").stdout)
    assert [(item["title"], item["counts"]) for item in as_json["findings"]] == [("a", False), ("b", True)]
    none = invoke(platform, "scan", "--resume", more, "--baseline", "nowhere")
    assert none.exit_code == 2
    assert "no earlier completed scan of this project is of nowhere" in none.output

    # A repeated scan of one commit compares with what was before the commit, not with itself.
    on_main = store(platform, pg_database, "pulls", A, B, branch="main", commit=second)
    again = store(platform, pg_database, "pulls", A, B, branch="main", commit=second)
    with ApiClient(platform.url, platform.key) as client:
        for task in (on_main, again):
            baseline = load_baseline(client, client.scan(task), None, None)
            assert baseline.scan is not None
            assert baseline.scan.task_id == base
