"""A worker's result becomes rows, all of them or none.

Names in tool output come from a stranger's upload. PostgreSQL stores neither NUL nor half a
surrogate pair, so `storable` replaces both: a finding isn't lost over one character.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag.db.leases import BACKOFF_S, Lease, after, backoff, hold, move
from securetag.db.models import Finding, FindingOccurrence, ScanResult, Task, ToolExecution, TriageVerdict
from securetag.db.states import State
from securetag.errors import InputError
from securetag.wire import ResultAnswer, ResultRequest, TriagedFinding

#: What a newer scan says of a known finding replaces what the older one said.
_WORDS = (
    "tool", "rule_id", "cwe", "owasp", "title", "message", "recommendation", "severity", "confidence",
    "language",
)  # fmt: skip
_PLACE = ("path", "start_line", "end_line", "snippet", "snippet_line", "scope")


async def record_result(
    session: AsyncSession, lease: Lease, request: ResultRequest, *, backoff_s: float = BACKOFF_S
) -> ResultAnswer:
    """Write an attempt's end: tool executions, and of a completed one findings and verdicts; then the state.

    `session` is a `tenant_transaction` of `lease.tenant_id`. Findings of one fingerprint count once.
    Raises FencedError when the lease is lost or the result was written before (nothing is written
    then), InputError for numbers that no column holds.
    """
    task = await hold(session, lease)
    state = after(request.outcome, task)
    with _too_big():
        await _add_executions(session, task, request)
        stored = await _add_findings(session, task, request) if state is State.COMPLETED else 0
    wait = backoff(task.attempt, backoff_s) if state is State.RETRYING else 0.0
    await move(session, task, state, reason=storable(request.error), wait_s=wait)
    return ResultAnswer(task_id=task.id, state=state.value, findings=stored)


def storable(value: Any) -> Any:
    """The same text, or builtins that hold text, without what PostgreSQL can't store."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


async def _add_executions(session: AsyncSession, task: Task, request: ResultRequest) -> None:
    rows = [
        {
            "tenant_id": task.tenant_id,
            "task_id": task.id,
            "attempt": task.attempt,
            **storable(run.model_dump(exclude={"metrics"})),
            "metrics_json": storable(run.metrics.model_dump(mode="json", by_alias=True)),
        }
        for run in request.tool_executions
    ]
    if rows:
        await session.execute(insert(ToolExecution), rows)


async def _add_findings(session: AsyncSession, task: Task, request: ResultRequest) -> int:
    """Upsert findings, add their occurrences and verdicts and the scan's summary; returns how many."""
    # In order of fingerprint: two scans of one project lock the same rows in the same order.
    triaged = {item.finding.fingerprint: item for item in reversed(request.findings)}
    ordered = [triaged[fingerprint] for fingerprint in sorted(triaged)]
    ids = await _upsert_findings(session, task, ordered)
    occurrences, verdicts = [], []
    for item in ordered:
        found = storable(item.finding.model_dump(include=set(_PLACE)))
        which = {
            "tenant_id": task.tenant_id,
            "task_id": task.id,
            "finding_id": ids[item.finding.fingerprint],
        }
        occurrence = {"id": uuid7(), **which, **found}
        occurrences.append(occurrence)
        if item.verdict is not None:
            words = storable(item.verdict.model_dump(mode="json"))
            verdicts.append({"id": uuid7(), **which, "occurrence_id": occurrence["id"], **words})
    if occurrences:
        await session.execute(insert(FindingOccurrence), occurrences)
    if verdicts:
        await session.execute(insert(TriageVerdict), verdicts)
    severities = Counter(item.finding.severity for item in ordered)
    decisions = Counter(item.verdict.decision if item.verdict else "none" for item in ordered)
    await session.execute(
        insert(ScanResult).values(
            tenant_id=task.tenant_id, task_id=task.id, findings=len(ordered),
            by_severity=dict(severities), by_verdict=dict(decisions),
        )
    )  # fmt: skip
    return len(ordered)


async def _upsert_findings(
    session: AsyncSession, task: Task, ordered: list[TriagedFinding]
) -> dict[str, UUID]:
    """Fingerprint → id of the project's finding, made where it wasn't known."""
    rows = [
        {
            "id": uuid7(),
            "tenant_id": task.tenant_id,
            "project_id": task.project_id,
            "fingerprint": item.finding.fingerprint,
            "fingerprint_version": item.finding.fingerprint.split(":", 1)[0],
            "first_task_id": task.id,
            "last_task_id": task.id,
            **storable(item.finding.model_dump(include=set(_WORDS))),
        }
        for item in ordered
    ]
    if not rows:
        return {}
    statement = upsert(Finding)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "project_id", "fingerprint"],
        set_={
            **{word: statement.excluded[word] for word in _WORDS},
            "last_task_id": task.id,
            "last_seen_at": func.clock_timestamp(),
        },
    )
    found = await session.execute(statement.returning(Finding.fingerprint, Finding.id), rows)
    return {row.fingerprint: row.id for row in found}


@contextmanager
def _too_big() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise InputError(
            f"the result holds a value that can't be stored: {str(error.orig).splitlines()[0]}",
            hint="Line numbers, counts and exit codes are 64-bit.",
        ) from error
