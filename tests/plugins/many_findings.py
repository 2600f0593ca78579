"""A tenant with as many findings as a large organization, written by COPY; a second tenant is beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import UUID, uuid5

import psycopg

NAMESPACE = UUID("018f6f00-0000-7000-8000-000000000000")
PROJECTS = 20
SEVERITIES = ("low", "medium", "high", "critical")
CONFIDENCES = ("low", "medium", "high")
STATES = ("new", "open", "fixed", "reopened")
DECISIONS = ("true_positive", "false_positive", "needs_review")


def row_id(kind: str, number: int) -> UUID:
    """Return the id of a row that `seed_findings` writes: of a `tenant`, `project`, `task` or `finding`."""
    return uuid5(NAMESPACE, f"{kind} {number}")


def seed_findings(superuser: str, count: int) -> UUID:
    """Write `count` findings of one tenant, in 20 projects, and return the tenant's id.

    Values that are equal in one column differ in the others. Of a critical finding no confidence is low: a
    filter for both finds nothing, however many rows have either.
    """
    tenant_id = row_id("tenant", 0)
    with psycopg.connect(superuser) as connection:
        # Bulk load: the listing is written once for all rows at the end, as its triggers would.
        connection.execute("SET LOCAL session_replication_role = replica")
        for number in range(2):
            connection.execute(
                "INSERT INTO securetag.tenant (id, name) VALUES (%s, %s)",
                (row_id("tenant", number), f"large {number}"),
            )
        for number in range(PROJECTS):
            project, task = row_id("project", number), row_id("task", number)
            connection.execute(
                "INSERT INTO securetag.project (id, tenant_id, name, default_branch) "
                "VALUES (%s, %s, %s, 'main')",
                (project, tenant_id, f"project {number}"),
            )
            connection.execute(
                "INSERT INTO securetag.task (id, tenant_id, project_id, kind, state) "
                "VALUES (%s, %s, %s, 'codeaudit', 'completed')",
                (task, tenant_id, project),
            )
        for table, (columns, rows) in _tables(tenant_id, count).items():
            with connection.cursor().copy(f"COPY securetag.{table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        connection.execute("ANALYZE")
        connection.execute("SET LOCAL session_replication_role = origin")
        for function in ("refresh_listing", "refresh_cwes"):
            connection.execute(f"SELECT securetag.{function}(ARRAY(SELECT id FROM securetag.finding))")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    return tenant_id


def _tables(tenant_id: UUID, count: int) -> dict[str, tuple[str, Iterator[tuple[object, ...]]]]:
    """Return table → its columns and rows."""
    other = json.dumps([{"tool": "b", "rule_id": "other", "cwe": "CWE-1333", "start_line": 1, "end_line": 1}])

    def ids(i: int) -> tuple[UUID, UUID, UUID, UUID]:
        return (
            row_id("finding", i),
            row_id("occurrence", i),
            row_id("task", i % PROJECTS),
            row_id("project", i % PROJECTS),
        )

    def findings() -> Iterator[tuple[object, ...]]:
        for i in range(count):
            finding, _, task, project = ids(i)
            severity = SEVERITIES[i // 7 % 4]
            confidence = CONFIDENCES[i // 3 % 3]
            if (severity, confidence) == ("critical", "low"):
                confidence = "high"
            yield (
                *(finding, tenant_id, project, f"v2:{i}", "v2", "semgrep", f"rule-{i % 150}"),
                *(f"CWE-{i % 50 + 20}", f"Title {i % 150}", "message", severity, confidence, "python"),
                *(other if i % 1000 == 0 else "[]", i * 7919 % 5000, task, task),
                "ada" if i % 2000 == 0 else None,
            )

    def occurrences() -> Iterator[tuple[object, ...]]:
        for i in range(count):
            finding, occurrence, task, _ = ids(i)
            path = f"app/package{i % 400}/file{i % 3000}.py"
            yield occurrence, tenant_id, finding, task, path, 1, 2, "x = 1\n" * 20, 1

    def verdicts() -> Iterator[tuple[object, ...]]:
        for i in range(count):
            finding, occurrence, task, _ = ids(i)
            if i % 5:
                yield row_id("verdict", i), tenant_id, finding, occurrence, task, DECISIONS[i // 11 % 3]

    def states() -> Iterator[tuple[object, ...]]:
        for i in range(count):
            finding, _, task, project = ids(i)
            yield row_id("state", i), tenant_id, project, finding, "main", STATES[i // 13 % 4], task, task

    def feedback() -> Iterator[tuple[object, ...]]:
        for i in range(0, count, 500):
            finding, occurrence, _, _ = ids(i)
            yield (
                *(row_id("feedback", i), tenant_id, finding, occurrence),
                *(DECISIONS[i // 1000 % 2], True, "person", "ada"),
            )

    def notes() -> Iterator[tuple[object, ...]]:
        for i in range(0, count, 3000):
            yield row_id("note", i), tenant_id, row_id("finding", i), "looked at", "ada"

    return {
        "finding": (
            "id, tenant_id, project_id, fingerprint, fingerprint_version, tool, rule_id, cwe, title, message,"
            " severity, confidence, language, matches, rank, first_task_id, last_task_id, assignee",
            findings(),
        ),
        "finding_occurrence": (
            "id, tenant_id, finding_id, task_id, path, start_line, end_line, snippet, snippet_line",
            occurrences(),
        ),
        "triage_verdict": ("id, tenant_id, finding_id, occurrence_id, task_id, decision", verdicts()),
        "finding_state": (
            "id, tenant_id, project_id, finding_id, branch, state, task_id, seen_task_id",
            states(),
        ),
        "feedback": (
            "id, tenant_id, finding_id, occurrence_id, verdict, saw_model, source, reviewer",
            feedback(),
        ),
        "finding_note": ("id, tenant_id, finding_id, text, author", notes()),
    }
