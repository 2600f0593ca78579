"""A source → its Records and a report of what was read, dropped and broken; Records ↔ disk.

The same inputs give the same bytes: Records are sorted, and neither time nor path of this machine
reaches the files (the report's CPU-seconds apart).
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from securetag.errors import InputError
from securetag.extractors.catalog import Source, newer_edition, source_named
from securetag.extractors.download import Progress
from securetag.extractors.fetch import Failure, FetchedFile, fetch
from securetag.extractors.readers import reader_for
from securetag.extractors.readers.base import Drop
from securetag.records import Record, Status
from securetag.settings import Settings


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a source."""

    source: str
    edition: str
    licences: list[str]
    files: int
    records: int
    by_status: dict[str, int]
    #: Reason → items left out.
    dropped: dict[str, int]
    failures: list[Failure]
    #: Of this process and the readers that it started, seconds.
    cpu_s: float

    @property
    def failed_share(self) -> float:
        """Failures over all that was tried, 0.0 to 1.0."""
        tried = self.records + sum(self.dropped.values()) + len(self.failures)
        return len(self.failures) / tried if tried else 0.0


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """The Records of one source, sorted by id, and the report."""

    source: Source
    records: list[Record]
    report: Report


def extract(
    name: str, settings: Settings, progress: Progress | None = None, *, catalog: Path | None = None
) -> Extraction:
    """Fetch and read one source.

    Raises NotFoundError for an unknown name, UnavailableError when the source can't be had. Broken
    files and items are rows of the report. Records of an edition that a usable newer one supersedes
    are `superseded`.
    """
    source = source_named(name, catalog)
    failures: list[Failure] = []
    started = _cpu_s()
    files = fetch(source, settings, progress, failures.append)
    superseded = newer_edition(source, settings, catalog) is not None
    records, dropped = _read(source, files, failures, superseded=superseded)
    report = Report(
        source=source.name,
        edition=source.edition,
        licences=sorted({record.licence for record in records}),
        files=len(files),
        records=len(records),
        by_status=dict(sorted(Counter(str(record.status) for record in records).items())),
        dropped=dict(sorted(dropped.items())),
        failures=[_relative(failure, settings) for failure in failures],
        cpu_s=round(_cpu_s() - started, 3),
    )
    return Extraction(source=source, records=records, report=report)


def _read(
    source: Source, files: list[FetchedFile], failures: list[Failure], *, superseded: bool
) -> tuple[list[Record], Counter[str]]:
    found: dict[str, Record] = {}
    dropped: Counter[str] = Counter()
    for item in reader_for(source).read(files):
        if isinstance(item, Failure):
            failures.append(item)
        elif isinstance(item, Drop):
            dropped[item.reason] += 1
        elif item.id in found:
            dropped["the same item twice"] += 1
        else:
            old = superseded and item.status is Status.ACTIVE
            found[item.id] = msgspec.structs.replace(item, status=Status.SUPERSEDED) if old else item
    return sorted(found.values(), key=lambda record: record.id), dropped


def _relative(failure: Failure, settings: Settings) -> Failure:
    """The file's path inside the mirror or the data folder: no path of this machine in a report."""
    for root in (settings.mirror, settings.data):
        if root and Path(failure.file).is_relative_to(root):
            return msgspec.structs.replace(failure, file=Path(failure.file).relative_to(root).as_posix())
    return failure


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def write(extraction: Extraction, folder: Path) -> list[Path]:
    """`<name>.jsonl`, `<name>.parquet` and `<name>.report.json` in `folder`, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / extraction.source.name
    lines = msgspec.json.Encoder().encode_lines(extraction.records)
    jsonl = _replace(base.with_name(base.name + ".jsonl"), lines)
    parquet = base.with_name(base.name + ".parquet")
    part = parquet.with_name(parquet.name + ".part")
    _write_parquet(extraction.records, part)
    part.replace(parquet)
    report = msgspec.json.format(msgspec.json.encode(extraction.report), indent=2) + b"\n"
    return [jsonl, parquet, _replace(base.with_name(base.name + ".report.json"), report)]


def _replace(path: Path, data: bytes) -> Path:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    return part.replace(path)


def _write_parquet(records: list[Record], path: Path) -> None:
    """One column a field; `facts` as its JSON, since its fields come and go by source."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [field for field in Record.__struct_fields__ if field != "facts"]
    columns = {name: [str(getattr(record, name)) for record in records] for name in names}
    columns["facts"] = [msgspec.json.encode(record.facts).decode() for record in records]
    schema = pa.schema([(name, pa.string()) for name in columns])
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def read_records(path: Path) -> Iterator[Record]:
    """Records of a `.jsonl` file, or of all of a folder in the order of their names. Raises InputError."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    decoder = msgspec.json.Decoder(Record)
    for file in files:
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield _decode(decoder, line, f"{file.name}:{number}")
        except OSError as error:
            raise InputError(
                f"{file}: {error.strerror}", hint="Run `securetag source extract` first."
            ) from error


def _decode(decoder: msgspec.json.Decoder[Record], line: bytes, where: str) -> Record:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: not a Record: {error}") from error


def read_report(path: Path) -> Report:
    """A `<name>.report.json`. Raises InputError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def trainable(records: Iterable[Record]) -> Iterator[Record]:
    """Records that train by default: the active ones."""
    return (record for record in records if record.status is Status.ACTIVE)
