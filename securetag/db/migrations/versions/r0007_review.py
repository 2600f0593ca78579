"""What reviews need: the policy of a tenant, imported findings."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0007_review"
down_revision = "0006_findings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0007_review.sql")


def downgrade() -> None:
    run(op.get_bind(), "0007_review_down.sql")
