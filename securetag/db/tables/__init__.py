"""The tables by theme; `securetag.db.models` gathers them."""
