"""Read a user's folder of mixed files: each file by the reader for its content.

Every file becomes Records, a counted drop, or a failure in the report with its name and kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from securetag.errors import SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.advisories.csaf import CsafReader
from securetag.extractors.readers.advisories.cve_record import CveRecordReader
from securetag.extractors.readers.advisories.osv import OsvReader
from securetag.extractors.readers.base import Drop, Item, Reader, describe_error
from securetag.extractors.readers.file_kinds import ReaderKind, Skipped, detect_kind
from securetag.extractors.readers.hf import HfReader
from securetag.extractors.readers.html import HtmlReader
from securetag.extractors.readers.markdown import MarkdownReader
from securetag.extractors.readers.markup import DocumentReader, RstReader
from securetag.extractors.readers.pdf.reader import PdfReader
from securetag.extractors.readers.tabular import TabularReader
from securetag.extractors.text.prose_check import is_license_text
from securetag.records import Record

_READERS: dict[ReaderKind, type[Reader]] = {
    "pdf": PdfReader,
    "html": HtmlReader,
    "rows": TabularReader,
    "parquet": HfReader,
    "text": MarkdownReader,
    "rst": RstReader,
    "document": DocumentReader,
    "osv": OsvReader,
    "cve": CveRecordReader,
    "csaf": CsafReader,
}


class FolderReader(Reader):
    """Reads the documents and the rows of one folder, and leaves out what holds nothing to learn."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.kinds: dict[Path, ReaderKind | Skipped] = {}
        self.readers: dict[ReaderKind, Reader] = {}

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        """Detect the kind of every file, and let each reader prepare its files."""
        by_kind: dict[ReaderKind, list[FetchedFile]] = {}
        for file in files:
            try:
                kind = self.kinds[file.path] = detect_kind(file)
            except (OSError, SourceError) as error:
                yield Failure(str(file.path), "", describe_error(error))
                continue
            if not isinstance(kind, Skipped):
                by_kind.setdefault(kind, []).append(file)
        for kind, kind_files in by_kind.items():
            self.readers[kind] = _READERS[kind](self.source)
            self.readers[kind].unmapped_columns = self.unmapped_columns
            yield from self.readers[kind].prepare(kind_files)

    def read(self, files: Sequence[FetchedFile]) -> Iterator[Item]:
        yield from super().read(files)
        self.child_cpu_s = sum(reader.child_cpu_s for reader in self.readers.values())

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        kind = self.kinds[file.path]
        if isinstance(kind, Skipped):
            yield Drop(kind.reason, file.path.name)
            return
        is_empty = True
        for item in self.readers[kind].read_file(file):
            is_empty = False
            is_license = isinstance(item, Record) and is_license_text(item.text)
            yield Drop("a license text", item.locator) if is_license else item
        if is_empty:
            yield Drop("a file without any text", file.path.name)
