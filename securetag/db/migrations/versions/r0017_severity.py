"""An index for pages deep in the list of one severity."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0017_severity"
down_revision = "0016_fairness"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0017_severity.sql")


def downgrade() -> None:
    run(op.get_bind(), "0017_severity_down.sql")
