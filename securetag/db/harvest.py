"""What may be trained on: findings with people's verdicts, of tenants whose consent is in force.

Runs as `securetag_harvest`, whose row-level policies hide every other tenant; nothing here repeats
that condition, so nothing here can forget it. Text comes out as it was stored: the caller scrubs it
before writing it anywhere.

Synchronous, for the pipeline; the services don't import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, get_args
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, Row, text

from securetag.db.engine import HARVEST, create_sync_engine, translate_errors
from securetag.records import Decision, Finding, Label
from securetag.settings import Settings


class HarvestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One person's last word on one finding."""

    finding: Finding
    label: Label
    tenant_id: UUID
    consent_id: UUID
    project_id: UUID
    finding_id: UUID
    occurrence_id: UUID
    feedback_id: UUID
    #: Name of the API key.
    reviewer: str
    #: Did the person see the model's answer first?
    saw_model: bool
    #: The bulk decision that this verdict is a part of, if any.
    bulk_id: UUID | None
    #: True where a script gave the verdict from ground truth.
    scripted: bool
    disposition: str | None
    comment: str
    #: The model's verdict on the same code, the one that stood beside the feedback where that is known.
    model_decision: Decision | None
    model_id: str


#: Each reviewer's newest feedback on a finding that wasn't withdrawn; of an abstention nothing is trained on.
#: The code is that of the occurrence that the reviewer saw: the named one, else the newest before that.
_QUERY = text("""
WITH word AS (
    SELECT DISTINCT ON (finding_id, reviewer) *
    FROM securetag.feedback
    WHERE NOT EXISTS (
        SELECT FROM securetag.feedback_withdrawal WHERE feedback_withdrawal.feedback_id = feedback.id
    )
    ORDER BY finding_id, reviewer, id DESC
)
SELECT
    word.id AS feedback_id, word.verdict AS label, word.reviewer, word.saw_model,
    word.bulk_id, word.source = 'script' AS scripted, word.disposition, word.comment, word.tenant_id,
    consent.id AS consent_id, finding.id AS finding_id, finding.project_id, finding.tool,
    finding.rule_id, finding.cwe, finding.owasp, finding.title, finding.message,
    finding.recommendation, finding.severity, finding.confidence, finding.language,
    finding.fingerprint, seen.id AS occurrence_id, seen.path, seen.start_line, seen.end_line,
    seen.snippet, seen.snippet_line, seen.scope, seen.code_slice, model.decision AS model_decision,
    coalesce(model.model_id, '') AS model_id
FROM word
JOIN securetag.finding ON finding.id = word.finding_id
JOIN securetag.consent ON consent.tenant_id = word.tenant_id
CROSS JOIN LATERAL (
    SELECT * FROM securetag.finding_occurrence AS occurrence
    WHERE occurrence.finding_id = word.finding_id
        AND (occurrence.id = word.occurrence_id
            OR word.occurrence_id IS NULL AND occurrence.created_at <= word.created_at)
    ORDER BY occurrence.id DESC LIMIT 1
) AS seen
LEFT JOIN LATERAL (
    SELECT decision, model_id FROM securetag.triage_verdict AS verdict
    WHERE verdict.finding_id = word.finding_id
        AND (verdict.id = word.verdict_id
            OR word.verdict_id IS NULL AND verdict.occurrence_id = seen.id)
    ORDER BY verdict.id DESC LIMIT 1
) AS model ON true
WHERE word.verdict IN ('true_positive', 'false_positive') AND seen.web IS NULL
ORDER BY word.id
""")

#: Of each project of a consenting tenant the oldest finding, as it was first seen.
_OLDEST = text("""
SELECT DISTINCT ON (finding.project_id)
    finding.project_id, finding.tool, finding.rule_id, finding.cwe, finding.owasp, finding.title,
    finding.message, finding.recommendation, finding.severity, finding.confidence, finding.language,
    finding.fingerprint, seen.path, seen.start_line, seen.end_line, seen.snippet, seen.snippet_line,
    seen.scope, seen.code_slice
FROM securetag.finding
JOIN securetag.consent ON consent.tenant_id = finding.tenant_id
CROSS JOIN LATERAL (
    SELECT * FROM securetag.finding_occurrence AS occurrence
    WHERE occurrence.finding_id = finding.id ORDER BY occurrence.id LIMIT 1
) AS seen
WHERE seen.web IS NULL
ORDER BY finding.project_id, finding.id
""")

#: A request names its host and may hold anything, so what a web application shows stays with its tenant.
#: The other fields say how to find and rank a place, which nothing is trained on.
_LEFT_OUT = {"web", "matches", "rank", "path_class", "trace", "identity"}
_FINDING_FIELDS = tuple(name for name in Finding.__struct_fields__ if name not in _LEFT_OUT)


#: Tables of which a sensor waits for new rows.
WatchedTable = Literal["tool_execution", "feedback"]
_NEW = {
    table: "SELECT count(*) AS number, (array_agg(id ORDER BY id DESC))[1] AS last"
    f" FROM securetag.{table} WHERE CAST(:after AS uuid) IS NULL OR id > :after"
    for table in get_args(WatchedTable)
}


def harvest(source: Settings | str) -> list[HarvestRow]:
    """Every consented verdict, oldest feedback first. `source`: settings, or a DSN.

    Raises DatabaseUnavailableError, SettingsError.
    """
    with _connected(source) as connection:
        return [_row(row) for row in connection.execute(_QUERY)]


def list_oldest_findings(source: Settings | str) -> dict[UUID, Finding]:
    """The oldest finding of each project of a consenting tenant: what names the project by content.

    It stays the oldest while the project grows. Raises DatabaseUnavailableError, SettingsError.
    """
    with _connected(source) as connection:
        return {row.project_id: _finding(dict(row._mapping)) for row in connection.execute(_OLDEST)}


def list_active_consents(source: Settings | str) -> frozenset[str]:
    """Return the ids of the consents that are given now. Raises DatabaseUnavailableError, SettingsError."""
    with _connected(source) as connection:
        return frozenset(
            str(consent_id) for consent_id in connection.scalars(text("SELECT id FROM securetag.consent"))
        )


def list_new_rows(
    source: Engine | Settings | str, table: WatchedTable, after_id: UUID | None
) -> tuple[int, UUID | None]:
    """Return how many rows of consenting tenants came after `after_id`, and the last one's id.

    For a sensor's cursor: ids are UUIDv7, so they rise with time. Rows that two services write in
    the same millisecond may be counted late, with the next ones; none is lost to the harvest, which
    has no cursor. Raises DatabaseUnavailableError, SettingsError.
    """
    if not isinstance(source, Engine):
        engine = create_sync_engine(source, HARVEST)
        try:
            return list_new_rows(engine, table, after_id)
        finally:
            engine.dispose()
    query = text(_NEW[table])
    with translate_errors(), source.connect() as connection:
        newest = connection.execute(query, {"after": after_id}).one()
    return newest.number, newest.last or after_id


@contextmanager
def _connected(source: Settings | str) -> Iterator[Connection]:
    """One connection as the harvest's role."""
    engine = create_sync_engine(source, HARVEST)
    try:
        with translate_errors(), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _finding(columns: Mapping[str, object]) -> Finding:
    return msgspec.convert({name: columns[name] for name in _FINDING_FIELDS}, Finding)


def _row(row: Row[tuple[object, ...]]) -> HarvestRow:
    fields = dict(row._mapping)
    finding = _finding(fields)
    for name in _FINDING_FIELDS:
        del fields[name]
    decision = fields.pop("model_decision")
    return HarvestRow(finding=finding, model_decision=Decision(decision) if decision else None, **fields)
