"""What a tenant has can be deleted."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0019_deletion"
down_revision = "0018_chunks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0019_deletion.sql")


def downgrade() -> None:
    run(op.get_bind(), "0019_deletion_down.sql")
