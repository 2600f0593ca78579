"""A tenant with many findings, written straight into PostgreSQL: made up, and the same for the same seed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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
RELEASE = hashlib.sha256(b"a made-up release").hexdigest()
#: Of the findings that people have judged.
TRAINED_SHARE = 0.2
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
    """Add a project with so many findings, each with the model's verdict, and that model's publication.

    `dsn` is a superuser's. `reviewed` and `fixed` are the shares of findings that a person has judged, and
    that are in the code no more. A fifth of those judged is in the release that the model was trained on.
    """
    chance = random.Random(findings)
    now = datetime.now(UTC).replace(microsecond=0)
    tasks = [(uuid7(), now - timedelta(days=SCAN_DAYS * i)) for i in reversed(range(scans))]
    history = _Project(tenant_id, uuid7(), tasks, chance, reviewed, fixed)
    for number in range(findings):
        history.add_finding(number)
    with psycopg.connect(dsn) as connection:
        connection.execute("SET search_path = securetag")
        # A task begins queued, says a trigger; these have ended.
        connection.execute("SET session_replication_role = replica")
        _write(
            connection,
            "project",
            "id, tenant_id, name, default_branch",
            [(history.project_id, tenant_id, project, "main")],
        )
        _write_tasks(connection, history, findings)
        for table, columns in _COLUMNS.items():
            _write(connection, table, columns, history.rows[table])
        _write_model(connection, now)
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")


@dataclass
class _Project:
    """A project's rows, which grow finding by finding."""

    tenant_id: UUID
    project_id: UUID
    #: Scans with their times, the oldest first.
    tasks: list[tuple[UUID, datetime]]
    chance: random.Random
    reviewed: float
    fixed: float
    rows: dict[str, list[Sequence[object]]] = field(default_factory=lambda: {name: [] for name in _COLUMNS})

    def add_finding(self, number: int) -> None:
        """Add a finding with its occurrence, state and verdict; a person has judged a share of them."""
        chance = self.chance
        rule, cwe, title, severity, source, sink = KINDS[
            min(int(chance.expovariate(0.45)), len(KINDS) - 1)
            if chance.random() < 0.3
            else chance.randrange(2, len(KINDS))
        ]
        begun = chance.randrange(len(self.tasks))
        is_fixed = begun < len(self.tasks) - 1 and chance.random() < self.fixed
        first, last = self.tasks[begun], self.tasks[-2 if is_fixed else -1]
        finding_id, line = uuid7(), chance.randrange(20, 400)
        names = ("semgrep", "bandit") if number % 5 == 0 else ("semgrep",)
        at = {"rule_id": rule, "cwe": cwe, "kind": "traced", "start_line": line, "end_line": line}
        rank = {"critical": 900, "high": 700, "medium": 500, "low": 300, "info": 100}[severity]
        self._add(
            "finding",
            self.project_id,
            "v2:" + hashlib.sha256(str(number).encode()).hexdigest(),
            "v2",
            "semgrep",
            rule,
            cwe,
            title,
            "Input of the request reaches this call without a check.",
            "Check the input, or pass it as a parameter.",
            severity,
            chance.choice(("low", "medium", "high")),
            "python",
            Jsonb([{"tool": name, **at} for name in names]),
            rank + chance.randrange(99),
            first[0],
            last[0],
            first[1],
            last[1],
            row_id=finding_id,
        )
        path = f"{chance.choice(FOLDERS)}/part{number % 97}.{'js' if rule.startswith('java') else 'py'}"
        occurrence_id = self._add_occurrence(number, finding_id, last, path, line, (source, sink))
        state = ("fixed", *self.tasks[-1]) if is_fixed else ("open", *first)
        self._add("finding_state", self.project_id, finding_id, "main", state[0], state[1], last[0], state[2])
        self._add_verdicts(finding_id, occurrence_id, last, line)

    def _add_occurrence(
        self,
        number: int,
        finding_id: UUID,
        task: tuple[UUID, datetime],
        path: str,
        line: int,
        code: tuple[str, str],
    ) -> UUID:
        occurrence_id = uuid7()
        source, sink = code
        trace = [
            {"path": path, "start_line": line - 1, "end_line": line - 1, "text": source},
            {"path": path, "start_line": line, "end_line": line, "text": sink},
        ]
        self._add(
            "finding_occurrence",
            finding_id,
            task[0],
            path,
            line,
            line,
            f"def view_{number}(request):\n    {source}\n    {sink}\n",
            line - 2,
            f"view_{number}",
            Jsonb(trace),
            task[1],
            row_id=occurrence_id,
        )
        return occurrence_id

    def _add_verdicts(
        self, finding_id: UUID, occurrence_id: UUID, task: tuple[UUID, datetime], line: int
    ) -> None:
        chance = self.chance
        is_true = chance.random() < 0.35
        decision = DECISIONS[int(chance.random() < 0.85) if not is_true else int(chance.random() < 0.06)]
        if chance.random() < 0.05:
            decision = "needs_review"
        verdict_id = self._add(
            "triage_verdict",
            finding_id,
            occurrence_id,
            task[0],
            decision,
            Jsonb([[line, line]]),
            _REASONS[decision],
            MODEL_ID,
            ALIAS,
            "compact-6",
            "production",
            round(chance.betavariate(5, 1) if decision == "false_positive" else 0.1, 2),
            900,
            task[1],
        )
        if chance.random() >= self.reviewed:
            return
        self._add(
            "feedback",
            finding_id,
            occurrence_id,
            verdict_id,
            DECISIONS[int(not is_true)],
            chance.random() < 0.5,
            "person",
            chance.choice(("ana", "ben")),
            task[1] + timedelta(minutes=3),
        )
        if chance.random() < TRAINED_SHARE:
            self._add("training_use", finding_id, RELEASE, "train", 2)

    def _add(self, table: str, *values: object, row_id: UUID | None = None) -> UUID:
        """Add a row with an id of its own, of the tenant."""
        row_id = row_id or uuid7()
        self.rows[table].append((row_id, self.tenant_id, *values))
        return row_id


def _write_tasks(connection: psycopg.Connection, history: _Project, findings: int) -> None:
    """Write the scans, their tools and results."""
    tenant_id, project_id = history.tenant_id, history.project_id
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
            for task_id, at in history.tasks
        ],
    )
    _write(connection, "tool_execution", _EXECUTION, [_tool_run(tenant_id, *task) for task in history.tasks])
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


def _write_model(connection: psycopg.Connection, now: datetime) -> None:
    """Write the model's publication with a report of the form that publishing records."""
    cell = {"base": 0.61, "candidate": 0.93, "low": 0.91, "high": 0.95, "p": 0.001, "n": 1000}
    recall = {"base": 0.88, "candidate": 0.99, "low": 0.98, "high": 1.0, "p": 0.001, "n": 500}
    figures = {"accuracy": cell, "true_positive_recall": recall}
    reasons = [
        "held_out: Accuracy: candidate 0.930 [0.910, 0.950], base 0.610 (n=1000): the lower bound 0.910 lies"
        " above the base's figure 0.610.",
        "held_out: True positives kept: candidate 0.990 [0.980, 1.000], base 0.880 (n=500): the lower bound"
        " reaches 0.950.",
    ]
    reasons_es = [
        "held_out: Exactitud: candidato 0.930 [0.910, 0.950], base 0.610 (n=1000): el límite inferior 0.910"
        " supera la cifra del modelo base 0.610.",
        "held_out: Verdaderos positivos conservados: candidato 0.990 [0.980, 1.000], base 0.880 (n=500): el"
        " límite inferior alcanza 0.950.",
    ]
    report = {
        "held_out": figures,
        "gate": {"passed": True, "reasons": reasons, "reasons_es": reasons_es, "gate": "production"},
        "release": RELEASE[:12],
        "base_id": hashlib.sha256(b"a made-up base").hexdigest(),
    }
    _write(
        connection,
        "model",
        "model_id, name, file_sha256, base, release, gate, report, published_at, published_by",
        [
            (
                MODEL_ID,
                ALIAS,
                "0" * 64,
                "made-up base",
                RELEASE,
                "production",
                Jsonb(report),
                now - timedelta(days=40),
                "lea",
            )
        ],
    )


_COLUMNS: dict[str, str] = {
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
    "training_use": "id, tenant_id, finding_id, release, split, examples",
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
