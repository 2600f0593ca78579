"""The slice of an occurrence."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0012_slices"
down_revision = "0011_stale_by_branch"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0012_slices.sql")


def downgrade() -> None:
    run(op.get_bind(), "0012_slices_down.sql")
