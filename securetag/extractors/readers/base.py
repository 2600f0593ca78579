"""What every reader is: bytes of one format → Records, drops and failures.

A reader implements `read_file`; one whose Records need other files (joins) also `prepare`. It never
fetches, and never decides what trains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from securetag.errors import SecuretagError, SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.text import prose
from securetag.extractors.text.language import detect_language
from securetag.records import Facts, Record, Status, TextLang

T = TypeVar("T")


class Drop(msgspec.Struct, frozen=True):
    """An item that was read, understood and left out, and why."""

    reason: str
    locator: str = ""


Item = Record | Drop | Failure


class Reader(ABC):
    """Base of all readers. `source` gives provenance and options."""

    def __init__(self, source: Source) -> None:
        self.source = source

    #: CPU-seconds of child processes that still run, so that the system hasn't added them to ours.
    child_cpu_s: float = 0.0

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:  # noqa: ARG002
        """Look over all files once before any is read; yields those that can't be."""
        yield from ()

    @abstractmethod
    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        """The items of one file. Raises SourceError when the file isn't what it claims to be."""

    def read(self, files: Sequence[FetchedFile]) -> Iterator[Item]:
        """The items of all files; what breaks in one costs no other."""
        broken = set()
        for failure in self.prepare(files):
            broken.add(failure.file)
            yield failure
        for file in files:
            if str(file.path) in broken:
                continue
            try:
                yield from self.read_file(file)
            except RecursionError:
                yield Failure(str(file.path), "", "nested too deeply")
            except Exception as error:  # whatever a file provokes is a row of the report, with its name
                yield Failure(str(file.path), "", reason_of(error))

    def record(
        self,
        file: FetchedFile,
        *,
        key: str,
        title: str,
        text: str,
        locator: str,
        url: str = "",
        facts: Facts | None = None,
        status: Status = Status.ACTIVE,
        lang: TextLang | None = None,
        certain: bool = False,
    ) -> Record | Drop:
        """A Record of this source; a Drop where no text is left. `text` must be clean Markdown.

        `lang` is what the publication says of this item; the text itself may say better, unless the
        reader is `certain`: it has looked at the prose alone, without the tables and lists it added."""
        if not text.strip():
            return Drop("no text", locator)
        lang = lang or self.source.lang
        return Record.of(
            source=self.source.name, publisher=self.source.publisher, key=key,
            title=prose.clean_line(title), text=text, lang=lang if certain else detect_language(text, lang),
            url=url or file.url, edition=file.edition, licence=file.licence,
            file_sha256=file.sha256, locator=locator, facts=facts, status=status,
        )  # fmt: skip


def reason_of(error: BaseException) -> str:
    """One line for a report: ours in full, a library's with its type."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, SecuretagError) and text else f"{type(error).__name__}: {text}"


def read_bytes(file: FetchedFile) -> bytes:
    """The file's bytes. Raises SourceError."""
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise SourceError(f"{file.path}: {error.strerror}") from error


def read_text(file: FetchedFile) -> str:
    """The file as text without BOM: UTF-8, UTF-16 with a BOM, else Windows-1252. Raises SourceError."""
    data = read_bytes(file)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            encoding = "cp1252"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise SourceError(f"{file.path}: is neither UTF-8 nor {encoding} text") from error


def refuse_many(data: bytes, most: int) -> None:
    """Raises SourceError for JSON that may hold more than `most` values: each costs up to 400 bytes."""
    if (count := sum(data.count(mark) for mark in (b",", b"{", b"["))) > most:
        raise SourceError(f"JSON that may hold {count:,} values, and {most:,} are read")


def decode_json(data: bytes, kind: type[T]) -> T:
    """Typed JSON. Raises SourceError that says where it doesn't fit."""
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=kind)
    except RecursionError as error:
        raise SourceError("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"not the JSON that was expected: {error}") from error
