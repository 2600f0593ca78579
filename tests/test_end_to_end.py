"""Upload → queue → worker → Semgrep → finding → verdict → feedback → harvest, every row looked at.

Everything is the real thing: PostgreSQL, api and worker in processes of their own, Semgrep, llama.cpp's
server with the embedded model.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

import securetag
from securetag.cli import app
from securetag.cli.services.platform import (
    USER_SCOPES,
    WORKER_SCOPES,
    Platform,
    Tenant,
    make_tenant,
    register_base_model,
    remembered_key,
)
from securetag.cli.services.supervise import Services
from securetag.client.api import ApiClient
from securetag.db.embedded import Cluster
from securetag.db.engine import API, dsn_for
from securetag.pipeline.harvest import harvest, read_harvest
from securetag.settings import Settings, get_settings
from securetag.storage import storage_for
from securetag.wire.api import FeedbackBody

pytestmark = [pytest.mark.sockets, pytest.mark.slow]

# Written for this test: one command injection, with a secret and an address that must not leave.
CODE = """import os

from flask import request


def ping():
    host = request.args["host"]
    # alice@acme-shop.io tests this with ghp_0123456789abcdefghijABCDEFGHIJ456789
    os.system("ping -c 1 " + host)
"""


@dataclass(frozen=True)
class Stack:
    """A running installation, a tenant that will consent, and one that won't."""

    settings: Settings
    url: str
    tenant: Tenant
    acme: ApiClient
    other: ApiClient


@pytest.fixture
def stack() -> Iterator[Stack]:
    settings = get_settings()
    # The usual one, with which nothing is private by itself.
    umask = os.umask(0o022)
    environment = {"SECURETAG_HOME": str(settings.home), "SECURETAG_DATA": str(settings.data)}
    try:
        with Services(settings.home, environment) as services:
            platform = Platform(settings, services)
            platform.postgres()
            platform.migrate()
            operator = make_tenant(settings, "operator", WORKER_SCOPES)
            acme, other = (make_tenant(settings, name, [*USER_SCOPES, "admin"]) for name in ("acme", "other"))
            platform.api(0)
            register_base_model(settings)
            platform.runtime()
            platform.worker(operator.key)
            url = platform.api_url
            with ApiClient(url, acme.key) as first, ApiClient(url, other.key) as second:
                yield Stack(settings, url, acme, first, second)
    finally:
        os.umask(umask)
        Cluster(settings.home).destroy()


def upload(client: ApiClient, folder: Path) -> tuple[UUID, Path]:
    archive = folder / "project.zip"
    with zipfile.ZipFile(archive, "w") as out:
        # Without a time of its own, so that a second upload has the same bytes.
        out.writestr(zipfile.ZipInfo("app.py"), CODE)
    return client.upload(archive, project="ping", idempotency_key="the-same-key").task_id, archive


def rows(settings: Settings, tenant: Tenant, query: str) -> list[dict[str, Any]]:
    """What the api's role sees as one tenant."""
    with psycopg.connect(dsn_for(settings, API), row_factory=dict_row) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant.id)])
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def open_to_others(home: Path) -> list[str]:
    """What another user of the machine could read of the folders that hold code, keys and logs."""
    folders = [home / name for name in ("artifacts", "run", "logs")]
    for folder in folders:
        assert any(path.is_file() for path in folder.rglob("*")), f"{folder} is empty"
    kept = [*folders, *(home / "artifacts").rglob("*")]
    return [str(path) for path in kept if path.stat().st_mode & 0o077]


def one(settings: Settings, tenant: Tenant, table: str, order: str = "id") -> dict[str, Any]:
    (row,) = rows(settings, tenant, f"SELECT * FROM securetag.{table} ORDER BY {order}")
    return row


def test_the_loop_from_upload_to_harvest(stack: Stack, tmp_path: Path) -> None:
    settings, acme, other = stack.settings, stack.acme, stack.other
    task_id, archive = upload(acme, tmp_path)
    assert acme.upload(archive, project="ping", idempotency_key="the-same-key").task_id == task_id
    scan = acme.wait(task_id, timeout_s=180)
    assert scan.state == "completed"
    assert open_to_others(settings.home) == []

    (finding,) = acme.scan_findings(task_id)
    at = finding.occurrence
    assert (finding.cwe, at.path, at.start_line, at.scope) == ("CWE-78", "app.py", 9, "ping")
    assert finding.verdict is not None
    assert finding.verdict.decision in {"true_positive", "false_positive", "needs_review"}

    frame = securetag.findings_frame(str(task_id), api=stack.url, key=stack.tenant.key)
    assert frame[["cwe", "occurrence.path", "verdict.decision"]].to_numpy().tolist() == [
        ["CWE-78", "app.py", finding.verdict.decision]
    ]

    feedback = FeedbackBody(
        occurrence_id=at.id, verdict="true_positive", comment="reachable", saw_model=True, source="person"
    )
    acme.add_feedback(finding.id, feedback)
    assert harvest(settings).rows == 0, "nobody has consented yet"

    acme.set_consent(True)
    theirs, _ = upload(other, tmp_path)
    other.wait(theirs, timeout_s=180)
    for stranger in other.scan_findings(theirs):
        answer = feedback.model_copy(update={"occurrence_id": stranger.occurrence.id})
        other.add_feedback(stranger.id, answer)
    summary = harvest(settings)
    assert (summary.rows, summary.tenants, summary.scripted) == (1, [str(stack.tenant.id)], 0)
    (harvested,) = read_harvest(Path(summary.path))
    assert harvested.label == "true_positive"
    assert harvested.origin.finding_id == str(finding.id)
    assert "os.system" in harvested.finding.snippet
    for secret in ("ghp_0123456789", "alice@acme-shop.io"):
        assert secret not in Path(summary.path).read_text()

    _verify_rows(stack, task_id, finding.id, archive)


@pytest.mark.system
def test_the_command_line_scans_with_what_runs_here(stack: Stack, tmp_path: Path) -> None:
    """`securetag scan` finds the api of this home by itself, waits, prints, and fails as it was told to."""
    remembered_key(stack.settings, "local-key", lambda: make_tenant(stack.settings, "local", USER_SCOPES).key)
    project = tmp_path / "ping"
    project.mkdir()
    (project / "app.py").write_text(CODE)
    result = CliRunner().invoke(app, ["scan", str(project), "--fail-on", "high", "--json"])
    found = json.loads(result.output)
    assert result.exit_code == 1, "the model's verdict, whatever it is, changes nothing"
    assert set(found) == {
        "task_id",
        "state",
        "reason",
        "findings",
        "suppressed",
        "below_min_confidence",
        "by_severity",
        "by_verdict",
        "coverage",
        "not_triaged",
        "not_uploaded",
    }
    assert found["coverage"]["files"] == {"python": 1}
    assert (found["state"], found["by_severity"]) == ("completed", {"critical": 1})


def _verify_rows(stack: Stack, task_id: UUID, finding_id: UUID, archive: Path) -> None:
    def row(table: str) -> dict[str, Any]:
        return one(stack.settings, stack.tenant, table)

    task, uploaded = row("task"), row("codeaudit_upload")
    assert (task["id"], task["state"], task["attempt"]) == (task_id, "completed", 1)
    assert uploaded["task_id"] == task["id"]
    assert uploaded["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert storage_for(stack.settings.storage).exists(uploaded["storage_key"])
    events = rows(stack.settings, stack.tenant, "SELECT to_state FROM securetag.task_event ORDER BY id")
    assert [event["to_state"] for event in events] == ["queued", "running", "completed"]

    executions = {
        found["tool"]: found
        for found in rows(stack.settings, stack.tenant, "SELECT * FROM securetag.tool_execution")
    }
    assert set(executions) == {"unpack", "semgrep", "secrets", "triage"}
    semgrep = executions["semgrep"]
    assert (semgrep["exit_code"], semgrep["timed_out"], semgrep["version"]) == (0, False, "1.182.0")
    assert "--experimental" in semgrep["arguments"]
    assert semgrep["metrics_json"]["schema"] == 1
    assert semgrep["metrics_json"]["findings"] == 2, "the shape and the data flow, which are one place"
    assert executions["triage"]["metrics_json"]["prompt_tokens"] > 0
    artifacts = rows(stack.settings, stack.tenant, "SELECT * FROM securetag.artifact")
    assert {semgrep["stdout"], semgrep["stderr"]} <= {artifact["name"] for artifact in artifacts}
    for artifact in artifacts:
        kept = b"".join(storage_for(stack.settings.storage).chunks(artifact["storage_key"]))
        assert hashlib.sha256(kept).hexdigest() == artifact["sha256"]

    finding, occurrence = row("finding"), row("finding_occurrence")
    assert (finding["id"], finding["fingerprint_version"]) == (finding_id, "v2")
    assert (occurrence["finding_id"], occurrence["task_id"]) == (finding["id"], task["id"])
    verdict, feedback = row("triage_verdict"), row("feedback")
    assert (verdict["finding_id"], verdict["occurrence_id"]) == (finding["id"], occurrence["id"])
    assert (verdict["alias"], len(verdict["model_id"])) == ("securetag-base", 64)
    assert (verdict["prompt_version"], len(verdict["prompt_sha256"])) == ("compact-1", 64)
    assert (feedback["verdict_id"], feedback["source"], feedback["saw_model"]) == (
        verdict["id"],
        "person",
        True,
    )
    assert row("scan_result")["findings"] == 1
    assert row("consent")["withdrawn_at"] is None
