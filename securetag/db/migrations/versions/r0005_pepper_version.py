"""Which pepper an API key was hashed under, so that peppers can be replaced."""

from __future__ import annotations

from alembic import op

from securetag.db.migrations.script import run

revision = "0005_pepper_version"
down_revision = "0004_web"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(op.get_bind(), "0005_pepper_version.sql")


def downgrade() -> None:
    run(op.get_bind(), "0005_pepper_version_down.sql")
