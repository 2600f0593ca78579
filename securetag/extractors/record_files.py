"""The files of an extracted source: Records as JSON Lines and Parquet, the report, the state.

The same Records give the same bytes: neither the time nor a path of this machine is written (the report's
CPU-seconds are the exception).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from securetag.errors import InputError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure
from securetag.records import Record, Status
from securetag.system.files import replace_file, write_atomic
from securetag.system.hashing import hash_file


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one extraction."""

    source: str
    edition: str
    licences: list[str]
    files: int
    records: int
    by_status: dict[str, int]
    #: Reason → number of items that were left out.
    dropped: dict[str, int]
    failures: list[Failure]
    #: Kind of secret or personal data → number of values that were replaced in texts.
    scrubbed: dict[str, int] = {}
    #: Column that no field of a mapping took → number of rows with it.
    unmapped_columns: dict[str, int] = {}
    #: CPU-seconds of this process and of the processes that the reader started.
    cpu_s: float

    @property
    def failed_share(self) -> float:
        """Failures over all items, 0.0 to 1.0."""
        items = self.records + sum(self.dropped.values()) + len(self.failures)
        return len(self.failures) / items if items else 0.0


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """The Records of one source, sorted by id, and the report."""

    source: Source
    records: list[Record]
    report: Report


class State(msgspec.Struct, frozen=True):
    """The inputs and outputs of the extraction in a folder: `<name>.state.json`."""

    #: Digest of everything that decides what the Records are.
    inputs: str
    #: File name → sha256.
    outputs: dict[str, str]


def write_extraction(extraction: Extraction, folder: Path) -> list[Path]:
    """Write `<name>.jsonl`, `<name>.parquet` and `<name>.report.json`, each as a whole.

    Returns their paths in this order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / extraction.source.name
    lines = msgspec.json.Encoder().encode_lines(extraction.records)
    # Records can be extracted again, so no write waits for the disk.
    jsonl = write_atomic(base.with_name(base.name + ".jsonl"), lines, durable=False)
    parquet = base.with_name(base.name + ".parquet")
    with replace_file(parquet, durable=False) as temporary:
        _write_parquet(extraction.records, temporary)
    report = msgspec.json.format(msgspec.json.encode(extraction.report), indent=2) + b"\n"
    return [jsonl, parquet, write_atomic(base.with_name(base.name + ".report.json"), report, durable=False)]


def _write_parquet(records: list[Record], path: Path) -> None:
    """Write one column a field; `facts` as JSON, since its fields differ from source to source."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [field for field in Record.__struct_fields__ if field != "facts"]
    columns = {name: [str(getattr(record, name)) for record in records] for name in names}
    columns["facts"] = [msgspec.json.encode(record.facts).decode() for record in records]
    schema = pa.schema([(name, pa.string()) for name in columns])
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def read_records(path: Path) -> Iterator[Record]:
    """Yield the Records of a `.jsonl` file, or of all of them in a folder, sorted by name.

    Raises InputError for a missing file or a line that isn't a Record.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    decoder = msgspec.json.Decoder(Record)
    for file in files:
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield _decode_record(decoder, line, f"{file.name}:{number}")
        except OSError as error:
            raise InputError(
                f"{file}: {error.strerror}", hint="Run `securetag source extract` first."
            ) from error


def _decode_record(decoder: msgspec.json.Decoder[Record], line: bytes, position: str) -> Record:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise InputError(f"{position}: not a Record: {error}") from error


def read_report(path: Path) -> Report:
    """Return the report of a `<name>.report.json`. Raises InputError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def write_state(path: Path, inputs: str, outputs: Iterable[Path]) -> None:
    """Write to `path` the digest of the inputs and the checksums of the output files."""
    state = State(inputs, {output.name: hash_file(output) for output in outputs})
    write_atomic(path, msgspec.json.encode(state), durable=False)


def read_current_report(state_path: Path, inputs: str) -> Report | None:
    """Return the report next to `state_path` when it is current, else None.

    It is current when it was made from the same `inputs` and no output file has changed since.
    """
    try:
        state = msgspec.json.decode(state_path.read_bytes(), type=State)
        if state.inputs != inputs:
            return None
        for name, sha256 in state.outputs.items():
            if hash_file(state_path.with_name(name)) != sha256:
                return None
        return read_report(state_path.with_name(state_path.name.replace(".state.json", ".report.json")))
    except (OSError, msgspec.DecodeError, InputError):
        return None


def select_trainable(records: Iterable[Record]) -> Iterator[Record]:
    """Yield the Records that are used for training by default: the active ones."""
    return (record for record in records if record.status is Status.ACTIVE)
