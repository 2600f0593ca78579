"""The tables."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0001_tables"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0001_tables.sql")


def downgrade() -> None:
    run(op.get_bind(), "0001_tables_down.sql")
