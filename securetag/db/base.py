"""What every table shares: schema, types by annotation, constraint names, common columns."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import SchemaItem
from uuid_utils.compat import uuid7

from securetag.records import JsonObject

SCHEMA = "securetag"

TableArgs = tuple[SchemaItem, ...]


class Base(DeclarativeBase):
    """Types by annotation, names by convention (so that a migration can drop a constraint by name)."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        },
    )
    type_annotation_map = {
        str: Text(),
        int: BigInteger(),
        bytes: LargeBinary(),
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        JsonObject: JSONB(none_as_null=True),
        list[JsonObject]: JSONB(none_as_null=True),
        list[list[int]]: JSONB(none_as_null=True),
        list[str]: ARRAY(Text()),
    }


def table_of(model: type[Base]) -> Table:
    """Return the table of a model, for statements that SQLAlchemy's ORM has no part in."""
    table = model.__table__
    assert isinstance(table, Table), "every model is a table of its own"
    return table


#: Fences rise over all tasks and never repeat, even when a transaction rolls back.
TASK_FENCE = Sequence("task_fence", schema=SCHEMA, metadata=Base.metadata, data_type=BigInteger())


def id_column() -> Mapped[UUID]:
    return mapped_column(primary_key=True, default=uuid7)


def now_column() -> Mapped[datetime]:
    return mapped_column(server_default=func.clock_timestamp())


def tenant_column() -> Mapped[UUID]:
    return mapped_column(ForeignKey(f"{SCHEMA}.tenant.id"))


def empty_text() -> Mapped[str]:
    return mapped_column(server_default="")


def zero() -> Mapped[int]:
    return mapped_column(server_default="0")


def no() -> Mapped[bool]:
    return mapped_column(server_default="false")


def within_tenant(column: str, table: str) -> ForeignKeyConstraint:
    """`(tenant_id, column)` → `table (tenant_id, id)`; a null in `column` references nothing."""
    return ForeignKeyConstraint(
        ["tenant_id", column], [f"{SCHEMA}.{table}.tenant_id", f"{SCHEMA}.{table}.id"]
    )


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def referenced() -> UniqueConstraint:
    """What `within_tenant` of another table points at."""
    return UniqueConstraint("tenant_id", "id")
