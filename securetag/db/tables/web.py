"""The web applications that a tenant may scan."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from securetag.db.base import Base, TableArgs, id_column, now_column, one_of, tenant_column

PROOFS = ("dns", "file")


class WebTarget(Base):
    """A web application of a tenant. It is scanned only while the proof of its ownership is recent."""

    __tablename__ = "web_target"
    __table_args__: TableArgs = (UniqueConstraint("tenant_id", "origin"), one_of("verified_by", PROOFS))
    id: Mapped[UUID] = id_column()
    tenant_id: Mapped[UUID] = tenant_column()
    #: `https://shop.example.com`, with the port where it isn't the scheme's own.
    origin: Mapped[str]
    #: What the owner publishes, in DNS or in a file.
    token: Mapped[str]
    #: Name of the API key.
    created_by: Mapped[str]
    created_at: Mapped[datetime] = now_column()
    verified_at: Mapped[datetime | None]
    verified_by: Mapped[str | None]
