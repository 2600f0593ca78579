"""A tenant or a key can be suspended; a consent names its text; open tasks are counted."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0020_suspension"
down_revision = "0019_deletion"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0020_suspension.sql")


def downgrade() -> None:
    run(op.get_bind(), "0020_suspension_down.sql")
