"""Is a deployment worth its price: its model, its api, and a scan whose verdict that very model gave."""

from __future__ import annotations

import tempfile
import time
import zipfile
from pathlib import Path

from securetag.calibration import WITHHELD
from securetag.cli.client import connect
from securetag.cli.deployment.checks import Check, Report, check_api
from securetag.errors import SecuretagError, UnavailableError

#: A project with one finding that the rules certainly have.
_CODE = """import sqlite3

from flask import request


def user(connection: sqlite3.Connection) -> object:
    return connection.execute("SELECT * FROM users WHERE name = '" + request.args["name"] + "'")
"""
#: Seconds between two looks at an api that starts.
PAUSE_S = 1.0


def wait_for_api(url: str, patience_s: float, report: Report) -> list[Check]:
    """Return the checks of the api and its database, once they pass or the patience ends."""
    deadline = time.monotonic() + patience_s
    while True:
        checks = check_api(url)
        left = deadline - time.monotonic()
        if all(check.ok for check in checks) or left <= 0:
            return checks
        report(f"waiting for the api, {left:.0f} s left: {checks[-1].detail}")
        time.sleep(min(PAUSE_S, max(left, 0)))


def verify_triage(url: str, key: str, model_ids: tuple[str, ...], patience_s: float, report: Report) -> Check:
    """Scan a small project and return whether a finding carries a verdict of one of these models."""
    name = "verified triage"
    deadline = time.monotonic() + patience_s
    try:
        with connect(url, key) as client, tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "verification.zip"
            with zipfile.ZipFile(archive, "w") as bundle:
                bundle.writestr("app.py", _CODE)
            while True:
                # The key is registered a moment after the api answers.
                try:
                    task = client.upload(archive, project="verification").task_id
                    break
                except SecuretagError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(PAUSE_S)
            scan = client.wait(task, timeout_s=max(deadline - time.monotonic(), 1), progress=report)
            verdicts = [finding.verdict for finding in client.scan_findings(task) if finding.verdict]
    except UnavailableError as error:
        return Check(name, False, str(error), "unreachable", "Look at the logs of api and worker.")
    except SecuretagError as error:
        return Check(name, False, str(error), "failed", error.hint)
    by_model = [verdict for verdict in verdicts if verdict.model_id in model_ids]
    is_answer = bool(by_model) and (not by_model[0].reason or by_model[0].reason in WITHHELD)
    if scan.state == "completed" and is_answer:
        return Check(name, True, f"scan {task}: {by_model[0].decision} by {by_model[0].model_id[:12]}")
    reasons = {verdict.reason or f"it is by {verdict.model_id[:12]}" for verdict in verdicts} or {
        "no verdict"
    }
    return Check(
        name,
        False,
        f"scan {task} {scan.state}: {'; '.join(sorted(reasons))}",
        "failed",
        "The worker doesn't reach the model: run `securetag doctor --deployment` beside it.",
    )
