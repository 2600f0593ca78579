"""Sources → Records on disk."""

from __future__ import annotations

from collections.abc import Callable

from securetag.extractors import catalog
from securetag.extractors.extract import Report, write
from securetag.extractors.extract import extract as read_source
from securetag.settings import Settings


def obtainable_sources(settings: Settings) -> list[str]:
    """Names of the catalog's sources whose files are in reach by the present settings."""
    return [
        name for name, source in catalog.load().items() if catalog.obtainable(source, settings).obtainable
    ]


def extract(name: str, settings: Settings, progress: Callable[[str], None] | None = None) -> Report:
    """Extract one source into `<data>/records/<name>.{jsonl,parquet,report.json}`.

    Raises NotFoundError for a source that the catalog doesn't know, SourceError when none of its files
    can be had. A broken file or record is a row of the report, not an error.
    """
    extraction = read_source(name, settings, progress)
    write(extraction, settings.records_dir)
    return extraction.report
