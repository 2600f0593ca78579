"""An index from which PostgreSQL finds the next finding of a list at once."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0010_rank"
down_revision = "0009_early_findings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0010_rank.sql")


def downgrade() -> None:
    run(op.get_bind(), "0010_rank_down.sql")
