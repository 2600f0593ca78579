"""A source → its Records and a report of what was read, dropped and broken; Records ↔ disk.

The same inputs give the same bytes: Records are sorted, and neither time nor path of this machine
reaches the files (the report's CPU-seconds apart). What hasn't changed is not read again: `refresh`
compares the verified files, the catalog row and this package with those of the last time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from securetag.errors import InputError, SecuretagError
from securetag.extractors.catalog import Source, constituents, newer_edition, source_named
from securetag.extractors.download import Progress
from securetag.extractors.fetch import fetch
from securetag.extractors.files import Failure, FetchedFile
from securetag.extractors.readers import reader_for
from securetag.extractors.readers.base import Drop, Reader
from securetag.records import Record, Status, content_id
from securetag.settings import Settings
from securetag.system.files import replace_file, write_atomic
from securetag.system.hashing import hash_file
from securetag.system.resources import cpu_seconds


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


class State(msgspec.Struct, frozen=True):
    """What an extraction on disk was made from and what it is: `<name>.state.json`."""

    #: See `_inputs`.
    inputs: str
    #: File name → sha256.
    outputs: dict[str, str]


class _Fetched(msgspec.Struct, frozen=True):
    source: Source
    files: list[FetchedFile]
    failures: list[Failure]
    superseded: bool


def extract(name: str, settings: Settings, progress: Progress | None = None) -> Extraction:
    """Fetch and read one source.

    Raises NotFoundError for an unknown name, UnavailableError when the source can't be had. Broken
    files and items are rows of the report. Records of an edition that a usable newer one supersedes
    are `superseded`.
    """
    started = cpu_seconds()
    return _extraction(_fetch(name, settings, progress), settings, started)


def refresh(
    name: str,
    settings: Settings,
    folder: Path,
    progress: Progress | None = None,
    *,
    force: bool = False,
) -> tuple[Report, bool]:
    """Bring `folder` up to date with one source. Returns its report, and True = nothing had changed.

    Files are fetched and verified every time; they are read again only where they, the catalog row
    or the code that reads them changed, or with `force`. Raises as `extract` does.
    """
    started = cpu_seconds()
    fetched = _fetch(name, settings, progress)
    inputs, base = _inputs(fetched), folder / name
    state = base.with_name(f"{name}.state.json")
    if not force and (known := _known(state, inputs)):
        return known, True
    extraction = _extraction(fetched, settings, started)
    state.unlink(missing_ok=True)  # what is being replaced is no longer what it says
    outputs = {path.name: hash_file(path) for path in write(extraction, folder)}
    write_atomic(state, msgspec.json.encode(State(inputs, outputs)), durable=False)
    return extraction.report, False


def _fetch(name: str, settings: Settings, progress: Progress | None) -> _Fetched:
    source = source_named(name, settings)
    failures: list[Failure] = []
    if source.records:
        files = list(_constituents(source, settings, progress, failures))
    else:
        files = fetch(source, settings, progress, failures.append)
    return _Fetched(source, files, failures, newer_edition(source, settings) is not None)


def _constituents(
    source: Source, settings: Settings, progress: Progress | None, failures: list[Failure]
) -> Iterator[FetchedFile]:
    """The Records that `source` is made of, brought up to date; one that can't be had costs no other."""
    for row in constituents(source, settings):
        try:
            refresh(row.name, settings, settings.records_dir, progress)
        except SecuretagError as error:
            failures.append(Failure(row.name, "", str(error)))
            continue
        path = settings.records_dir / f"{row.name}.jsonl"
        yield FetchedFile(path, row.url, hash_file(path), source.edition, row.licence)


def _extraction(fetched: _Fetched, settings: Settings, started: float) -> Extraction:
    source, failures = fetched.source, list(fetched.failures)
    reader = reader_for(source)
    records, dropped = _read(reader, fetched.files, failures, superseded=fetched.superseded)
    report = Report(
        source=source.name,
        edition=source.edition,
        licences=sorted({record.licence for record in records}),
        files=len(fetched.files),
        records=len(records),
        by_status=dict(sorted(Counter(str(record.status) for record in records).items())),
        dropped=dict(sorted(dropped.items())),
        failures=[_relative(failure, settings) for failure in failures],
        cpu_s=round(cpu_seconds() - started + reader.elsewhere_s, 3),
    )
    return Extraction(source=source, records=records, report=report)


def _known(path: Path, inputs: str) -> Report | None:
    """The report on disk, where it was made from these inputs and nobody touched what was written."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=State)
        if state.inputs != inputs:
            return None
        if any(hash_file(path.with_name(name)) != sha256 for name, sha256 in state.outputs.items()):
            return None
        return read_report(path.with_name(path.name.replace(".state.json", ".report.json")))
    except (OSError, msgspec.DecodeError, InputError):
        return None


def _inputs(fetched: _Fetched) -> str:
    """Digest of all that decides what the Records will be."""
    files = [[file.url, file.sha256, file.edition, file.licence, file.path.name] for file in fetched.files]
    return content_id([fetched.source, fetched.superseded, files, fetched.failures, _code()])


#: Libraries whose version may change a Record.
_LIBRARIES = (
    "beautifulsoup4", "cvss", "datasets", "lingua-language-detector", "lxml", "markdown-it-py", "msgspec",
    "pymupdf", "pyoxigraph", "pyyaml", "selectolax",
)  # fmt: skip


@lru_cache(maxsize=1)
def _code() -> str:
    """Digest of this package, of the vocabulary, and of the libraries that read."""
    here = Path(__file__).parent
    modules = sorted([*here.rglob("*.py"), here.parent / "records.py"])
    return content_id([*map(_version, _LIBRARIES), *map(hash_file, modules)])


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _read(
    reader: Reader, files: Sequence[FetchedFile], failures: list[Failure], *, superseded: bool
) -> tuple[list[Record], Counter[str]]:
    found: dict[str, Record] = {}
    dropped: Counter[str] = Counter()
    for item in reader.read(files):
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


def write(extraction: Extraction, folder: Path) -> list[Path]:
    """`<name>.jsonl`, `<name>.parquet` and `<name>.report.json` in `folder`, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / extraction.source.name
    lines = msgspec.json.Encoder().encode_lines(extraction.records)
    # Records can be extracted again: nothing waits for the disk.
    jsonl = write_atomic(base.with_name(base.name + ".jsonl"), lines, durable=False)
    parquet = base.with_name(base.name + ".parquet")
    with replace_file(parquet, durable=False) as temporary:
        _write_parquet(extraction.records, temporary)
    report = msgspec.json.format(msgspec.json.encode(extraction.report), indent=2) + b"\n"
    return [jsonl, parquet, write_atomic(base.with_name(base.name + ".report.json"), report, durable=False)]


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
