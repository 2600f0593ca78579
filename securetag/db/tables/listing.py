"""What lists of findings filter and sort by. Triggers keep these tables up; nothing else writes them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, Computed, ForeignKey, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from securetag.db.base import SCHEMA, Base, TableArgs, tenant_column

#: The branch under which a finding is listed for its project's default branch.
DEFAULT_LISTING = ""
_ORDER = (text("rank DESC"), "finding_id")


def _of_finding() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", "finding_id"],
        [f"{SCHEMA}.finding.tenant_id", f"{SCHEMA}.finding.id"],
        ondelete="CASCADE",
    )


def _index(name: str, *columns: str, where: str | None = None, is_ordered: bool = True) -> Index:
    """An index that begins with tenant and branch and ends, if `is_ordered`, in the order of lists."""
    named = ("tenant_id", "branch", *columns, *(_ORDER if is_ordered else ()))
    condition = text(where) if where is not None else None
    return Index(f"ix_finding_listing_{name}", *named, postgresql_where=condition)


class FindingListing(Base):
    """A finding in one branch, or, with the branch ``, in the project's default branch.

    The latter is there for each finding that a scan has reported, whether or not the branch has it.
    """

    __tablename__ = "finding_listing"
    __table_args__: TableArgs = (
        _of_finding(),
        _index("order", "in_code"),
        _index("rank"),
        _index("facets", "severity", "decision", "confidence", "in_code"),
        _index("severity", "severity", "in_code"),
        _index("decision", "decision", "in_code"),
        _index("confidence", "confidence", "decision", "in_code"),
        _index("state", "state"),
        _index("project", "project_id", "in_code"),
        _index("rule_id", "rule_id", "in_code"),
        _index("cwe", "cwe", "in_code"),
        _index("path", "path", is_ordered=False),
        _index("first_task", "first_task_id", is_ordered=False),
        _index("first_seen", "first_seen_at", is_ordered=False),
        _index("assignee", "assignee", where="assignee IS NOT NULL"),
        _index("reviewed", where="is_reviewed"),
        _index("disagrees", where="disagrees"),
        _index("noted", where="is_noted"),
        # Of trigrams of the words; read by the function `search_listing` alone.
        Index(
            "ix_finding_listing_words",
            "tenant_id",
            "branch",
            "words",
            postgresql_using="gin",
            postgresql_ops={"words": f"{SCHEMA}.gin_trgm_ops"},
        ),
    )
    finding_id: Mapped[UUID] = mapped_column(primary_key=True)
    branch: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = tenant_column()
    project_id: Mapped[UUID]
    first_task_id: Mapped[UUID]
    first_seen_at: Mapped[datetime]
    rank: Mapped[int]
    severity: Mapped[str]
    confidence: Mapped[str]
    rule_id: Mapped[str]
    cwe: Mapped[str]
    #: Does another rule report the place too?
    has_other_rules: Mapped[bool]
    #: Of the branch's newest occurrence; compared byte by byte, so that an index answers for its beginning.
    path: Mapped[str] = mapped_column(Text(collation="C"))
    #: Title, rule and path in small letters.
    words: Mapped[str]
    assignee: Mapped[str | None]
    #: Null where no scan of the branch has reported it.
    state: Mapped[str | None]
    in_code: Mapped[bool] = mapped_column(
        Boolean, Computed("coalesce(state <> 'fixed', false)", persisted=True)
    )
    #: Of the model's newest verdict on the branch's newest occurrence.
    decision: Mapped[str | None]
    is_reviewed: Mapped[bool]
    #: Does the model say the opposite of the person?
    disagrees: Mapped[bool]
    is_noted: Mapped[bool]


class FindingCwe(Base):
    """The weakness of another rule that reports a finding too; some are the finding's own."""

    __tablename__ = "finding_cwe"
    __table_args__: TableArgs = (_of_finding(), Index("ix_finding_cwe_finding_id", "finding_id"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(f"{SCHEMA}.tenant.id"), primary_key=True)
    cwe: Mapped[str] = mapped_column(primary_key=True)
    finding_id: Mapped[UUID] = mapped_column(primary_key=True)
