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
from securetag.datasets.build import BuildParams
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.db.engine import API, dsn_for
from securetag.pipeline.harvest import harvest, read_harvest
from securetag.pipeline.release import build_release
from securetag.settings import Settings, get_settings
from securetag.storage import storage_for
from securetag.wire.feedback import FeedbackBody

pytestmark = [pytest.mark.sockets, pytest.mark.slow]

# Written for this test: one command injection, with a secret and an address that must not leave.
CODE = """import os

from flask import request


def ping():
    host = request.args["host"]
    # alice@acme-shop.io tests this from 10.20.30.40
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
    for secret in ("10.20.30.40", "alice@acme-shop.io"):
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


#: Values of secrets, by the file that they are planted in. None is of a form that only its file tells.
PLANTED = {
    "app/settings.py": "django-insecure-$3n0*w%u1x7$hd^#8q&2lf5@z!",
    "app/views.py": "q9X8w7V6u5T4s3R2q1P0",
    "app/db.py": "Tr0ub4dorAndTh3Rest",
    "app/broken.py": "b7C6d5E4f3G2h1J0k9L8",
    ".env": "correcthorse9batterystaple",
    "deploy/values.yaml": "hunter2hunter2hunter2",
    "config.json": "r3K9v5Xt7Lq2Wm8Zp4Yc",
    "notebook.ipynb": "n0T3b00kS3cr3tV4lu3",
    "key.pem": "MIIEpAIBAAKCAQEAwq7Lr9mZtYc0VbNx3Kd8",
}


def plant() -> dict[str, str]:
    """A project with a secret in each file, most of them in code that rules report for something else."""
    value = PLANTED
    body = "\n".join(f"{value['key.pem']}{number}Zk{number}Qp4RsTuVwXyZ01" for number in range(6))
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"
    cell = {"cell_type": "code", "source": [f"api_key = '{value['notebook.ipynb']}'\n", "eval(input())\n"]}
    return {
        "app/settings.py": f"SECRET_KEY = '{value['app/settings.py']}'\nDEBUG = True\n",
        "app/views.py": "import os\n\nfrom flask import request\n\n\ndef ping():\n"
        f"    token = '{value['app/views.py']}'\n"
        f"    os.system('curl -H {value['app/views.py']} ' + request.args['host'])\n"
        # A value of another file, where nothing tells that it is one.
        f"    os.system(request.args['q'] + '{value['.env']}')\n",
        "app/db.py": "import sqlite3\n\n\ndef find(name):\n"
        f"    url = 'postgresql://shop:{value['app/db.py']}@sql.internal/shop'\n"
        "    sqlite3.connect(url).execute('SELECT * FROM user WHERE name = ' + name)\n",
        "app/broken.py": f"import os\n\ndef f(:\n    os.system(x); pwd = '{value['app/broken.py']}' ) (\n",
        ".env": f"DB_PASSWORD={value['.env']}\n",
        "deploy/values.yaml": f"db:\n  password: {value['deploy/values.yaml']}\n",
        "config.json": json.dumps({"clientSecret": value["config.json"]}),
        "notebook.ipynb": json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}),
        "key.pem": key,
    }


def report_on(project: dict[str, str]) -> bytes:
    """SARIF of another tool that quotes each secret in a message and as a snippet."""
    results = []
    for path, value in PLANTED.items():
        line = 1 + next(n for n, text in enumerate(project[path].split("\n")) if value in text)
        region = {"startLine": line, "snippet": {"text": project[path].split("\n")[line - 1]}}
        place = {"artifactLocation": {"uri": path}, "region": region}
        message = {"text": f"Possible hardcoded password: '{value}'"}
        results.append({"ruleId": "P1", "message": message, "locations": [{"physicalLocation": place}]})
    rule = {"id": "P1", "properties": {"tags": ["external/cwe/cwe-798"]}}
    run = {"tool": {"driver": {"name": "Other", "rules": [rule]}}, "results": results}
    return json.dumps({"version": "2.1.0", "runs": [run]}).encode()


def every_row(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield (table, row as text) of the whole database, whoever's it is."""
    cluster = Cluster(settings.home)
    cluster.attach()
    with psycopg.connect(cluster.dsn(role=SUPERUSER)) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'securetag'"
        ).fetchall()
        for (table,) in tables:
            query = f"SELECT row::text FROM {table} AS row"
            yield from ((table, text) for (text,) in connection.execute(query.encode()).fetchall())


@pytest.mark.system
def test_no_value_of_a_secret_is_stored_shown_or_trained_on(stack: Stack, tmp_path: Path) -> None:
    """Scan, triage, import, feedback, harvest, release; then all rows, logs and files are searched."""
    settings, acme = stack.settings, stack.acme
    acme.set_consent(True)
    project, archive = plant(), tmp_path / "planted.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path, text in project.items():
            out.writestr(path, text)
    task_id = acme.upload(archive, project="planted", idempotency_key="planted").task_id
    assert acme.wait(task_id, timeout_s=300).state == "completed"
    report = tmp_path / "report.sarif"
    report.write_bytes(report_on(project))
    folder = tmp_path / "planted"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    imported = CliRunner().invoke(
        app,
        ["findings", "import", str(report), "--source", str(folder), "--project", "planted", "--json"],
        env={"SECURETAG_API_URL": stack.url, "SECURETAG_API_KEY": stack.tenant.key},
    )
    assert imported.exit_code == 0, imported.output
    shown = [imported.output]
    findings = [*acme.scan_findings(task_id)]
    assert {"CWE-78", "CWE-798"} <= {finding.cwe for finding in findings}
    for finding in findings:
        answer = FeedbackBody(
            occurrence_id=finding.occurrence.id, verdict="true_positive", saw_model=True, source="person"
        )
        acme.add_feedback(finding.id, answer)
        shown.append(finding.model_dump_json())
    assert harvest(settings).rows >= len(findings)
    built = build_release(BuildParams(synthetic=0, knowledge=0), settings)
    assert built.rows

    kept = {f"row of {table}": text for table, text in every_row(settings)}
    kept |= {f"answer {number}": text for number, text in enumerate(shown)}
    names = set()
    for root in (settings.home, settings.data):
        for file in root.rglob("*"):
            inside = file.relative_to(root)
            # The upload is the project itself; of the database every row is read instead.
            if (
                file.is_file()
                and not inside.parts[0].startswith("postgres")
                and "uploads" not in inside.parts
            ):
                kept[str(file)] = file.read_bytes().decode("utf-8", errors="replace")
                names.add(file.name)
    assert {"semgrep.stdout.json", "secrets.stdout", "triage.stdout.jsonl", "harvest.jsonl"} <= names
    assert [(at, value) for at, text in kept.items() for value in PLANTED.values() if value in text] == []


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
    assert (verdict["prompt_version"], len(verdict["prompt_sha256"])) == ("compact-6", 64)
    assert (feedback["verdict_id"], feedback["source"], feedback["saw_model"]) == (
        verdict["id"],
        "person",
        True,
    )
    assert row("scan_result")["findings"] == 1
    assert row("consent")["withdrawn_at"] is None
