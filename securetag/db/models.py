"""The tables, in schema `securetag`. What they hold; who may see which row is said in the migrations.

Conventions:

- ids are UUIDv7 made here, so that a row's id is known before it is written; append-only logs that
  SQL itself writes (`task_event`, `audit_log`) count with a bigint.
- Every table but `worker_heartbeat` belongs to a tenant. References inside a tenant are composite,
  `(tenant_id, …)`, because PostgreSQL checks foreign keys without row-level security: a plain one
  would let a tenant point at another's row.
- Times are timestamptz, set by the database's clock.

This module knows no query; those are in `repositories`, `queue` and `harvest`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from securetag.db.base import (
    SCHEMA,
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
from securetag.db.states import State
from securetag.records import SEVERITIES, Decision

KINDS = ("codeaudit", "web")
DISPOSITIONS = ("fix", "accept_risk", "test_code", "mitigated_elsewhere", "duplicate")
SCOPES = ("read", "scan", "feedback", "worker", "admin")


class Tenant(Base):
    """Whose data it is. A tenant sees itself alone."""

    __tablename__ = "tenant"
    id: Mapped[UUID] = id_column()
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = now_column()


class ApiKey(Base):
    """`stk_<prefix 12>_<secret 43>`; only an HMAC-SHA256 of the whole key under the pepper is kept."""

    __tablename__ = "api_key"
    __table_args__: TableArgs = (
        referenced(),
        CheckConstraint("prefix ~ '^[A-Za-z0-9_-]{12}$'", name="prefix"),
        CheckConstraint("octet_length(digest) = 32", name="digest"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[bytes]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = now_column()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class Project(Base):
    """What is scanned again and again; findings live in it."""

    __tablename__ = "project"
    __table_args__: TableArgs = (UniqueConstraint("tenant_id", "name"), referenced())
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    name: Mapped[str]
    created_at: Mapped[datetime] = now_column()


class Task(Base):
    """One unit of scanning work, and the queue's row at once."""

    __tablename__ = "task"
    __table_args__: TableArgs = (
        referenced(),
        within_tenant("project_id", "project"),
        one_of("kind", KINDS),
        one_of("state", tuple(State)),
        CheckConstraint("attempt >= 0 AND attempt <= max_attempts", name="attempt"),
        CheckConstraint(
            "state <> 'running' OR (worker_id IS NOT NULL AND fence IS NOT NULL AND lease_until IS NOT NULL)",
            name="lease",
        ),
        # The two questions that the queue asks all the time; done tasks weigh nothing in them.
        Index(
            "ix_task_claimable", "not_before", "id", postgresql_where=text("state IN ('queued', 'retrying')")
        ),
        Index("ix_task_leased", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_task_tenant_id_kind_id", "tenant_id", "kind", "id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    project_id: Mapped[UUID]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=State.QUEUED.value)
    params: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    #: Attempts begun, counted at the claim: a crash can't hide one.
    attempt: Mapped[int] = zero()
    max_attempts: Mapped[int] = mapped_column(server_default="3")
    #: Seconds that one attempt may take.
    time_limit_s: Mapped[int] = mapped_column(server_default="1800")
    #: Not claimed before this.
    not_before: Mapped[datetime] = now_column()
    #: The lease, current or last: who holds it, under which fence, until when.
    worker_id: Mapped[str | None]
    fence: Mapped[int | None]
    lease_until: Mapped[datetime | None]
    #: Begin of the current attempt.
    claimed_at: Mapped[datetime | None]
    #: What the worker is doing now, and the process group of its tool.
    stage: Mapped[str] = empty_text()
    process_group: Mapped[int | None]
    #: Why it is in this state, in words for people.
    reason: Mapped[str] = empty_text()
    created_at: Mapped[datetime] = now_column()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class TaskEvent(Base):
    """History of a task: one row a state change, written by a trigger, never changed."""

    __tablename__ = "task_event"
    __table_args__: TableArgs = (
        within_tenant("task_id", "task"),
        Index("ix_task_event_task_id_id", "task_id", "id"),
    )
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    tenant_id: Mapped[UUID] = tenant_column()
    task_id: Mapped[UUID]
    at: Mapped[datetime] = now_column()
    #: Null at the task's birth.
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    attempt: Mapped[int]
    fence: Mapped[int | None]
    worker_id: Mapped[str | None]
    reason: Mapped[str] = empty_text()


class WorkerHeartbeat(Base):
    """When a worker was last heard of. The only table without a tenant; operators read it."""

    __tablename__ = "worker_heartbeat"
    worker_id: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = now_column()
    started_at: Mapped[datetime] = now_column()
    task_id: Mapped[UUID | None]
    stage: Mapped[str] = empty_text()
    process_group: Mapped[int | None]


class CodeauditUpload(Base):
    """The archive of a codeaudit task."""

    __tablename__ = "codeaudit_upload"
    __table_args__: TableArgs = (
        within_tenant("task_id", "task"),
        within_tenant("project_id", "project"),
        UniqueConstraint("task_id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    project_id: Mapped[UUID]
    task_id: Mapped[UUID]
    filename: Mapped[str]
    #: 64 hex digits.
    sha256: Mapped[str]
    #: Bytes.
    size: Mapped[int]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = now_column()


class Artifact(Base):
    """Bytes that a worker stored for a task: the output of a tool. A later attempt replaces them."""

    __tablename__ = "artifact"
    __table_args__: TableArgs = (within_tenant("task_id", "task"), UniqueConstraint("task_id", "name"))
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    task_id: Mapped[UUID]
    name: Mapped[str]
    attempt: Mapped[int]
    sha256: Mapped[str]
    size: Mapped[int]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = now_column()


class ToolExecution(Base):
    """One run of one scanner. `stdout` and `stderr` are names of artifacts of the same task."""

    __tablename__ = "tool_execution"
    __table_args__: TableArgs = (
        within_tenant("task_id", "task"),
        Index("ix_tool_execution_task_id", "task_id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    task_id: Mapped[UUID]
    attempt: Mapped[int]
    tool: Mapped[str]
    version: Mapped[str]
    arguments: Mapped[list[str]]
    exit_code: Mapped[int | None]
    #: Seconds of wall time.
    duration_s: Mapped[float]
    started_at: Mapped[datetime]
    timed_out: Mapped[bool]
    stdout: Mapped[str | None]
    stderr: Mapped[str | None]
    #: `{"schema": 1, "tool": …}`, the union of `securetag.wire.Metrics`.
    metrics_json: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = now_column()


class ScanResult(Base):
    """What a completed task came to. One a task, so a replayed result can't count twice."""

    __tablename__ = "scan_result"
    __table_args__: TableArgs = (within_tenant("task_id", "task"), UniqueConstraint("task_id"))
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    task_id: Mapped[UUID]
    findings: Mapped[int]
    #: Severity → count, decision → count (`none` where no verdict was asked for).
    by_severity: Mapped[dict[str, Any]]
    by_verdict: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = now_column()


class Finding(Base):
    """One issue of a project, known by its fingerprint; words are those of the newest scan."""

    __tablename__ = "finding"
    __table_args__: TableArgs = (
        referenced(),
        within_tenant("project_id", "project"),
        within_tenant("first_task_id", "task"),
        within_tenant("last_task_id", "task"),
        UniqueConstraint("tenant_id", "project_id", "fingerprint"),
        one_of("severity", SEVERITIES),
        one_of("confidence", SEVERITIES[1:4]),
        Index("ix_finding_tenant_id_severity_id", "tenant_id", "severity", "id"),
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
    first_task_id: Mapped[UUID]
    last_task_id: Mapped[UUID]
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
    evidence: Mapped[list[Any]] = mapped_column(server_default="[]")
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
    created_at: Mapped[datetime] = now_column()


class Feedback(Base):
    """A person's verdict. The disposition says what is done about it and never trains the verdict."""

    __tablename__ = "feedback"
    __table_args__: TableArgs = (
        within_tenant("finding_id", "finding"),
        within_tenant("occurrence_id", "finding_occurrence"),
        within_tenant("verdict_id", "triage_verdict"),
        within_tenant("api_key_id", "api_key"),
        one_of("verdict", tuple(Decision)),
        one_of("disposition", DISPOSITIONS),
        one_of("source", ("person", "script")),
        Index("ix_feedback_finding_id_id", "finding_id", "id"),
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


class Suppression(Base):
    """A rule, fingerprint or path that a tenant has chosen not to hear of, and why."""

    __tablename__ = "suppression"
    __table_args__: TableArgs = (
        within_tenant("project_id", "project"),
        CheckConstraint("num_nonnulls(fingerprint, rule_id, path_glob) > 0", name="matches_something"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    project_id: Mapped[UUID | None]
    fingerprint: Mapped[str | None]
    rule_id: Mapped[str | None]
    path_glob: Mapped[str | None]
    reason: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime] = now_column()
    expires_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """The answer that a repeated POST gets again. `status` is null while the first is under way."""

    __tablename__ = "idempotency_key"
    __table_args__: TableArgs = (UniqueConstraint("tenant_id", "operation", "key"),)
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    #: Method and path, so that one key may serve two calls.
    operation: Mapped[str]
    key: Mapped[str]
    #: Of the request's meaning; another one under the same key is refused.
    request_sha256: Mapped[str]
    status: Mapped[int | None]
    response: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = now_column()


class Webhook(Base):
    """Where a tenant wants to be told."""

    __tablename__ = "webhook"
    __table_args__: TableArgs = (referenced(),)
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    url: Mapped[str]
    secret: Mapped[str]
    events: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = now_column()


class WebhookDelivery(Base):
    """One message to one webhook, with its attempts."""

    __tablename__ = "webhook_delivery"
    __table_args__: TableArgs = (
        within_tenant("webhook_id", "webhook"),
        Index("ix_webhook_delivery_due", "not_before", postgresql_where=text("finished_at IS NULL")),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    webhook_id: Mapped[UUID]
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    attempt: Mapped[int] = zero()
    not_before: Mapped[datetime] = now_column()
    #: HTTP status of the last attempt.
    status: Mapped[int | None]
    error: Mapped[str] = empty_text()
    created_at: Mapped[datetime] = now_column()
    finished_at: Mapped[datetime | None]


class AuditLog(Base):
    """Who did what. Append-only for the api."""

    __tablename__ = "audit_log"
    __table_args__: TableArgs = (Index("ix_audit_log_tenant_id_id", "tenant_id", "id"),)
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    tenant_id: Mapped[UUID] = tenant_column()
    at: Mapped[datetime] = now_column()
    #: Name of the API key, or `operator` for the command line.
    actor: Mapped[str]
    #: `key.create`, `consent.withdraw`, …
    action: Mapped[str]
    subject: Mapped[str] = empty_text()
    detail: Mapped[dict[str, Any]] = mapped_column(server_default="{}")


class QuotaUsage(Base):
    """What a tenant used of a metric in a period (the first day of a month)."""

    __tablename__ = "quota_usage"
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(f"{SCHEMA}.tenant.id"), primary_key=True)
    period: Mapped[date] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[int] = zero()


class Consent(Base):
    """A tenant's leave to learn from its findings; none by default, at most one in force."""

    __tablename__ = "consent"
    __table_args__: TableArgs = (
        Index("uq_consent_in_force", "tenant_id", unique=True, postgresql_where=text("withdrawn_at IS NULL")),
    )
    #: Goes into the origin of every harvested row.
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    granted_by: Mapped[str]
    granted_at: Mapped[datetime] = now_column()
    withdrawn_by: Mapped[str | None]
    withdrawn_at: Mapped[datetime | None]


class ErasureRequest(Base):
    """A demand to forget: one finding, one project, or (both null) the whole tenant."""

    __tablename__ = "erasure_request"
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    #: No foreign keys: the request outlives what it names.
    finding_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime] = now_column()
    completed_at: Mapped[datetime | None]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
