"""A tenant with many findings, written straight into PostgreSQL: made up, and the same for the same seed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

#: (rule, CWE, title, severity, source line, sink line) of the made-up findings.
KINDS = (
    (
        "python.sql-injection",
        "CWE-89",
        "SQL injection",
        "critical",
        "name = request.args['name']",
        'cursor.execute("SELECT id FROM users WHERE name = \'" + name + "\'")',
    ),
    (
        "python.command-injection",
        "CWE-78",
        "Command injection",
        "critical",
        "host = request.form['host']",
        'subprocess.run("ping -c 1 " + host, shell=True)',
    ),
    (
        "python.path-traversal",
        "CWE-22",
        "Path traversal",
        "high",
        "name = request.args['file']",
        "return open(os.path.join(UPLOADS, name)).read()",
    ),
    (
        "python.ssrf",
        "CWE-918",
        "Server-side request forgery",
        "high",
        "url = request.json['url']",
        "return requests.get(url, timeout=5).text",
    ),
    (
        "javascript.xss",
        "CWE-79",
        "Cross-site scripting",
        "medium",
        "const name = req.query.name;",
        'res.send("<h1>Hello " + name + "</h1>");',
    ),
    (
        "python.open-redirect",
        "CWE-601",
        "Open redirect",
        "medium",
        "target = request.args['next']",
        "return redirect(target)",
    ),
    (
        "python.weak-hash",
        "CWE-327",
        "Weak hash of a password",
        "low",
        "password = form.password.data",
        "digest = hashlib.md5(password.encode()).hexdigest()",
    ),
    (
        "python.cookie-without-secure",
        "CWE-614",
        "Cookie without Secure",
        "info",
        "value = session.token",
        'response.set_cookie("session", value)',
    ),
)
FOLDERS = ("app/users", "app/orders", "app/reports", "web/admin", "web/static", "lib/mail", "jobs")
DECISIONS = ("true_positive", "false_positive", "needs_review")
_REASONS = {
    "true_positive": "The value comes from the request and is used as it is.",
    "false_positive": "The caller allows only names of a fixed list.",
    "needs_review": "Whether the caller checks the value is not in the code shown.",
}
MODEL_ID = hashlib.sha256(b"a made-up model").hexdigest()
ALIAS = "securetag-v1"
#: Days between two scans.
SCAN_DAYS = 10
Rows = Iterable[Sequence[object]]


def seed(
    dsn: str,
    tenant_id: UUID,
    *,
    findings: int,
    scans: int = 9,
    reviewed: float = 0.0,
    fixed: float = 0.0,
    project: str = "shop",
) -> None:
    """Add a project with so many findings, each with the model's verdict.

    `dsn` is a superuser's. `reviewed` and `fixed` are the shares of findings that a person has judged, and
    that are in the code no more.
    """
    chance = random.Random(findings)
    now = datetime.now(UTC).replace(microsecond=0)
    project_id = uuid7()
    tasks = [(uuid7(), now - timedelta(days=SCAN_DAYS * i)) for i in reversed(range(scans))]
    rows: dict[str, list[Sequence[object]]] = {
        name: [] for name in ("finding", "finding_occurrence", "finding_state", "triage_verdict", "feedback")
    }
    for number in range(findings):
        rule, cwe, title, severity, source, sink = KINDS[
            min(int(chance.expovariate(0.45)), len(KINDS) - 1)
            if chance.random() < 0.3
            else chance.randrange(2, len(KINDS))
        ]
        begun = chance.randrange(scans)
        is_fixed = begun < scans - 1 and chance.random() < fixed
        (first_id, first_at), (last_id, last_at) = tasks[begun], tasks[-2 if is_fixed else -1]
        finding_id, occurrence_id, verdict_id = uuid7(), uuid7(), uuid7()
        line = chance.randrange(20, 400)
        path = f"{chance.choice(FOLDERS)}/part{number % 97}.{'js' if rule.startswith('java') else 'py'}"
        snippet = f"def view_{number}(request):\n    {source}\n    {sink}\n"
        fingerprint = "v2:" + hashlib.sha256(str(number).encode()).hexdigest()
        text = "Input of the request reaches this call without a check."
        matches = [
            {
                "tool": tool,
                "rule_id": rule,
                "cwe": cwe,
                "kind": "traced",
                "start_line": line,
                "end_line": line,
            }
            for tool in (("semgrep", "bandit") if number % 5 == 0 else ("semgrep",))
        ]
        rank = {"critical": 900, "high": 700, "medium": 500, "low": 300, "info": 100}[severity]
        rows["finding"].append(
            (
                finding_id,
                tenant_id,
                project_id,
                fingerprint,
                "v2",
                "semgrep",
                rule,
                cwe,
                title,
                text,
                "Check the input, or pass it as a parameter.",
                severity,
                chance.choice(("low", "medium", "high")),
                "python",
                Jsonb(matches),
                rank + chance.randrange(99),
                first_id,
                last_id,
                first_at,
                last_at,
            )
        )
        trace = [
            {"path": path, "start_line": line - 1, "end_line": line - 1, "text": source},
            {"path": path, "start_line": line, "end_line": line, "text": sink},
        ]
        rows["finding_occurrence"].append(
            (
                occurrence_id,
                tenant_id,
                finding_id,
                last_id,
                path,
                line,
                line,
                snippet,
                line - 2,
                f"view_{number}",
                Jsonb(trace),
                last_at,
            )
        )
        rows["finding_state"].append(
            (
                uuid7(),
                tenant_id,
                project_id,
                finding_id,
                "main",
                "fixed" if is_fixed else "open",
                tasks[-1][0] if is_fixed else first_id,
                last_id,
                tasks[-1][1] if is_fixed else first_at,
            )
        )
        is_true = chance.random() < 0.35
        decision = DECISIONS[int(chance.random() < 0.85) if not is_true else int(chance.random() < 0.06)]
        if chance.random() < 0.05:
            decision = "needs_review"
        rows["triage_verdict"].append(
            (
                verdict_id,
                tenant_id,
                finding_id,
                occurrence_id,
                last_id,
                decision,
                Jsonb([[line, line]]),
                _REASONS[decision],
                MODEL_ID,
                ALIAS,
                "compact-2",
                "production",
                round(chance.betavariate(5, 1) if decision == "false_positive" else 0.1, 2),
                900,
                last_at,
            )
        )
        if chance.random() < reviewed:
            rows["feedback"].append(
                (
                    uuid7(),
                    tenant_id,
                    finding_id,
                    occurrence_id,
                    verdict_id,
                    DECISIONS[int(not is_true)],
                    chance.random() < 0.5,
                    "person",
                    chance.choice(("ana", "ben")),
                    last_at + timedelta(hours=3),
                )
            )
    with psycopg.connect(dsn) as connection:
        connection.execute("SET search_path = securetag")
        # A task begins queued, says a trigger; these have ended.
        connection.execute("SET session_replication_role = replica")
        _write(
            connection,
            "project",
            "id, tenant_id, name, default_branch",
            [(project_id, tenant_id, project, "main")],
        )
        _write(
            connection,
            "task",
            "id, tenant_id, project_id, kind, state, params, attempt, created_at, started_at, finished_at",
            [
                (
                    task_id,
                    tenant_id,
                    project_id,
                    "codeaudit",
                    "completed",
                    Jsonb({"branch": "main"}),
                    1,
                    at,
                    at,
                    at + timedelta(seconds=41),
                )
                for task_id, at in tasks
            ],
        )
        for table, columns in _COLUMNS.items():
            _write(connection, table, columns, rows[table])
        _write(connection, "tool_execution", _EXECUTION, [_tool_run(tenant_id, *task) for task in tasks])
        connection.execute(
            "INSERT INTO task_event (tenant_id, task_id, at, from_state, to_state, attempt)"
            " SELECT tenant_id, id, created_at, e.before, e.after, e.attempt FROM task,"
            " (VALUES (NULL, 'queued', 0), ('queued', 'running', 1), ('running', 'completed', 1))"
            " AS e (before, after, attempt) WHERE project_id = %s ORDER BY id, e.attempt",
            (project_id,),
        )
        connection.execute(
            "INSERT INTO scan_result (id, tenant_id, task_id, findings, by_severity, by_verdict)"
            " SELECT gen_random_uuid(), tenant_id, id, %s, '{}', '{}' FROM task WHERE project_id = %s",
            (findings, project_id),
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")


_COLUMNS = {
    "finding": "id, tenant_id, project_id, fingerprint, fingerprint_version, tool, rule_id, cwe, title,"
    " message, recommendation, severity, confidence, language, matches, rank, first_task_id, last_task_id,"
    " first_seen_at, last_seen_at",
    "finding_occurrence": "id, tenant_id, finding_id, task_id, path, start_line, end_line, snippet,"
    " snippet_line, scope, trace, created_at",
    "finding_state": "id, tenant_id, project_id, finding_id, branch, state, task_id, seen_task_id, since",
    "triage_verdict": "id, tenant_id, finding_id, occurrence_id, task_id, decision, evidence, reasoning,"
    " model_id, alias, prompt_version, gate, p_false_positive, duration_ms, created_at",
    "feedback": "id, tenant_id, finding_id, occurrence_id, verdict_id, verdict, saw_model, source,"
    " reviewer, created_at",
}


_EXECUTION = (
    "id, tenant_id, task_id, attempt, tool, version, arguments, exit_code, duration_s, started_at, timed_out,"
    " metrics_json"
)


def _tool_run(tenant_id: UUID, task_id: UUID, at: datetime) -> Sequence[object]:
    coverage = {
        "files": {"python": 412, "javascript": 57},
        "lines": {"python": 61_204, "javascript": 9_310},
        "skipped": [{"path": "web/static/vendor.min.js", "reason": "minified", "bytes": 412_993}],
    }
    metrics = Jsonb({"schema": 1, "tool": "semgrep", "coverage": coverage})
    return uuid7(), tenant_id, task_id, 1, "semgrep", "1.182.0", [], 0, 38.2, at, False, metrics


def _write(connection: psycopg.Connection, table: str, columns: str, rows: Rows) -> None:
    with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
