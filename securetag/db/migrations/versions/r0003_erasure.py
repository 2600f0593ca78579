"""Erasure: what a tenant wants forgotten is out of the harvest's sight."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0003_erasure"
down_revision = "0002_security"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0003_erasure.sql")


def downgrade() -> None:
    run(op.get_bind(), "0003_erasure_down.sql")
