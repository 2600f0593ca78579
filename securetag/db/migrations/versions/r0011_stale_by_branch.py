"""Whether a verdict holds, by branch."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0011_stale_by_branch"
down_revision = "0010_rank"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0011_stale_by_branch.sql")


def downgrade() -> None:
    run(op.get_bind(), "0011_stale_by_branch_down.sql")
