"""A narrow table for lists of findings, kept up by triggers, with an index for each filter."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0015_listing"
down_revision = "0014_calibration"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0015_listing.sql")


def downgrade() -> None:
    run(op.get_bind(), "0015_listing_down.sql")
