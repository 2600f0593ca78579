"""Look at a file or a folder of documents before a source is made of it: what would be read, and as what."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from urllib.parse import quote

import msgspec

from securetag.errors import InputError, SourceError
from securetag.extractors.catalog import FolderMethod, Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, describe_error
from securetag.extractors.readers.columns import Mapping, guess_mapping
from securetag.extractors.readers.file_kinds import Skipped, detect_kind
from securetag.extractors.readers.folder import FolderReader
from securetag.extractors.readers.table_rows import Row, read_rows
from securetag.extractors.record_scrubbing import scrub_record
from securetag.records import Record
from securetag.system.hashing import hash_file

#: Files of a folder, items of a file, and Records that are shown.
MAX_FILES, MAX_ITEMS, MAX_RECORDS = 20, 200, 3
_FIELDS = tuple(field for field in Mapping.__struct_fields__ if field not in ("kind", "replace", "rest"))


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would be read of one file."""

    file: str
    #: Name of the reader; empty for a file that is left out.
    kind: str
    #: Field of a Record → column or template. Empty where the file holds no rows.
    mapping: dict[str, str]
    #: Columns of the first items that no field takes; they are kept in the text.
    unmapped_columns: list[str]
    #: The first Records, scrubbed.
    records: list[Record]
    dropped: dict[str, int]
    scrubbed: dict[str, int]
    failures: list[Failure]


def preview(path: Path) -> list[Preview]:
    """Return what would be read of a file, or of the first files of a folder.

    Raises InputError where there is nothing at `path`.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())[:MAX_FILES]
    elif path.is_file():
        files = [path]
    else:
        raise InputError(f"{path}: there is no such file or folder")
    root = path if path.is_dir() else path.parent
    return [_preview_file(file, root) for file in files]


def _preview_file(path: Path, root: Path) -> Preview:
    name = path.relative_to(root).as_posix()
    source = Source(
        name="preview",
        tier="extended",
        publisher="Preview",
        dataset="preview",
        title="Preview",
        edition="1",
        url="file:///",
        licence="LicenseRef-Unknown",
        reader="folder",
        folder=FolderMethod(str(root)),
    )
    file = FetchedFile(path, f"file:///{quote(name)}", hash_file(path), "1", source.licence)
    records: list[Record] = []
    dropped: Counter[str] = Counter()
    scrubbed: Counter[str] = Counter()
    failures: list[Failure] = []
    reader = FolderReader(source)
    for number, item in enumerate(reader.read([file])):
        if isinstance(item, Failure):
            failures.append(msgspec.structs.replace(item, file=name))
        elif isinstance(item, Drop):
            dropped[item.reason] += 1
        elif len(records) < MAX_RECORDS:
            records.append(scrub_record(item, scrubbed))
        if number >= MAX_ITEMS or len(records) >= MAX_RECORDS:
            break
    kind = _name_kind(file)
    return Preview(
        file=name,
        kind=kind,
        mapping=_guess(path) if kind == "rows" else {},
        unmapped_columns=list(reader.unmapped_columns),
        records=records,
        dropped=dict(dropped),
        scrubbed=dict(scrubbed),
        failures=failures,
    )


def _name_kind(file: FetchedFile) -> str:
    try:
        kind = detect_kind(file)
    except (OSError, SourceError):
        return ""
    return "" if isinstance(kind, Skipped) else kind


def _guess(path: Path) -> dict[str, str]:
    """Return the mapping that is guessed for the first sound row; empty where there is none."""
    try:
        row: Row | None = next((row for _, row in read_rows(path) if isinstance(row, dict)), None)
    except SourceError as error:
        return {"error": describe_error(error)}
    mapping = guess_mapping(row) if row else Mapping()
    return {field: str(getattr(mapping, field)) for field in _FIELDS if getattr(mapping, field)}
