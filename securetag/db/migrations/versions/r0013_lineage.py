"""Which models were published, and which findings trained them."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0013_lineage"
down_revision = "0012_slices"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0013_lineage.sql")


def downgrade() -> None:
    run(op.get_bind(), "0013_lineage_down.sql")
