"""The tables, in schema `securetag`. What they hold; who may see which row is said in the migrations.

Conventions:

- ids are UUIDv7 made here, so that a row's id is known before it is written; append-only logs that
  SQL itself writes (`task_event`, `audit_log`) count with a bigint.
- Every table but `worker_heartbeat` and `model` belongs to a tenant. References inside a tenant are
  composite, `(tenant_id, …)`, because PostgreSQL checks foreign keys without row-level security: a plain
  one would let a tenant point at another's row.
- Times are timestamptz, set by the database's clock.

These modules know no query; those are in `repositories`, `queue` and `harvest`.
"""

from __future__ import annotations

from securetag.db.base import SCHEMA, Base
from securetag.db.states import State
from securetag.db.tables.findings import (
    DISPOSITIONS,
    Feedback,
    FeedbackWithdrawal,
    Finding,
    FindingNote,
    FindingOccurrence,
    FindingState,
    Suppression,
    TriageVerdict,
)
from securetag.db.tables.listing import DEFAULT_LISTING, FindingCwe, FindingListing
from securetag.db.tables.service import AuditLog, IdempotencyKey, QuotaUsage, Webhook, WebhookDelivery
from securetag.db.tables.tenancy import ApiKey, Consent, ErasureRequest, Project, Tenant
from securetag.db.tables.training import PublishedModel, TrainingUse
from securetag.db.tables.web import PROOFS, WebTarget
from securetag.db.tables.work import (
    KINDS,
    Artifact,
    CodeauditUpload,
    ScanReport,
    ScanResult,
    Task,
    TaskEvent,
    ToolExecution,
    WorkerHeartbeat,
)

#: What an API key may be allowed to do.
SCOPES = ("read", "scan", "feedback", "worker", "admin")

__all__ = [
    "DEFAULT_LISTING",
    "DISPOSITIONS",
    "KINDS",
    "PROOFS",
    "SCHEMA",
    "SCOPES",
    "ApiKey",
    "Artifact",
    "AuditLog",
    "Base",
    "CodeauditUpload",
    "Consent",
    "ErasureRequest",
    "Feedback",
    "FeedbackWithdrawal",
    "Finding",
    "FindingCwe",
    "FindingListing",
    "FindingNote",
    "FindingOccurrence",
    "FindingState",
    "IdempotencyKey",
    "Project",
    "PublishedModel",
    "QuotaUsage",
    "ScanReport",
    "ScanResult",
    "State",
    "Suppression",
    "Task",
    "TaskEvent",
    "Tenant",
    "ToolExecution",
    "TrainingUse",
    "TriageVerdict",
    "WebTarget",
    "Webhook",
    "WebhookDelivery",
    "WorkerHeartbeat",
]
