"""The calibration and the threshold that a verdict was decided with."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0014_calibration"
down_revision = "0013_lineage"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0014_calibration.sql")


def downgrade() -> None:
    run(op.get_bind(), "0014_calibration_down.sql")
