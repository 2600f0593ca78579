"""What is known of a finding: its evidence, its identity, its states."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0006_findings"
down_revision = "0005_pepper_version"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0006_findings.sql")


def downgrade() -> None:
    run(op.get_bind(), "0006_findings_down.sql")
