"""What the service itself needs to remember."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from securetag.db.base import (
    SCHEMA,
    Base,
    TableArgs,
    empty_text,
    id_column,
    now_column,
    referenced,
    tenant_column,
    within_tenant,
    zero,
)
from securetag.records import JsonObject


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
    response: Mapped[JsonObject | None]
    created_at: Mapped[datetime] = now_column()


class Webhook(Base):
    """Where a tenant's events are sent."""

    __tablename__ = "webhook"
    __table_args__: TableArgs = (referenced(),)
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    url: Mapped[str]
    #: `whsec_` and base64, sealed (`securetag.system.sealing`).
    secret: Mapped[str]
    events: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = now_column()
    #: Signs too until `previous_until`.
    previous_secret: Mapped[str | None]
    previous_until: Mapped[datetime | None]
    #: Deliveries given up since the last one that arrived.
    failures: Mapped[int] = zero()
    #: Why the service has disabled it; empty where it hasn't.
    disabled_reason: Mapped[str] = empty_text()
    #: A delivery is under way until then, unless it ends sooner.
    busy_until: Mapped[datetime] = now_column()


class WebhookDelivery(Base):
    """One message to one webhook, with its attempts."""

    __tablename__ = "webhook_delivery"
    __table_args__: TableArgs = (
        within_tenant("webhook_id", "webhook"),
        Index(
            "ix_webhook_delivery_due",
            "webhook_id",
            "not_before",
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_webhook_delivery_webhook_id_id", "webhook_id", "id"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    webhook_id: Mapped[UUID]
    event: Mapped[str]
    payload: Mapped[JsonObject]
    attempt: Mapped[int] = zero()
    not_before: Mapped[datetime] = now_column()
    #: HTTP status of the last attempt.
    status: Mapped[int | None]
    error: Mapped[str] = empty_text()
    created_at: Mapped[datetime] = now_column()
    #: Arrived where `error` is empty, else given up.
    finished_at: Mapped[datetime | None]
    attempted_at: Mapped[datetime | None]


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
    detail: Mapped[JsonObject] = mapped_column(server_default="{}")


class QuotaUsage(Base):
    """What a tenant used of a metric in a period (the first day of a month)."""

    __tablename__ = "quota_usage"
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(f"{SCHEMA}.tenant.id"), primary_key=True)
    period: Mapped[date] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[int] = zero()
