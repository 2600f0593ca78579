"""Web scans: where a finding stands in a web application, and the targets that a tenant may scan."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0004_web"
down_revision = "0003_erasure"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0004_web.sql")


def downgrade() -> None:
    run(op.get_bind(), "0004_web_down.sql")
