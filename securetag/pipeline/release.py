"""Records and harvested verdicts on disk → an immutable release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from securetag.datasets import lineage
from securetag.datasets.build import BuildParams, ReleaseSummary, build
from securetag.extractors.extract import read_records
from securetag.pipeline import erasure, review
from securetag.pipeline.harvest import FILE, read_harvest
from securetag.records import Record
from securetag.settings import Settings


def build_release(
    params: BuildParams,
    settings: Settings,
    *,
    sources: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> ReleaseSummary:
    """Build a release from the extracted `sources` (all of them by default) and the last harvest.

    What was withdrawn since, and what reviewers rejected, stays out. Raises ReleaseError,
    LicenceError, InputError. The same files and parameters give the same digest.
    """
    built = build(
        _records(settings, sources),
        read_harvest(settings.records_dir / FILE),
        params,
        releases_dir=settings.releases_dir,
        work=settings.home / "work",
        semgrep=settings.semgrep,
        withdrawn=erasure.standing(settings),
        reviews=review.decisions(settings),
        progress=progress,
    )
    lineage.index(Path(built.path))
    return built


def _records(settings: Settings, sources: Sequence[str] | None) -> Iterator[Record]:
    for path in sorted(settings.records_dir.glob("*.jsonl")):
        if path.name != FILE and (sources is None or path.stem in sources):
            yield from read_records(path)
