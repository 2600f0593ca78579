"""One folder that holds an installation's data, and an installation from it.

``PATH/``: ``manifest.json``, ``database/<table>.copy``, ``artifacts/<storage key>``, ``releases/<name>/…``,
``models/…`` with ``registry.json``, ``erasures/…``, ``reviews.jsonl``. The manifest names every other file
with its sha256 and size. The folder gets its name when all of it is on the disk, so one that was cut short
is never taken for a whole one.
"""

from __future__ import annotations

from securetag.pipeline.backup.restore import restore
from securetag.pipeline.backup.write import Summary, write_backup

__all__ = ["Summary", "restore", "write_backup"]
