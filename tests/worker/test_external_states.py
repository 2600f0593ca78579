"""What an external scanner no longer reports is fixed when it has read the file, through worker and api.

The api, the worker, PostgreSQL and the program are real; the program is told by the code how to end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from deployment import Deployment
from fake_queue import zipped
from postgres import Database

from securetag.db.embedded import SUPERUSER, Cluster

pytestmark = [pytest.mark.sockets, pytest.mark.slow, pytest.mark.system]

#: Reports each line with BAD. A file with BROKEN is named as one that it can't read, PARTIAL is an error of
#: the whole run, and CRASH ends it without a report.
PROGRAM = """
import json, pathlib, sys

results, notifications, is_successful = [], [], True
for path in sorted(pathlib.Path(".").rglob("*.py")):
    text = path.read_text()
    artifact = {"artifactLocation": {"uri": path.as_posix()}}
    if "CRASH" in text:
        sys.exit(3)
    is_successful &= "PARTIAL" not in text
    if "BROKEN" in text:
        notifications.append({"level": "error", "locations": [{"physicalLocation": artifact}]})
        continue
    for number, line in enumerate(text.splitlines(), 1):
        if "BAD" in line:
            place = {**artifact, "region": {"startLine": number}}
            result = {"ruleId": "X-1", "message": {"text": "m"}, "level": "error"}
            results.append({**result, "locations": [{"physicalLocation": place}]})
invocation = {"executionSuccessful": is_successful, "toolConfigurationNotifications": notifications}
run = {"tool": {"driver": {"name": "T"}}, "invocations": [invocation], "results": results}
print(json.dumps({"version": "2.1.0", "runs": [run]}))
"""
BAD = "value = BAD\n"


def test_what_an_external_scanner_no_longer_reports(
    deploy: Callable[[str, str], Deployment], clean_database: Database, pg_cluster: Cluster, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    entry = {"other": {"command": [sys.executable, str(program)]}}
    deployment = deploy(clean_database.dsn_api, pg_cluster.dsn(clean_database.name, SUPERUSER))
    environment = deployment.environment | {"SECURETAG_SCANNERS": json.dumps(entry)}

    def scan(files: dict[str, str]) -> dict[str, str]:
        """File → state of its finding after a scan of these files."""
        with deployment.http() as client:
            upload = {"file": ("p.zip", zipped(files))}
            answer = client.post("/codeaudit/upload", files=upload, data={"project": "p"}).json()
            worker = [sys.executable, "-m", "securetag.worker", "--once"]
            done = subprocess.run(worker, env=environment, capture_output=True, check=False, timeout=120)
            assert client.get(f"/scans/{answer['task_id']}").json()["state"] == "completed", done.stderr
            items = client.get("/findings", params={"state": "any", "min_confidence": "low"}).json()["items"]
        return {item["occurrence"]["path"]: item["state"] for item in items}

    assert scan({"a.py": BAD, "b.py": BAD, "c.py": BAD}) == {"a.py": "new", "b.py": "new", "c.py": "new"}
    for ends_badly in ("CRASH", "PARTIAL"):
        states = scan({"a.py": "", "b.py": BAD, "c.py": f"{ends_badly} = 1\n"})
        assert "fixed" not in states.values()
    states = scan({"a.py": "", "b.py": BAD, "c.py": "BROKEN = 1\n"})
    assert (states["a.py"], states["b.py"]) == ("fixed", "open")
    assert states["c.py"] != "fixed"
    assert scan({"a.py": BAD, "b.py": BAD}) == {"a.py": "reopened", "b.py": "open", "c.py": "fixed"}
