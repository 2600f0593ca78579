"""A worker's result becomes rows, all of them or none.

Names in tool output come from a stranger's upload. PostgreSQL stores neither NUL nor half a
surrogate pair, so `storable` replaces both: a finding isn't lost over one character.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Select, Table, bindparam, column, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag import records
from securetag.db.base import Base
from securetag.db.branch_states import update_states
from securetag.db.identity import Matched, ScannedPlace, identify
from securetag.db.leases import BACKOFF_S, Lease, after, backoff, change_state, lock_lease
from securetag.db.models import Finding, FindingOccurrence, ScanResult, Task, ToolExecution, TriageVerdict
from securetag.db.states import State
from securetag.db.suppressions import lapse_suppressions
from securetag.errors import InputError
from securetag.records import OCCURRENCE_FIELDS, JsonObject, Verdict
from securetag.scanning.identity.inventory import Inventory
from securetag.wire.queue import ResultAnswer, ResultRequest, TriagedFinding

#: Findings that are converted and stored at a time.
CHUNK = 500

#: What a newer scan says of a known finding replaces what the older one said.
_WORDS = tuple(name for name in records.Finding.__struct_fields__ if name not in OCCURRENCE_FIELDS)


async def record_result(
    session: AsyncSession,
    lease: Lease,
    request: ResultRequest,
    *,
    findings: Iterable[TriagedFinding] | None = None,
    backoff_s: float = BACKOFF_S,
) -> ResultAnswer:
    """Write an attempt's end: tool executions, and of a completed one findings and verdicts; then the state.

    `session` is a `tenant_transaction` of `lease.tenant_id`. `findings`, which is iterated twice, stands
    in place of the request's own where they are too many to be held in memory.
    Raises FencedError when the lease is lost or the result was written before (nothing is written
    then), InputError for numbers that no column holds.
    """
    task = await lock_lease(session, lease)
    state = after(request.outcome, task)
    with _too_big():
        await _add_executions(session, task, request)
        stored = 0
        if state is State.COMPLETED:
            scanned = request.findings if findings is None else findings
            stored = await _add_findings(session, task, scanned, request)
            is_stale = Finding.verdict_stale_task_id == task.id
            await update_states(session, task, request.tool_executions, changed=is_stale)
            await lapse_suppressions(session, task)
    wait = backoff(task.attempt, backoff_s) if state is State.RETRYING else 0.0
    await change_state(session, task, state, reason=storable(request.error), wait_s=wait)
    return ResultAnswer(task_id=task.id, state=state.value, findings=stored)


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
        # One statement. Psycopg sends a list of parameters in a pipeline, and a pipeline that is canceled
        # may neither end nor leave a usable connection.
        await session.execute(insert(ToolExecution).values(rows))


def _inventory(request: ResultRequest) -> Inventory:
    try:
        return Inventory.unpack(request.inventory)
    except ValueError as error:
        raise InputError(
            "the result's inventory is no base64", hint="Leave it out, or send it whole."
        ) from error


async def _add_findings(
    session: AsyncSession, task: Task, findings: Iterable[TriagedFinding], request: ResultRequest
) -> int:
    """Upsert findings, add their occurrences and verdicts and the scan's summary; returns how many."""
    # Parsing and converting take seconds for a large result: beside the event loop.
    places = await asyncio.to_thread(lambda: [_place(item) for item in findings])
    tools = {run.tool for run in request.tool_executions}
    matched = await identify(session, task, places, _inventory(request), tools=tools)
    pairs = zip(findings, matched, strict=True)
    severities: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    while chunk := await asyncio.to_thread(lambda: list(islice(pairs, CHUNK))):
        await _add_chunk(session, task, chunk)
        severities.update(item.finding.severity for item, _ in chunk)
        decisions.update(item.verdict.decision if item.verdict else "none" for item, _ in chunk)
    await session.execute(
        insert(ScanResult).values(
            tenant_id=task.tenant_id,
            task_id=task.id,
            findings=len(places),
            by_severity=dict(severities),
            by_verdict=dict(decisions),
        )
    )
    return len(places)


def _place(item: TriagedFinding) -> ScannedPlace:
    finding = item.finding
    path, scope = storable(finding.path), storable(finding.scope)
    return ScannedPlace.of(finding, path, scope, has_verdict=item.verdict is not None)


async def _add_chunk(
    session: AsyncSession, task: Task, chunk: Sequence[tuple[TriagedFinding, Matched]]
) -> None:
    """One statement for each table."""
    findings = await asyncio.to_thread(lambda: [_finding_row(task, *pair) for pair in chunk])
    statement = upsert(_table(Finding)).from_select(*_unnested(Finding, findings[0]))
    names = (*_WORDS, "fingerprint_version", "last_task_id", "verdict_stale_task_id")
    replaced = {name: statement.excluded[name] for name in names}
    statement = statement.on_conflict_do_update(
        index_elements=["id"], set_={**replaced, "last_seen_at": func.clock_timestamp()}
    )
    await session.execute(statement, _columns(findings))
    occurrences, verdicts = await asyncio.to_thread(_scan_rows, task, chunk)
    for table, rows in ((FindingOccurrence, occurrences), (TriageVerdict, verdicts)):
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
    task: Task, chunk: Sequence[tuple[TriagedFinding, Matched]]
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Rows of the occurrences and of the verdicts on them."""
    occurrences, verdicts = [], []
    for item, matched in chunk:
        shared = {"tenant_id": task.tenant_id, "task_id": task.id, "finding_id": matched.finding_id}
        occurrence = {"id": uuid7(), **shared, **_columns_of(item.finding, OCCURRENCE_FIELDS)}
        occurrences.append(occurrence)
        if item.verdict is not None:
            words = _columns_of(item.verdict, Verdict.__struct_fields__)
            verdicts.append({"id": uuid7(), **shared, "occurrence_id": occurrence["id"], **words})
    return occurrences, verdicts


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
