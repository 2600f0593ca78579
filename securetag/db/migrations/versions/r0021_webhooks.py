"""Webhooks are sent: events become deliveries in their own transaction, and the api claims what is due."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0021_webhooks"
down_revision = "0020_suspension"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0021_webhooks.sql")


def downgrade() -> None:
    run(op.get_bind(), "0021_webhooks_down.sql")
