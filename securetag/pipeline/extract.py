"""Sources → Records on disk."""

from __future__ import annotations

from securetag.extractors.download import Progress
from securetag.extractors.extract import Report, write
from securetag.extractors.extract import extract as read_source
from securetag.settings import Settings


def extract(name: str, settings: Settings, progress: Progress | None = None) -> Report:
    """Extract one source into `<data>/records/<name>.{jsonl,parquet,report.json}`.

    Raises NotFoundError for a source that the catalog doesn't know, UnavailableError when its files
    can't be had. A broken file or record is a row of the report, not an error.
    """
    extraction = read_source(name, settings, progress)
    write(extraction, settings.records_dir)
    return extraction.report
