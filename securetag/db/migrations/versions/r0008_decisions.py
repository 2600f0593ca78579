"""What a person decides: how a verdict was given, its withdrawal, bulk decisions, assignee and notes."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0008_decisions"
down_revision = "0007_review"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0008_decisions.sql")


def downgrade() -> None:
    run(op.get_bind(), "0008_decisions_down.sql")
