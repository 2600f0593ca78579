"""A worker's result becomes rows, all of them or none.

Names in tool output come from a stranger's upload. PostgreSQL stores neither NUL nor half a
surrogate pair, so `storable` replaces both: a finding isn't lost over one character.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Select, Table, bindparam, column, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag import records
from securetag.db.base import Base
from securetag.db.branch_states import update_states
from securetag.db.feedback import is_withdrawn
from securetag.db.identity import Matched, ScannedPlace, identify
from securetag.db.leases import BACKOFF_S, Lease, after, backoff, change_state, lock_lease
from securetag.db.models import (
    Feedback,
    Finding,
    FindingOccurrence,
    ScanReport,
    ScanResult,
    Task,
    ToolExecution,
    TriageVerdict,
)
from securetag.db.repositories.quotas import TOKENS, add_use
from securetag.db.states import State
from securetag.db.suppressions import lapse_suppressions
from securetag.errors import InputError
from securetag.records import OCCURRENCE_FIELDS, JsonObject, Verdict
from securetag.scanning.identity.inventory import Inventory
from securetag.wire import queue as wire
from securetag.wire.queue import (
    FindingsAnswer,
    FindingsRequest,
    OccurrenceVerdict,
    ResultAnswer,
    ResultRequest,
    TriagedFinding,
)

#: Findings that are converted and stored at a time.
CHUNK = 500

#: What a newer scan says of a known finding replaces what the older one said.
_WORDS = tuple(name for name in records.Finding.__struct_fields__ if name not in OCCURRENCE_FIELDS)


async def record_findings(
    session: AsyncSession,
    lease: Lease,
    request: FindingsRequest,
    *,
    findings: Iterable[TriagedFinding] | None = None,
) -> FindingsAnswer:
    """Store what an attempt has found before its triage; the task goes on, and no state changes.

    A repetition under the same lease gets the first answer and writes nothing. A later attempt at the task
    keeps what an earlier one has stored, since both scan the same code. `session` and `findings` are as in
    `record_result`, and so are the errors.
    """
    task = await lock_lease(session, lease)
    report = await _find_report(session, lease)
    if report is None:
        scanned = request.findings if findings is None else findings
        with _too_big():
            await _add_executions(session, task, request.tool_executions)
            stored = await _add_findings(session, task, scanned, request)
            report = ScanReport(
                id=uuid7(),
                tenant_id=task.tenant_id,
                task_id=task.id,
                fence=lease.fence,
                occurrence_ids=stored.occurrence_ids,
                awaiting_ids=stored.awaiting_ids,
                by_severity=dict(stored.severities),
            )
            session.add(report)
            await session.flush()
    return FindingsAnswer(task_id=task.id, occurrence_ids=report.occurrence_ids)


async def record_result(
    session: AsyncSession,
    lease: Lease,
    request: ResultRequest,
    *,
    findings: Iterable[TriagedFinding] | None = None,
    verdicts: Iterable[OccurrenceVerdict] | None = None,
    backoff_s: float = BACKOFF_S,
) -> ResultAnswer:
    """Write an attempt's end: tool executions, and of a completed one findings and verdicts; then the state.

    `session` is a `tenant_transaction` of `lease.tenant_id`. `findings`, which is iterated twice, and
    `verdicts` stand in place of the request's own where they are too many to be held in memory.
    Raises FencedError when the lease is lost or the result was written before (nothing is written
    then), InputError for numbers that no column holds and for verdicts on what the attempt hasn't sent.
    """
    task = await lock_lease(session, lease)
    state = after(request.outcome, task)
    with _too_big():
        await _add_executions(session, task, request.tool_executions)
        stored = 0
        if state is State.COMPLETED:
            if request.findings_sent:
                given = request.verdicts if verdicts is None else verdicts
                await _add_verdicts(session, task, await _find_report(session, lease), given)
            else:
                scanned = request.findings if findings is None else findings
                await _add_findings(session, task, scanned, request)
            stored = await _add_result(session, task)
            await update_states(session, task, await _executions(session, task))
            await lapse_suppressions(session, task)
    wait = backoff(task.attempt, backoff_s) if state is State.RETRYING else 0.0
    await change_state(session, task, state, reason=storable(request.error), wait_s=wait)
    return ResultAnswer(task_id=task.id, state=state.value, findings=stored)


async def _find_report(session: AsyncSession, lease: Lease) -> ScanReport | None:
    """Return what this attempt has sent before its triage, if it has."""
    query = select(ScanReport).where(ScanReport.task_id == lease.task_id, ScanReport.fence == lease.fence)
    report: ScanReport | None = await session.scalar(query)
    return report


def storable(value: Any) -> Any:
    """The same text, or builtins that hold text, without what PostgreSQL can't store."""
    if isinstance(value, str):
        if value.isascii() and "\x00" not in value:
            return value
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


async def _add_executions(
    session: AsyncSession, task: Task, executions: Iterable[wire.ToolExecution]
) -> None:
    rows = [
        {
            "tenant_id": task.tenant_id,
            "task_id": task.id,
            "attempt": task.attempt,
            **storable(run.model_dump(exclude={"metrics"})),
            "metrics_json": storable(run.metrics.model_dump(mode="json", by_alias=True)),
        }
        for run in executions
    ]
    if rows:
        # One statement. Psycopg sends a list of parameters in a pipeline, and a pipeline that is canceled
        # may neither end nor leave a usable connection.
        await session.execute(insert(ToolExecution).values(rows))


async def _executions(session: AsyncSession, task: Task) -> list[wire.ToolExecution]:
    """Return all that this attempt has run, whether it was sent with the findings or with the result."""
    names = wire.ToolExecution.model_fields.keys() - {"metrics"}
    rows = await session.scalars(
        select(ToolExecution)
        .where(ToolExecution.task_id == task.id, ToolExecution.attempt == task.attempt)
        .order_by(ToolExecution.id)
    )
    return [
        wire.ToolExecution.model_validate(
            {**{name: getattr(row, name) for name in names}, "metrics": row.metrics_json}
        )
        for row in rows
    ]


def _inventory(request: FindingsRequest | ResultRequest) -> Inventory:
    try:
        return Inventory.unpack(request.inventory)
    except ValueError as error:
        raise InputError(
            "the result's inventory is no base64", hint="Leave it out, or send it whole."
        ) from error


@dataclass
class _Stored:
    """What was stored of a scan's findings, in their order."""

    occurrence_ids: list[UUID] = field(default_factory=list)
    #: Those that a model is going to be asked about.
    awaiting_ids: list[UUID] = field(default_factory=list)
    severities: Counter[str] = field(default_factory=Counter)


async def _add_findings(
    session: AsyncSession,
    task: Task,
    findings: Iterable[TriagedFinding],
    request: FindingsRequest | ResultRequest,
) -> _Stored:
    """Upsert findings, add their occurrences and the verdicts that came with them."""
    # Parsing and converting take seconds for a large result: beside the event loop.
    places = await asyncio.to_thread(lambda: [_place(item) for item in findings])
    tools = {run.tool for run in request.tool_executions}
    matched = await identify(session, task, places, _inventory(request), tools=tools)
    occurrences = await _occurrences(session, task)
    pairs = zip(findings, matched, strict=True)
    stored = _Stored()
    while chunk := await asyncio.to_thread(lambda: list(islice(pairs, CHUNK))):
        await _add_chunk(session, task, chunk, occurrences)
        for item, match in chunk:
            stored.occurrence_ids.append(occurrences[match.finding_id])
            if item.awaits_verdict:
                stored.awaiting_ids.append(occurrences[match.finding_id])
            stored.severities[item.finding.severity] += 1
    return stored


async def _occurrences(session: AsyncSession, task: Task) -> dict[UUID, UUID]:
    """Return finding → occurrence of what the task has stored so far."""
    query = select(FindingOccurrence.finding_id, FindingOccurrence.id)
    rows = await session.execute(query.where(FindingOccurrence.task_id == task.id))
    return dict(rows.all())


async def _add_verdicts(
    session: AsyncSession, task: Task, report: ScanReport | None, verdicts: Iterable[OccurrenceVerdict]
) -> None:
    """Add the verdicts on findings that the attempt has sent. Raises InputError for one on another."""
    if report is None:
        raise InputError(
            "this attempt has sent no findings before its result",
            hint="Send them before the result, or with it.",
        )
    findings = {occurrence: finding for finding, occurrence in (await _occurrences(session, task)).items()}
    awaited = set(report.occurrence_ids)
    given = iter(verdicts)
    while chunk := await asyncio.to_thread(lambda: list(islice(given, CHUNK))):
        rows = []
        for item in chunk:
            if item.occurrence_id not in awaited:
                raise InputError(
                    f"a verdict is on {item.occurrence_id}, which this attempt hasn't sent, or is the second",
                    hint="Use the ids that were given when the findings were sent, each once.",
                )
            awaited.remove(item.occurrence_id)
            rows.append(_verdict_row(task, item.occurrence_id, findings[item.occurrence_id], item.verdict))
        await _insert(session, TriageVerdict, rows)
        # A person's verdict stays in force, or stale, whatever a model says.
        await session.execute(
            update(Finding)
            .where(
                Finding.id.in_([row["finding_id"] for row in rows]),
                ~select(Feedback.id).where(Feedback.finding_id == Finding.id, ~is_withdrawn()).exists(),
            )
            .values(verdict_stale_task_id=None)
            .execution_options(synchronize_session=False)
        )


async def _add_result(session: AsyncSession, task: Task) -> int:
    """Add the scan's summary, of all that its attempts have stored; returns how many findings."""
    in_task = FindingOccurrence.task_id == task.id
    by_severity = await session.execute(
        select(Finding.severity, func.count())
        .join(FindingOccurrence, FindingOccurrence.finding_id == Finding.id)
        .where(in_task)
        .group_by(Finding.severity)
    )
    by_decision = await session.execute(
        select(
            func.coalesce(TriageVerdict.decision, "none"),
            func.count(FindingOccurrence.id.distinct()),
            func.coalesce(func.sum(TriageVerdict.prompt_tokens + TriageVerdict.completion_tokens), 0),
        )
        .select_from(FindingOccurrence)
        .outerjoin(TriageVerdict, TriageVerdict.occurrence_id == FindingOccurrence.id)
        .where(in_task)
        .group_by(TriageVerdict.decision)
    )
    severities, rows = dict(by_severity.all()), by_decision.all()
    decisions = {row[0]: row[1] for row in rows}
    if tokens := sum(int(row[2]) for row in rows):
        await add_use(session, task.tenant_id, TOKENS, tokens)
    await session.execute(
        insert(ScanResult).values(
            tenant_id=task.tenant_id,
            task_id=task.id,
            findings=sum(severities.values()),
            by_severity=severities,
            by_verdict=decisions,
        )
    )
    return sum(severities.values())


def _place(item: TriagedFinding) -> ScannedPlace:
    finding = item.finding
    path, scope = storable(finding.path), storable(finding.scope)
    return ScannedPlace.of(finding, path, scope, has_verdict=item.verdict is not None)


async def _add_chunk(
    session: AsyncSession,
    task: Task,
    chunk: Sequence[tuple[TriagedFinding, Matched]],
    occurrences: dict[UUID, UUID],
) -> None:
    """One statement for each table; `occurrences` gains those that are new."""
    findings = await asyncio.to_thread(lambda: [_finding_row(task, *pair) for pair in chunk])
    statement = upsert(_table(Finding)).from_select(*_unnested(Finding, findings[0]))
    names = (*_WORDS, "fingerprint_version", "last_task_id", "verdict_stale_task_id")
    replaced = {name: statement.excluded[name] for name in names}
    statement = statement.on_conflict_do_update(
        index_elements=["id"], set_={**replaced, "last_seen_at": func.clock_timestamp()}
    )
    await session.execute(statement, _columns(findings))
    added, verdicts = await asyncio.to_thread(_scan_rows, task, chunk, occurrences)
    await _insert(session, FindingOccurrence, added)
    await _insert(session, TriageVerdict, verdicts)


async def _insert(session: AsyncSession, table: type[Base], rows: Sequence[JsonObject]) -> None:
    if rows:
        added = insert(_table(table)).from_select(*_unnested(table, rows[0]))
        await session.execute(added, _columns(rows))


def _finding_row(task: Task, item: TriagedFinding, matched: Matched) -> JsonObject:
    return {
        "id": matched.finding_id,
        "tenant_id": task.tenant_id,
        "project_id": task.project_id,
        "fingerprint_version": item.finding.fingerprint.split(":", 1)[0],
        "first_task_id": task.id,
        "last_task_id": task.id,
        "verdict_stale_task_id": matched.stale_task_id,
        **_columns_of(item.finding, _WORDS),
    }


def _scan_rows(
    task: Task, chunk: Sequence[tuple[TriagedFinding, Matched]], occurrences: dict[UUID, UUID]
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Rows of the occurrences that aren't stored yet, and of the verdicts."""
    added, verdicts = [], []
    for item, matched in chunk:
        finding_id = matched.finding_id
        if finding_id not in occurrences:
            occurrences[finding_id] = uuid7()
            shared = {"tenant_id": task.tenant_id, "task_id": task.id, "finding_id": finding_id}
            columns = _columns_of(item.finding, OCCURRENCE_FIELDS)
            added.append({"id": occurrences[finding_id], **shared, **columns})
        if item.verdict is not None:
            verdicts.append(_verdict_row(task, occurrences[finding_id], finding_id, item.verdict))
    return added, verdicts


def _verdict_row(task: Task, occurrence_id: UUID, finding_id: UUID, verdict: Verdict) -> JsonObject:
    return {
        "id": uuid7(),
        "tenant_id": task.tenant_id,
        "task_id": task.id,
        "finding_id": finding_id,
        "occurrence_id": occurrence_id,
        **_columns_of(verdict, Verdict.__struct_fields__),
    }


def _columns_of(item: records.Finding | Verdict, names: Iterable[str]) -> JsonObject:
    return {name: storable(msgspec.to_builtins(getattr(item, name))) for name in names}


def _unnested(table: type[Base], row: JsonObject) -> tuple[list[str], Select[*tuple[object, ...]]]:
    """Columns, and a select of one array for each: any number of rows in one statement of fixed text."""
    types = {name: _table(table).c[name].type for name in row}
    # One dimension: a JSON value that is a list is an element, not a row of a matrix.
    arrays = [bindparam(f"rows_{name}", type_=ARRAY(kind, dimensions=1)) for name, kind in types.items()]
    columns = [column(name, kind) for name, kind in types.items()]
    return list(row), select(func.unnest(*arrays).table_valued(*columns, name="rows").render_derived())


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table), "every model is a table of its own"
    return table


def _columns(rows: Sequence[JsonObject]) -> dict[str, list[object]]:
    return {f"rows_{name}": [row[name] for row in rows] for name in rows[0]}


@contextmanager
def _too_big() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise InputError(
            f"the result holds a value that can't be stored: {str(error.orig).splitlines()[0]}",
            hint="Line numbers, counts and exit codes are 64-bit.",
        ) from error
