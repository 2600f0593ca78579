"""Findings with their newest occurrence, the model's verdict on it and the newest feedback.

Feedback of a person comes before that of a script, however new: what a program says never hides what
somebody decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, Select, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased
from uuid_utils.compat import uuid7

from securetag.db.models import Feedback, Finding, FindingOccurrence, TriageVerdict
from securetag.db.repositories import audit
from securetag.errors import ConflictError, NotFoundError

#: (Finding, FindingOccurrence, TriageVerdict | None, Feedback | None)
FindingRow = Row[Finding, FindingOccurrence, TriageVerdict, Feedback]
FindingQuery = Select[Finding, FindingOccurrence, TriageVerdict, Feedback]


def _joined(
    occurrence: type[FindingOccurrence],
    severity: str | None = None,
    decision: str | None = None,
    rule_id: str | None = None,
) -> Select[Finding, FindingOccurrence, TriageVerdict, Feedback]:
    """Finding × one occurrence × newest verdict on that occurrence × the feedback that stands."""
    verdict = aliased(
        TriageVerdict,
        select(TriageVerdict)
        .where(TriageVerdict.occurrence_id == occurrence.id)
        .order_by(TriageVerdict.id.desc())
        .limit(1)
        .lateral("verdict"),
    )
    feedback = aliased(
        Feedback,
        select(Feedback)
        .where(Feedback.finding_id == Finding.id)
        .order_by((Feedback.source == "person").desc(), Feedback.id.desc())
        .limit(1)
        .lateral("latest_feedback"),
    )
    query = (
        select(Finding, occurrence, verdict, feedback)
        .select_from(Finding)
        .join(occurrence, occurrence.finding_id == Finding.id)
        .outerjoin(verdict, true())
        .outerjoin(feedback, true())
    )
    if severity is not None:
        query = query.where(Finding.severity == severity)
    if rule_id is not None:
        query = query.where(Finding.rule_id == rule_id)
    if decision is not None:
        query = query.where(verdict.decision == decision)
    return query


def _newest() -> type[FindingOccurrence]:
    """The newest occurrence of the outer query's finding."""
    newest = (
        select(FindingOccurrence)
        .where(FindingOccurrence.finding_id == Finding.id)
        .order_by(FindingOccurrence.id.desc())
        .limit(1)
        .lateral("newest")
    )
    return aliased(FindingOccurrence, newest)


def _by_rank(query: FindingQuery, row_id: InstrumentedAttribute[UUID], after: UUID | None) -> FindingQuery:
    """Order findings by rank, the highest first, then by `row_id`; begin after the row of that id."""
    if after is not None:
        last = select(-Finding.rank, row_id).where(row_id == after)
        if row_id is not Finding.id:
            last = last.join(FindingOccurrence, FindingOccurrence.finding_id == Finding.id)
        last = last.correlate(None)
        query = query.where(tuple_(-Finding.rank, row_id) > last.scalar_subquery())
    return query.order_by(-Finding.rank, row_id)


async def list_scan_findings(
    session: AsyncSession,
    task_id: UUID,
    *,
    after: UUID | None,
    limit: int,
    severity: str | None = None,
    decision: str | None = None,
    rule_id: str | None = None,
) -> Sequence[FindingRow]:
    """Up to `limit + 1` findings of one scan, by rank; `after` is an occurrence's id."""
    query = _joined(FindingOccurrence, severity, decision, rule_id)
    query = query.where(FindingOccurrence.task_id == task_id)
    return (await session.execute(_by_rank(query, FindingOccurrence.id, after).limit(limit + 1))).all()


async def list_ranked_findings(session: AsyncSession, task_id: UUID, *, limit: int) -> Sequence[FindingRow]:
    """Up to `limit` findings of one scan, the highest rank first."""
    query = _joined(FindingOccurrence).where(FindingOccurrence.task_id == task_id)
    query = query.order_by(Finding.rank.desc(), FindingOccurrence.id).limit(limit)
    return (await session.execute(query)).all()


async def list_findings(
    session: AsyncSession,
    *,
    after: UUID | None,
    limit: int,
    project_id: UUID | None = None,
    severity: str | None = None,
    decision: str | None = None,
    rule_id: str | None = None,
) -> Sequence[FindingRow]:
    """Up to `limit + 1` findings of all scans, by rank; `after` is a finding's id."""
    query = _joined(_newest(), severity, decision, rule_id)
    if project_id is not None:
        query = query.where(Finding.project_id == project_id)
    return (await session.execute(_by_rank(query, Finding.id, after).limit(limit + 1))).all()


async def get_finding(session: AsyncSession, finding_id: UUID) -> FindingRow:
    """Raises NotFoundError."""
    row = (await session.execute(_joined(_newest()).where(Finding.id == finding_id))).one_or_none()
    if row is None:
        raise NotFoundError("there is no such finding", hint="GET /findings lists yours.")
    return row


async def list_feedback(session: AsyncSession, finding_id: UUID, limit: int = 50) -> Sequence[Feedback]:
    """The newest feedback first."""
    query = select(Feedback).where(Feedback.finding_id == finding_id).order_by(Feedback.id.desc())
    return (await session.scalars(query.limit(limit))).all()


async def add_feedback(
    session: AsyncSession,
    tenant_id: UUID,
    finding_id: UUID,
    *,
    occurrence_id: UUID,
    verdict: str,
    disposition: str | None,
    comment: str,
    saw_model: bool,
    source: str,
    reviewer: str,
    api_key_id: UUID | None,
) -> Feedback:
    """A person's verdict on the occurrence that was shown, which must be the newest one.

    Raises NotFoundError, and ConflictError where a scan has stored a newer occurrence meanwhile.
    """
    _, occurrence, model, _ = await get_finding(session, finding_id)
    if occurrence.id != occurrence_id:
        shown = await session.scalar(
            select(FindingOccurrence.id).where(
                FindingOccurrence.id == occurrence_id, FindingOccurrence.finding_id == finding_id
            )
        )
        if shown is None:
            raise NotFoundError(
                "this finding has no such occurrence", hint=f"GET /findings/{finding_id} shows the newest."
            )
        raise ConflictError(
            "a newer scan has seen this finding, perhaps with other code",
            hint=f"Look at GET /findings/{finding_id} and repeat with the id of its `occurrence`.",
        )
    row = Feedback(
        id=uuid7(),
        tenant_id=tenant_id,
        finding_id=finding_id,
        occurrence_id=occurrence.id,
        verdict_id=model.id if model is not None else None,
        verdict=verdict,
        disposition=disposition,
        comment=comment,
        saw_model=saw_model,
        source=source,
        reviewer=reviewer,
        api_key_id=api_key_id,
    )
    await audit.add(
        session,
        row,
        actor=reviewer,
        action="feedback.add",
        detail={"verdict": verdict, "source": source},
        subject=finding_id,
    )
    return row
