"""Roles' rights, row-level security, the state machine, the gate's functions."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0002_security"
down_revision = "0001_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0002_security.sql")


def downgrade() -> None:
    run(op.get_bind(), "0002_security_down.sql")
