"""Rows of what a worker has found, and the statements that write them: one for each table and chunk.

Names in tool output come from a stranger's upload. PostgreSQL stores neither NUL nor half a
surrogate pair, so `storable` replaces both: a finding isn't lost over one character.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Insert, Select, bindparam, column, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from securetag import records
from securetag.db.base import Base, table_of
from securetag.db.identity import Matched, ScannedPlace
from securetag.db.models import Finding, FindingOccurrence, Task, TriageVerdict
from securetag.errors import InputError
from securetag.records import OCCURRENCE_FIELDS, JsonObject, Verdict
from securetag.wire.queue import TriagedFinding

#: What a newer scan says of a known finding replaces what the older one said.
_WORDS = tuple(name for name in records.Finding.__struct_fields__ if name not in OCCURRENCE_FIELDS)


@dataclass
class StoredOccurrences:
    """What a task has stored so far, in this attempt or an earlier one."""

    #: Finding → occurrence.
    ids: dict[UUID, UUID]
    #: Occurrences with a verdict of this task.
    judged: set[UUID] = field(default_factory=set)


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


def scanned_place(item: TriagedFinding) -> ScannedPlace:
    finding = item.finding
    path, scope = storable(finding.path), storable(finding.scope)
    return ScannedPlace.of(finding, path, scope, has_verdict=item.verdict is not None)


async def add_chunk(
    session: AsyncSession,
    task: Task,
    chunk: Sequence[tuple[TriagedFinding, Matched]],
    stored: StoredOccurrences,
) -> None:
    """Add up to a few hundred findings, by one statement for each table; `stored` gains what is new."""
    findings = await asyncio.to_thread(lambda: [_finding_row(task, *pair) for pair in chunk])
    await session.execute(_write_findings(tuple(findings[0])), _columns(findings))
    added, verdicts = await asyncio.to_thread(_scan_rows, task, chunk, stored)
    await insert_rows(session, FindingOccurrence, added)
    await insert_rows(session, TriageVerdict, verdicts)


async def insert_rows(session: AsyncSession, table: type[Base], rows: Sequence[JsonObject]) -> None:
    if rows:
        await session.execute(_write_rows(table, tuple(rows[0])), _columns(rows))


# To build a statement takes longer than PostgreSQL takes to write a few rows by it.
@cache
def _write_findings(names: tuple[str, ...]) -> Insert:
    statement = upsert(table_of(Finding)).from_select(*_unnested(Finding, names))
    changed = (*_WORDS, "fingerprint_version", "last_task_id", "verdict_stale_task_id")
    replaced = {name: statement.excluded[name] for name in changed}
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={**replaced, "last_seen_at": func.clock_timestamp()}
    )


@cache
def _write_rows(table: type[Base], names: tuple[str, ...]) -> Insert:
    return insert(table_of(table)).from_select(*_unnested(table, names))


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
    task: Task, chunk: Sequence[tuple[TriagedFinding, Matched]], stored: StoredOccurrences
) -> tuple[list[JsonObject], list[JsonObject]]:
    """Rows of the occurrences and verdicts that aren't stored yet."""
    added, verdicts = [], []
    occurrences = stored.ids
    for item, matched in chunk:
        finding_id = matched.finding_id
        if finding_id not in occurrences:
            occurrences[finding_id] = uuid7()
            shared = {"tenant_id": task.tenant_id, "task_id": task.id, "finding_id": finding_id}
            columns = _columns_of(item.finding, OCCURRENCE_FIELDS)
            added.append({"id": occurrences[finding_id], **shared, **columns})
        if item.verdict is not None and occurrences[finding_id] not in stored.judged:
            stored.judged.add(occurrences[finding_id])
            verdicts.append(verdict_row(task, occurrences[finding_id], finding_id, item.verdict))
    return added, verdicts


def verdict_row(task: Task, occurrence_id: UUID, finding_id: UUID, verdict: Verdict) -> JsonObject:
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


def _unnested(table: type[Base], names: Sequence[str]) -> tuple[Sequence[str], Select[*tuple[object, ...]]]:
    """Columns, and a select of one array for each: any number of rows in one statement of fixed text."""
    types = {name: table_of(table).c[name].type for name in names}
    # One dimension: a JSON value that is a list is an element, not a row of a matrix.
    arrays = [bindparam(f"rows_{name}", type_=ARRAY(kind, dimensions=1)) for name, kind in types.items()]
    columns = [column(name, kind) for name, kind in types.items()]
    return names, select(func.unnest(*arrays).table_valued(*columns, name="rows").render_derived())


def _columns(rows: Sequence[JsonObject]) -> dict[str, list[object]]:
    return {f"rows_{name}": [row[name] for row in rows] for name in rows[0]}


@contextmanager
def refuse_too_big() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise InputError(
            f"the result holds a value that can't be stored: {str(error.orig).splitlines()[0]}",
            hint="Line numbers, counts and exit codes are 64-bit.",
        ) from error
