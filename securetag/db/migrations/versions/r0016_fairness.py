"""A claim takes turns between tenants; tasks have a priority, tenants have quotas."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0016_fairness"
down_revision = "0015_listing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0016_fairness.sql")


def downgrade() -> None:
    run(op.get_bind(), "0016_fairness_down.sql")
