"""docs/howto/add-a-scanner.md, followed step by step, with a real worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from deployment import Deployment
from howto_page import read_page
from postgres import Database
from temp_package import install_package

from securetag.client.api import ApiClient
from securetag.db.embedded import SUPERUSER, Cluster
from securetag.errors import InputError
from securetag.scanning.scanner import SCANNERS

PAGE = read_page("add-a-scanner")
CODE = 'def connect(db):\n    password = "hunter2"\n    return db.open(password)\n'


@pytest.mark.system
@pytest.mark.sockets
@pytest.mark.slow
def test_a_scanner_of_another_package_finds_something(
    project: Path,
    tmp_path: Path,
    run_commands: Callable[[list[str]], str],
    deploy: Callable[[str, str], Deployment],
    clean_database: Database,
    pg_cluster: Cluster,
) -> None:
    files = dict(PAGE.files)
    del files["securetag.toml"]  # the other way to add one, which tests/scanning/test_external.py follows
    install_package(project, files.pop("pyproject.toml"), files)
    assert re.search(r"Grep-passwords +\S*/grep", run_commands(PAGE.commands))

    deployment = deploy(clean_database.dsn_api, pg_cluster.dsn(clean_database.name, SUPERUSER))
    archive = tmp_path / "shop.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("db.py", CODE)
        # Names and contents that a parser of lines would stumble over.
        out.writestr("shop b:1:c.py", CODE)
        out.writestr("binary.py", b"\x00\xff password = '\xfe'\n")
    path = os.pathsep.join([str(project), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": path, "SECURETAG_WORKER__SCANNERS": PAGE.commands[0].split("'")[1]}

    def work() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "securetag.worker", "--once"],
            env=deployment.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    with ApiClient(deployment.url, deployment.key) as client:
        task = client.upload(archive, project="shop").task_id
        worker = work()
        assert worker.returncode == 0, worker.stderr
        scan = client.scan(task)
        assert scan.state == "completed", worker.stderr
        assert [run.tool for run in scan.tool_executions][:3] == ["unpack", "semgrep", "grep-passwords"]
        assert scan.tool_executions[2].metrics_json["findings"] == 3
        assert scan.coverage is not None
        assert scan.coverage.files["python"] >= 1
        reported = [
            (item, match)
            for item in client.scan_findings(task)
            for match in item.matches
            if match.tool == "grep-passwords"
        ]
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("db.py", "")
    with ApiClient(deployment.url, deployment.key) as client, deployment.http() as http:
        client.upload(archive, project="shop")
        work()
        items = http.get("/findings", params={"state": "any", "min_confidence": "low"}).json()["items"]
        assert {item["state"] for item in items if item["tool"] == "grep-passwords"} == {"fixed"}
    assert {item.occurrence.path for item, _ in reported} == {"db.py", "shop b:1:c.py", "binary.py"}
    ((finding, match),) = [pair for pair in reported if pair[0].occurrence.path == "db.py"]
    at = finding.occurrence
    assert (match.rule_id, match.cwe, finding.severity) == ("grep.password", "CWE-259", "high")
    assert (at.path, at.start_line, at.scope) == ("db.py", 2, "connect")
    assert at.snippet.strip() == CODE.replace("hunter2", "********").strip()
    assert finding.fingerprint.startswith("v2:")


def test_an_unknown_scanner_is_refused_with_the_list() -> None:
    with pytest.raises(InputError, match="no scanner semgrap") as refusal:
        SCANNERS.get("semgrap")
    assert refusal.value.hint == "Did you mean semgrep? The scanners are: secrets, semgrep."
