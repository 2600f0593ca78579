"""What an attempt has found is stored in chunks."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0018_chunks"
down_revision = "0017_severity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0018_chunks.sql")


def downgrade() -> None:
    run(op.get_bind(), "0018_chunks_down.sql")
