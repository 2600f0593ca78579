"""Findings that are stored before their triage ends."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0009_early_findings"
down_revision = "0008_decisions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0009_early_findings.sql")


def downgrade() -> None:
    run(op.get_bind(), "0009_early_findings_down.sql")
