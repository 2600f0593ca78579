"""Alembic: the history of the schema. `securetag db upgrade` runs it; nothing else migrates."""
