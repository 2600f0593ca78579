"""Fetch and read a source: its Records, and a report of what was read, dropped and broken.

`refresh` reads a source again only when its verified files, its catalog row or the code that reads it have
changed since the last time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from securetag.errors import SecuretagError
from securetag.extractors.catalog import (
    Source,
    find_newer_edition,
    get_source,
    list_usable_parts,
)
from securetag.extractors.fetching.download import Progress
from securetag.extractors.fetching.fetch import fetch
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Reader
from securetag.extractors.readers.registry import create_reader, get_reader_origin
from securetag.extractors.record_files import (
    Extraction,
    Report,
    read_current_report,
    write_extraction,
    write_state,
)
from securetag.extractors.record_scrubbing import scrub_record
from securetag.records import Record, Status, content_id
from securetag.settings import Settings
from securetag.system.hashing import hash_file
from securetag.system.resources import cpu_seconds

#: Libraries whose version may change a Record.
_LIBRARIES = (
    "beautifulsoup4",
    "cvss",
    "datasets",
    "detect-secrets",
    "docutils",
    "lingua-language-detector",
    "lxml",
    "markdown-it-py",
    "msgspec",
    "pygments",
    "pymupdf",
    "pypandoc_binary",
    "pyoxigraph",
    "pyyaml",
    "selectolax",
)


class _FetchedSource(msgspec.Struct, frozen=True):
    source: Source
    files: list[FetchedFile]
    failures: list[Failure]
    is_superseded: bool


def extract(name: str, settings: Settings, progress: Progress | None = None) -> Extraction:
    """Fetch and read one source.

    Records of an edition that a usable newer one supersedes have the status `superseded`. Broken files and
    items are failures in the report, not errors.

    Raises NotFoundError for an unknown name, UnavailableError when the source can't be fetched.
    """
    started_s = cpu_seconds()
    return _read_source(_fetch_source(name, settings, progress), settings, started_s)


def refresh(
    name: str,
    settings: Settings,
    folder: Path,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> tuple[Report, bool]:
    """Bring the files of one source in `folder` up to date.

    Returns the report and whether nothing had changed. Files are fetched and verified every time; they are
    read again only when they, the catalog row or the code have changed, or with `force`.

    Raises as `extract` does.
    """
    started_s = cpu_seconds()
    fetched = _fetch_source(name, settings, progress)
    inputs = _digest_inputs(fetched)
    state_path = folder / f"{name}.state.json"
    if not force and (report := read_current_report(state_path, inputs)):
        return report, True
    extraction = _read_source(fetched, settings, started_s)
    state_path.unlink(missing_ok=True)  # it no longer describes the files, which are replaced one by one
    write_state(state_path, inputs, write_extraction(extraction, folder))
    return extraction.report, False


def _fetch_source(name: str, settings: Settings, progress: Progress | None) -> _FetchedSource:
    source = get_source(name, settings)
    failures: list[Failure] = []
    if source.records:
        files = list(_refresh_parts(source, settings, progress, failures))
    else:
        files = fetch(source, settings, progress, failures.append)
    return _FetchedSource(source, files, failures, find_newer_edition(source, settings) is not None)


def _refresh_parts(
    source: Source, settings: Settings, progress: Progress | None, failures: list[Failure]
) -> Iterator[FetchedFile]:
    """Bring the sources that `source` is made of up to date and yield their files of Records.

    A part that can't be fetched becomes a failure; the others are unaffected.
    """
    for row in list_usable_parts(source, settings):
        try:
            refresh(row.name, settings, settings.records_dir, progress)
        except SecuretagError as error:
            failures.append(Failure(row.name, "", str(error)))
            continue
        path = settings.records_dir / f"{row.name}.jsonl"
        yield FetchedFile(path, row.url, hash_file(path), source.edition, row.licence)


def _read_source(fetched: _FetchedSource, settings: Settings, started_s: float) -> Extraction:
    source, failures = fetched.source, list(fetched.failures)
    reader = create_reader(source)
    records, dropped, scrubbed = _read_files(reader, fetched, failures)
    report = Report(
        source=source.name,
        edition=source.edition,
        licences=sorted({record.licence for record in records}),
        files=len(fetched.files),
        records=len(records),
        by_status=dict(sorted(Counter(str(record.status) for record in records).items())),
        dropped=dict(sorted(dropped.items())),
        unmapped_columns=dict(sorted(reader.unmapped_columns.items())),
        scrubbed=dict(sorted(scrubbed.items())),
        failures=[_with_relative_path(failure, settings) for failure in failures],
        cpu_s=round(cpu_seconds() - started_s + reader.child_cpu_s, 3),
    )
    return Extraction(source=source, records=records, report=report)


def _digest_inputs(fetched: _FetchedSource) -> str:
    """Return a digest of everything that decides what the Records are."""
    files = [[file.url, file.sha256, file.edition, file.licence, file.path.name] for file in fetched.files]
    code = [digest_code(), get_reader_origin(fetched.source)]
    return content_id([fetched.source, fetched.is_superseded, files, fetched.failures, code])


@lru_cache(maxsize=1)
def digest_code() -> str:
    """Return a digest of this package, of the schema of Records, and of the versions of the libraries."""
    package = Path(__file__).parent
    shared = (package.parent / "scrubbing").rglob("*.py")
    modules = sorted([*package.rglob("*.py"), *shared, *(package.parent / "records").rglob("*.py")])
    return content_id([*map(_get_version, _LIBRARIES), *map(hash_file, modules)])


def _get_version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _read_files(
    reader: Reader, fetched: _FetchedSource, failures: list[Failure]
) -> tuple[list[Record], Counter[str], Counter[str]]:
    """Return the Records, sorted by id, and the numbers of drops by reason and of scrubbed values by kind.

    Failures are appended to `failures`.
    """
    records: dict[str, Record] = {}
    dropped: Counter[str] = Counter()
    scrubbed: Counter[str] = Counter()
    for item in reader.read(fetched.files):
        if isinstance(item, Failure):
            failures.append(item)
            continue
        if isinstance(item, Drop):
            dropped[item.reason] += 1
            continue
        record = scrub_record(item, scrubbed) if fetched.source.scrub else item
        if record.id in records:
            dropped["the same item twice"] += 1
        elif fetched.is_superseded and record.status is Status.ACTIVE:
            records[record.id] = msgspec.structs.replace(record, status=Status.SUPERSEDED)
        else:
            records[record.id] = record
    return sorted(records.values(), key=lambda record: record.id), dropped, scrubbed


def _with_relative_path(failure: Failure, settings: Settings) -> Failure:
    """Return the failure with its path relative to the mirror or the data folder.

    A report holds no path of this machine.
    """
    for root in (settings.mirror, settings.data):
        if root and Path(failure.file).is_relative_to(root):
            return msgspec.structs.replace(failure, file=Path(failure.file).relative_to(root).as_posix())
    return failure
