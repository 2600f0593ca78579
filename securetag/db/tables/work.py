"""The queue and what its tasks carry: uploads, artifacts, tool runs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Identity, Index, UniqueConstraint, Uuid, text
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
from securetag.db.states import State
from securetag.records import JsonObject

KINDS = ("codeaudit", "web", "import")


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
        CheckConstraint("priority BETWEEN -1 AND 1", name="priority"),
        # The questions that the queue asks all the time; done tasks weigh nothing in them but the last.
        Index(
            "ix_task_claimable",
            "tenant_id",
            text("priority DESC"),
            "not_before",
            "id",
            postgresql_where=text("state IN ('queued', 'retrying')"),
        ),
        Index("ix_task_running", "tenant_id", postgresql_where=text("state = 'running'")),
        Index("ix_task_turn", "tenant_id", "fence", postgresql_where=text("fence IS NOT NULL")),
        Index("ix_task_leased", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_task_tenant_id_kind_id", "tenant_id", "kind", "id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    project_id: Mapped[UUID]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=State.QUEUED.value)
    params: Mapped[JsonObject] = mapped_column(server_default="{}")
    #: Among the tenant's own tasks: 1 comes before 0, and 0 before -1.
    priority: Mapped[int] = zero()
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
    #: `{"schema": 1, "tool": …}`, the union of `securetag.wire.queue.Metrics`.
    metrics_json: Mapped[JsonObject]
    created_at: Mapped[datetime] = now_column()


class ScanReport(Base):
    """A chunk of the findings that an attempt, known by its lease's fence, has stored."""

    __tablename__ = "scan_report"
    __table_args__: TableArgs = (
        within_tenant("task_id", "task"),
        UniqueConstraint("task_id", "fence", "chunk"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    task_id: Mapped[UUID]
    fence: Mapped[int]
    #: From 0; the last one says that the attempt has stored all of them.
    chunk: Mapped[int] = zero()
    is_last: Mapped[bool]
    #: In the order in which the worker has sent them; and those that a model is going to be asked about.
    occurrence_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    awaiting_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    #: Counts of this chunk and those before it: findings, those that await a verdict, severity → findings.
    findings: Mapped[int]
    awaiting: Mapped[int]
    by_severity: Mapped[JsonObject]
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
    by_severity: Mapped[JsonObject]
    by_verdict: Mapped[JsonObject]
    created_at: Mapped[datetime] = now_column()
