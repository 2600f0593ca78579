"""Lists with a search text read an index of trigrams, through a view that names the tenant."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0022_search"
down_revision = "0021_webhooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0022_search.sql")


def downgrade() -> None:
    run(op.get_bind(), "0022_search_down.sql")
