"""What scans found, and what models and people said of it."""

from __future__ import annotations

from datetime import datetime
from typing import get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from securetag.db.base import (
    Base,
    TableArgs,
    empty_text,
    id_column,
    now_column,
    one_of,
    referenced,
    tenant_column,
    within_tenant,
    zero,
)
from securetag.records import SEVERITIES, BranchState, Decision, Gate, JsonObject, PathClass

_MODE = "CASE WHEN bulk_id IS NOT NULL THEN 'bulk' WHEN saw_model THEN 'assisted' ELSE 'blind' END"
DISPOSITIONS = ("fix", "accept_risk", "test_code", "mitigated_elsewhere", "duplicate")


class Finding(Base):
    """One issue of a project; words and fingerprint are those of the newest scan.

    Its id is its identity: twins share a fingerprint, and an edit changes it.
    """

    __tablename__ = "finding"
    __table_args__: TableArgs = (
        referenced(),
        within_tenant("project_id", "project"),
        within_tenant("first_task_id", "task"),
        within_tenant("last_task_id", "task"),
        Index("ix_finding_project_id_fingerprint", "tenant_id", "project_id", "fingerprint"),
        one_of("severity", SEVERITIES),
        one_of("confidence", SEVERITIES[1:4]),
        # Lists begin with the highest rank, and with the oldest of the same.
        Index("ix_finding_tenant_id_rank_id", "tenant_id", text("rank DESC"), "id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    project_id: Mapped[UUID]
    fingerprint: Mapped[str]
    fingerprint_version: Mapped[str]
    tool: Mapped[str]
    rule_id: Mapped[str]
    cwe: Mapped[str]
    owasp: Mapped[str] = empty_text()
    title: Mapped[str]
    message: Mapped[str]
    recommendation: Mapped[str] = empty_text()
    severity: Mapped[str]
    confidence: Mapped[str]
    language: Mapped[str]
    #: A list of `securetag.records.RuleMatch`.
    matches: Mapped[list[JsonObject]] = mapped_column(server_default="[]")
    rank: Mapped[int] = zero()
    first_task_id: Mapped[UUID]
    last_task_id: Mapped[UUID]
    #: The scan, of whatever branch, since which the newest code differs from the one that was judged.
    verdict_stale_task_id: Mapped[UUID | None]
    #: Who works on it.
    assignee: Mapped[str | None]
    first_seen_at: Mapped[datetime] = now_column()
    last_seen_at: Mapped[datetime] = now_column()


class FindingOccurrence(Base):
    """A finding in one scan: where it stood, and the code around it."""

    __tablename__ = "finding_occurrence"
    __table_args__: TableArgs = (
        referenced(),
        within_tenant("finding_id", "finding"),
        within_tenant("task_id", "task"),
        UniqueConstraint("task_id", "finding_id"),
        one_of("path_class", get_args(PathClass)),
        Index("ix_finding_occurrence_finding_id_id", "finding_id", "id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    finding_id: Mapped[UUID]
    task_id: Mapped[UUID]
    path: Mapped[str]
    start_line: Mapped[int]
    end_line: Mapped[int]
    snippet: Mapped[str]
    snippet_line: Mapped[int]
    scope: Mapped[str] = empty_text()
    path_class: Mapped[str] = mapped_column(server_default="source")
    #: A list of `securetag.records.TraceStep`.
    trace: Mapped[list[JsonObject]] = mapped_column(server_default="[]")
    #: A `securetag.records.WebLocation`; null for code.
    web: Mapped[JsonObject | None]
    #: A `securetag.records.CodeIdentity`.
    identity: Mapped[JsonObject | None]
    #: A list of `securetag.records.SliceLine`, each a number and a text.
    code_slice: Mapped[list[JsonObject]] = mapped_column(server_default="[]")
    created_at: Mapped[datetime] = now_column()


class TriageVerdict(Base):
    """What a model said of an occurrence; empty words where it said nothing."""

    __tablename__ = "triage_verdict"
    __table_args__: TableArgs = (
        referenced(),
        within_tenant("finding_id", "finding"),
        within_tenant("occurrence_id", "finding_occurrence"),
        within_tenant("task_id", "task"),
        one_of("decision", tuple(Decision)),
        one_of("gate", get_args(Gate)),
        CheckConstraint("p_false_positive >= 0 AND p_false_positive <= 1", name="p_false_positive"),
        CheckConstraint("threshold >= 0 AND threshold <= 1", name="threshold"),
        Index("ix_triage_verdict_finding_id_id", "finding_id", "id"),
        Index("ix_triage_verdict_occurrence_id", "occurrence_id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    finding_id: Mapped[UUID]
    occurrence_id: Mapped[UUID]
    task_id: Mapped[UUID]
    decision: Mapped[str]
    #: Why the machinery abstained; empty when the model's answer was valid.
    reason: Mapped[str] = empty_text()
    #: [[first, last], …] in the file.
    evidence: Mapped[list[list[int]]] = mapped_column(server_default="[]")
    reasoning: Mapped[str] = empty_text()
    recommendation: Mapped[str] = empty_text()
    model_id: Mapped[str] = empty_text()
    alias: Mapped[str] = empty_text()
    prompt_sha256: Mapped[str] = empty_text()
    prompt_version: Mapped[str] = empty_text()
    schema_version: Mapped[int] = mapped_column(server_default="1")
    lang: Mapped[str] = mapped_column(server_default="en")
    prompt_tokens: Mapped[int] = zero()
    completion_tokens: Mapped[int] = zero()
    duration_ms: Mapped[int] = zero()
    gate: Mapped[str] = mapped_column(server_default="none")
    p_false_positive: Mapped[float | None]
    calibration_id: Mapped[str] = empty_text()
    threshold: Mapped[float | None]
    created_at: Mapped[datetime] = now_column()


class Feedback(Base):
    """A person's verdict. The disposition says what is done about it and never trains the verdict.

    Rows are never changed; one that is taken back has a `FeedbackWithdrawal`.
    """

    __tablename__ = "feedback"
    __table_args__: TableArgs = (
        referenced(),
        within_tenant("finding_id", "finding"),
        within_tenant("occurrence_id", "finding_occurrence"),
        within_tenant("verdict_id", "triage_verdict"),
        within_tenant("api_key_id", "api_key"),
        one_of("verdict", tuple(Decision)),
        one_of("disposition", DISPOSITIONS),
        one_of("source", ("person", "script")),
        Index("ix_feedback_finding_id_id", "finding_id", "id"),
        Index("ix_feedback_bulk_id", "bulk_id", postgresql_where=text("bulk_id IS NOT NULL")),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    finding_id: Mapped[UUID]
    #: The occurrence that the person looked at; null: the newest.
    occurrence_id: Mapped[UUID | None]
    #: The model's verdict that stood beside it, if any.
    verdict_id: Mapped[UUID | None]
    verdict: Mapped[str]
    disposition: Mapped[str | None]
    comment: Mapped[str] = empty_text()
    saw_model: Mapped[bool]
    source: Mapped[str] = mapped_column(server_default="person")
    #: Name of the API key.
    reviewer: Mapped[str]
    api_key_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = now_column()
    #: Shared by the rows of one bulk decision, which is one vote.
    bulk_id: Mapped[UUID | None]
    #: A `securetag.wire.feedback.ReviewMode`.
    mode: Mapped[str] = mapped_column(Computed(_MODE, persisted=True))


class FeedbackWithdrawal(Base):
    """Takes one row of feedback back, as if it had not been given."""

    __tablename__ = "feedback_withdrawal"
    __table_args__: TableArgs = (
        within_tenant("feedback_id", "feedback"),
        within_tenant("api_key_id", "api_key"),
        UniqueConstraint("feedback_id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    feedback_id: Mapped[UUID]
    #: Had the person seen the model's verdict by then? If so, their next verdict isn't blind.
    saw_model: Mapped[bool]
    #: Name of the API key.
    reviewer: Mapped[str]
    api_key_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = now_column()


class FindingNote(Base):
    """What a person noted about a finding. It trains nothing."""

    __tablename__ = "finding_note"
    __table_args__: TableArgs = (
        within_tenant("finding_id", "finding"),
        Index("ix_finding_note_finding_id_id", "finding_id", "id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    finding_id: Mapped[UUID]
    text: Mapped[str]
    #: Name of the API key.
    author: Mapped[str]
    created_at: Mapped[datetime] = now_column()


class FindingState(Base):
    """Is a finding in a branch's code? One row for each branch whose scans have reported it."""

    __tablename__ = "finding_state"
    __table_args__: TableArgs = (
        within_tenant("project_id", "project"),
        within_tenant("finding_id", "finding"),
        within_tenant("task_id", "task"),
        within_tenant("seen_task_id", "task"),
        UniqueConstraint("finding_id", "branch"),
        one_of("state", get_args(BranchState)),
        Index("ix_finding_state_project_id_branch", "project_id", "branch"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    project_id: Mapped[UUID]
    finding_id: Mapped[UUID]
    branch: Mapped[str]
    state: Mapped[str]
    #: The scan that set the state.
    task_id: Mapped[UUID]
    #: The branch's newest scan that reported the finding.
    seen_task_id: Mapped[UUID]
    #: The scan since which the branch's code isn't the one that was judged.
    verdict_stale_task_id: Mapped[UUID | None]
    since: Mapped[datetime] = now_column()


class Suppression(Base):
    """A finding, a rule in a path, or a path that a tenant has chosen not to hear of, and why.

    In force: not lapsed, not expired, and with a finding or a pattern of paths.
    """

    __tablename__ = "suppression"
    __table_args__: TableArgs = (
        within_tenant("project_id", "project"),
        within_tenant("finding_id", "finding"),
        within_tenant("occurrence_id", "finding_occurrence"),
        within_tenant("lapsed_task_id", "task"),
        CheckConstraint("num_nonnulls(fingerprint, rule_id, path_glob) > 0", name="matches_something"),
        Index("ix_suppression_project_id", "project_id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    project_id: Mapped[UUID | None]
    #: Of one finding: the finding, its fingerprint at that time, and the occurrence that was looked at.
    finding_id: Mapped[UUID | None]
    fingerprint: Mapped[str | None]
    occurrence_id: Mapped[UUID | None]
    rule_id: Mapped[str | None]
    path_glob: Mapped[str | None]
    #: `path_glob` as a regular expression of PostgreSQL.
    path_pattern: Mapped[str | None]
    reason: Mapped[str]
    #: Who answers for it.
    owner: Mapped[str] = empty_text()
    created_by: Mapped[str]
    created_at: Mapped[datetime] = now_column()
    expires_at: Mapped[datetime | None]
    #: When a scan saw other code at the suppressed place, and which scan.
    lapsed_at: Mapped[datetime | None]
    lapsed_task_id: Mapped[UUID | None]
