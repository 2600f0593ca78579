"""The base class of readers: the bytes of one format → Records, drops and failures.

A reader implements `read_file`; one whose Records need other files (joins) also `prepare`. It never
fetches, and never decides what trains.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from securetag.errors import SecuretagError, SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.text import prose
from securetag.extractors.text.language import detect_language
from securetag.extractors.text.prose_check import is_license_text
from securetag.records import Facts, Record, Status, TextLang

T = TypeVar("T")


#: Minimum characters of a section; a shorter one is a stub such as "this content has moved".
MIN_SECTION_CHARS = 80


#: Headings of lists of what a document cites, without their number.
REFERENCE_HEADINGS = frozenset(
    {
        "references",
        "general references",
        "external references",
        "owasp references",
        "bibliography",
        "referencias",
        "bibliografía",
    }
)
_SECTION_NUMBER = re.compile(r"^(?:appendix\s+)?(?:[A-Z]|\d{1,2})(?:\.\d{1,3})*[\s.:–—-]+", re.I)
#: An address, or a year as bibliographies have it.
_CITATION = re.compile(r"https?://|www\.|\bdoi\b|\b(?:19|20)\d\d\b", re.I)


class Drop(msgspec.Struct, frozen=True):
    """An item that was read and left out, and the reason."""

    reason: str
    locator: str = ""


Item = Record | Drop | Failure


class Reader(ABC):
    """Base of all readers. `source` gives provenance and options."""

    def __init__(self, source: Source) -> None:
        self.source = source
        #: Column of a row that no field of the mapping takes → number of rows that have it.
        self.unmapped_columns: Counter[str] = Counter()

    #: CPU-seconds of child processes that still run, so that the system hasn't added them to ours.
    child_cpu_s: float = 0.0

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:  # noqa: ARG002
        """Inspect all files before any is read; yield a failure for each that can't be read."""
        yield from ()

    @abstractmethod
    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        """Yield the items of one file. Raises SourceError when the file isn't of the reader's format."""

    def read(self, files: Sequence[FetchedFile]) -> Iterator[Item]:
        """Yield the items of all files; an error in one file becomes a failure and stops no other file."""
        broken_paths = set()
        for failure in self.prepare(files):
            broken_paths.add(failure.file)
            yield failure
        for file in files:
            if str(file.path) in broken_paths:
                continue
            try:
                yield from self.read_file(file)
            except RecursionError:
                yield Failure(str(file.path), "", "nested too deeply")
            except Exception as error:  # whatever a file provokes is a row of the report, with its name
                yield Failure(str(file.path), "", describe_error(error))

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
        is_lang_certain: bool = False,
        licence: str = "",
    ) -> Record | Drop:
        """Return a Record of this source, or a Drop without a text. `text` must be clean Markdown.

        `lang` is the language that the publication names for this item, by default the source's; the
        language that the text is detected to be in wins. With `is_lang_certain` nothing is detected: the
        reader has done so for the prose without the tables and lists that it adds. `licence` is that of the
        item, where it isn't the file's.
        """
        if not text.strip():
            return Drop("no text", locator)
        lang = lang or self.source.lang
        return Record.of(
            source=self.source.name,
            publisher=self.source.publisher,
            key=key,
            title=prose.clean_line(title),
            text=text,
            lang=lang if is_lang_certain else detect_language(text, lang),
            url=url or file.url,
            edition=file.edition,
            licence=licence or file.licence,
            file_sha256=file.sha256,
            locator=locator,
            facts=facts,
            status=status,
        )

    def section_record(
        self,
        file: FetchedFile,
        stem: str,
        path: Sequence[str],
        text: str,
        seen: Counter[str],
        *,
        locator: str,
        title: str = "",
        url: str = "",
        lang: TextLang | None = None,
        is_lang_certain: bool = False,
    ) -> Item:
        """Return a section of a document as a Record, or a Drop where it is too short.

        `path` holds the headings from the document's title down; `seen` counts the keys of the document.
        The Record's title is `title`, by default the first and the last of the headings.
        """
        if len(text) < MIN_SECTION_CHARS:
            return Drop(f"shorter than {MIN_SECTION_CHARS} characters", locator)
        if is_license_text(text):
            return Drop("a license text", locator)
        if is_reference_list(path, text):
            return Drop("a list of references", locator)
        key = make_section_key(stem, path)
        seen[key] += 1
        return self.record(
            file,
            key=key if seen[key] == 1 else f"{key}-{seen[key]}",
            title=title or ": ".join(dict.fromkeys([path[0], path[-1]])),
            text=text,
            locator=locator,
            url=url,
            facts=Facts(kind="section", section=list(path)),
            lang=lang,
            is_lang_certain=is_lang_certain,
        )


def is_reference_list(path: Sequence[str], text: str) -> bool:
    """Whether a section below a heading of references cites: most of its lines have an address or a year."""
    headings = {_SECTION_NUMBER.sub("", title).strip(" :").lower() for title in path[1:]}
    if not headings & REFERENCE_HEADINGS:
        return False
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return 2 * sum(bool(_CITATION.search(line)) for line in lines) >= len(lines)


def make_section_key(stem: str, path: Sequence[str]) -> str:
    """Return the key of a section of the document `stem`; `path` holds the headings from its title down."""
    return f"{stem}#{'/'.join(make_slug(title) for title in path[1:])}" if len(path) > 1 else stem


def make_slug(heading: str) -> str:
    """Return a heading in lower case words with hyphens, close to GitHub's anchors. Keys depend on it."""
    return "-".join(re.findall(r"\w+", heading.lower())) or "section"


def describe_error(error: BaseException) -> str:
    """Return one line for a report: message and next step of our errors, type and message of others."""
    text = " ".join(str(error).split())[:300]
    if not isinstance(error, SecuretagError) or not text:
        return f"{type(error).__name__}: {text}"
    return f"{text} ({error.hint})" if error.hint else text


def read_bytes(file: FetchedFile) -> bytes:
    """Return the bytes of a file. Raises SourceError."""
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise SourceError(f"{file.path}: {error.strerror}") from error


def read_text(file: FetchedFile) -> str:
    """Return the file as text without a BOM: UTF-8, UTF-16 with a BOM, else Windows-1252.

    Raises SourceError.
    """
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


def refuse_many_values(data: bytes, max_values: int) -> None:
    """Raise SourceError for JSON that may hold more than `max_values` values of up to 400 bytes each."""
    if (count := sum(data.count(mark) for mark in (b",", b"{", b"["))) > max_values:
        raise SourceError(f"JSON that may hold {count:,} values, and {max_values:,} are read")


def decode_json(data: bytes, kind: type[T]) -> T:
    """Return JSON as a value of the type `kind`. Raises SourceError that says where it doesn't fit."""
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=kind)
    except RecursionError as error:
        raise SourceError("nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"not the JSON that was expected: {error}") from error
