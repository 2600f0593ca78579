"""Read a user's folder of mixed files: each file by the reader for its content.

The suffix decides only between similar texts (Markdown, CSV, plain text). A file that no reader reads is a
failure in the report with its name and kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from securetag.errors import SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, describe_error
from securetag.extractors.readers.hf import HfReader
from securetag.extractors.readers.html import HtmlReader
from securetag.extractors.readers.markdown import MarkdownReader
from securetag.extractors.readers.pdf.reader import PdfReader
from securetag.extractors.readers.tabular import TabularReader

#: Maximum bytes of one file, since readers hold a file in memory.
MAX_FILE_BYTES = 512 << 20
#: First bytes → name of the kind, for files that no reader reads.
_UNREADABLE_KINDS = (
    (b"PK\x03\x04", "a zip archive or an Office document"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"{\\rtf", "an RTF document"),
)
_HTML_TAG = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|main|article|div|h1|p|table)\b", re.I)
_XML_START = re.compile(rb"<(?:\?xml|!DOCTYPE|[A-Za-z_][\w.:-]*[\s>])")
#: Kind of content → its reader.
_READERS: dict[str, type[Reader]] = {
    "pdf": PdfReader,
    "html": HtmlReader,
    "rows": TabularReader,
    "parquet": HfReader,
    "text": MarkdownReader,
}


class FolderReader(Reader):
    """Reads PDF, HTML, Markdown, plain text, JSON, JSON Lines, CSV, TSV and Parquet from one folder."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.kinds: dict[Path, str] = {}
        self.readers: dict[str, Reader] = {}

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        """Detect the kind of every file, and let each reader prepare its files."""
        by_kind: dict[str, list[FetchedFile]] = {}
        for file in files:
            try:
                if kind := self._kind(file):
                    by_kind.setdefault(kind, []).append(file)
                    self.kinds[file.path] = kind
            except (OSError, SourceError) as error:
                yield Failure(str(file.path), "", describe_error(error))
        for kind, kind_files in by_kind.items():
            self.readers[kind] = _READERS[kind](self.source)
            yield from self.readers[kind].prepare(kind_files)

    def _kind(self, file: FetchedFile) -> str:
        """Return the kind of a file; empty for a hidden or empty file, which `read_file` drops."""
        size = file.path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise SourceError(f"a file of more than {MAX_FILE_BYTES >> 20} MiB")
        return detect_kind(file) if size and not file.path.name.startswith(".") else ""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        kind = self.kinds.get(file.path)
        if kind is None:
            is_hidden = file.path.name.startswith(".")
            yield Drop("a hidden file" if is_hidden else "an empty file", file.path.name)
            return
        yield from self.readers[kind].read_file(file)


def detect_kind(file: FetchedFile) -> str:
    """Return `pdf`, `html`, `rows`, `parquet` or `text`, by content. Raises SourceError for anything else."""
    with file.path.open("rb") as stream:
        head = stream.read(1 << 16)
    ending = file.path.suffix.lower()
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PAR1"):
        return "parquet"
    for magic, name in _UNREADABLE_KINDS:
        if head.startswith(magic):
            raise SourceError(
                f"{name}, which no reader knows", hint="Unpack or convert it, or narrow `glob`."
            )
    if head[:2] not in (b"\xff\xfe", b"\xfe\xff") and b"\0" in head:
        raise SourceError("binary data, which no reader knows")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] in (b"{", b"[") and (ending in {".json", ".jsonl", ".ndjson"} or _looks_like_json(start)):
        return "rows"
    if ending in {".csv", ".tsv", ".tab"}:
        return "rows"
    if ending not in {".md", ".markdown"} and start[:1] == b"<" and _HTML_TAG.search(start[:4096]):
        return "html"
    if _XML_START.match(start) and ending not in {".md", ".markdown", ".txt"}:
        raise SourceError("XML, of which only known publications have a reader")
    return "text"


def _looks_like_json(start: bytes) -> bool:
    """Whether a text is more than a bracket that prose may begin with: `{"`, `[{`, `[1`."""
    return re.match(rb"\{\s*(?:\"|\})|\[\s*(?:[\[{\"\d]|\])", start) is not None
