"""What came of what people decided: published models, and the findings that are in their releases."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from securetag.db.base import Base, TableArgs, id_column, now_column, one_of, tenant_column, within_tenant
from securetag.records import Gate, JsonObject

Split = Literal["train", "validation", "test"]


class PublishedModel(Base):
    """A model that has passed a gate and has been published. It holds nothing of any tenant."""

    __tablename__ = "model"
    __table_args__: TableArgs = (one_of("gate", get_args(Gate)), Index("ix_model_release", "release"))
    #: 64 hex digits: what each of its verdicts names.
    model_id: Mapped[str] = mapped_column(primary_key=True)
    #: The alias under which it was published last.
    name: Mapped[str]
    file_sha256: Mapped[str]
    base: Mapped[str]
    #: Digest of the release that it was trained on.
    release: Mapped[str | None]
    gate: Mapped[str]
    #: `{suite: {metric: {base, candidate, low, high, p, …}}, gate: {passed, reasons, …}}`; empty where the
    #: evaluation's files are gone.
    report: Mapped[JsonObject]
    published_at: Mapped[datetime]
    published_by: Mapped[str]


class TrainingUse(Base):
    """How many rows of a release rest on a finding, by split. Rows of the test split train nothing."""

    __tablename__ = "training_use"
    __table_args__: TableArgs = (
        within_tenant("finding_id", "finding"),
        UniqueConstraint("finding_id", "release", "split"),
        one_of("split", get_args(Split)),
    )
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    finding_id: Mapped[UUID]
    #: Digest of the release.
    release: Mapped[str]
    split: Mapped[Split] = mapped_column(Text)
    examples: Mapped[int]
    recorded_at: Mapped[datetime] = now_column()
