"""Sources → Records on disk."""

from __future__ import annotations

from securetag.extractors.extract import refresh
from securetag.extractors.fetching.download import Progress
from securetag.extractors.record_files import Report
from securetag.settings import Settings


def extract(
    name: str, settings: Settings, progress: Progress | None = None, *, force: bool = False
) -> tuple[Report, bool]:
    """Bring `<data>/records/<name>.{jsonl,parquet,report.json}` up to date.

    Returns the report, and whether nothing had changed since the last time, so nothing was read.
    `force` reads again anyway. Raises NotFoundError for a source that the catalog doesn't know,
    UnavailableError when its files can't be had, SourceError when a pinned checksum changed. A broken
    file or record is a row of the report, not an error.
    """
    return refresh(name, settings, settings.records_dir, progress, force=force)
