"""Whose data it is, and what they agreed to."""

from __future__ import annotations

from datetime import datetime
from typing import get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from securetag.db.base import (
    Base,
    TableArgs,
    id_column,
    no,
    now_column,
    one_of,
    referenced,
    tenant_column,
)
from securetag.records import JsonObject, ModelLocation


class Tenant(Base):
    """Whose data it is. A tenant sees itself alone."""

    __tablename__ = "tenant"
    __table_args__: TableArgs = (one_of("model_policy", get_args(ModelLocation)),)
    id: Mapped[UUID] = id_column()
    name: Mapped[str] = mapped_column(unique=True)
    #: The farthest place whose models may be shown its code.
    model_policy: Mapped[ModelLocation] = mapped_column(Text, server_default="local")
    #: A `securetag.wire.usage.Quotas`: what it leaves out is as the installation's settings say.
    quotas: Mapped[JsonObject] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = now_column()
    #: Since then none of its keys opens anything and none of its tasks runs.
    suspended_at: Mapped[datetime | None]


class ApiKey(Base):
    """`stk_<prefix 12>_<secret 43>`; only an HMAC-SHA256 of the whole key under the pepper is kept."""

    __tablename__ = "api_key"
    __table_args__: TableArgs = (
        referenced(),
        CheckConstraint("prefix ~ '^[A-Za-z0-9_-]{12}$'", name="prefix"),
        CheckConstraint("octet_length(digest) = 32", name="digest"),
        CheckConstraint("pepper_version ~ '^[0-9a-f]{8}$'", name="pepper_version"),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[bytes]
    #: Which pepper (`securetag.db.repositories.peppers`); null for a key from before versions.
    pepper_version: Mapped[str | None]
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = now_column()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    suspended_at: Mapped[datetime | None]


class Project(Base):
    """What is scanned again and again; findings live in it."""

    __tablename__ = "project"
    __table_args__: TableArgs = (UniqueConstraint("tenant_id", "name"), referenced())
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    name: Mapped[str]
    #: Whose states `GET /findings` lists; null until a branch is uploaded or somebody sets it.
    default_branch: Mapped[str | None]
    #: May a model's `false_positive` change an exit code here, where the model has passed the gate?
    model_may_dismiss: Mapped[bool] = no()
    #: Is an uploaded `.securetagignore` honored?
    allow_ignore_file: Mapped[bool] = no()
    created_at: Mapped[datetime] = now_column()


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
    #: Which text was agreed to (`securetag.wire.api.CONSENT_TEXT_VERSION`); null from before versions.
    text_version: Mapped[str | None]


class ErasureRequest(Base):
    """A demand to forget: one finding, one project, or (both null) the whole tenant."""

    __tablename__ = "erasure_request"
    __table_args__: TableArgs = (
        Index("ix_erasure_request_open", "tenant_id", "id", postgresql_where=text("completed_at IS NULL")),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    #: No foreign keys: the request outlives what it names.
    finding_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    #: Are the findings themselves deleted, once the releases that hold their rows are marked?
    deletes_findings: Mapped[bool] = no()
    requested_by: Mapped[str]
    requested_at: Mapped[datetime] = now_column()
    completed_at: Mapped[datetime | None]
    detail: Mapped[JsonObject] = mapped_column(server_default="{}")
