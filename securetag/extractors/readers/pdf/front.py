"""Tell the title, the authors and the abstract of a document from its sections. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from securetag.extractors.readers.pdf.pages import Line

#: Maximum words, and lines, of a title.
MAX_TITLE_WORDS, MAX_TITLE_LINES = 30, 4
#: Minimum size of a title, tenths of the body's.
MIN_TITLE_SIZE = 12
#: Minimum characters of a line of prose; lines of names and addresses are shorter.
MIN_PROSE_CHARS = 60
_LETTERS = re.compile(r"[^\W\d_]{3}")
_NUMBERED = re.compile(r"(?:\d{1,2}(?:\.\d{1,2})*|[IVX]{1,4})\.?\s+\S")
#: Titles that a program wrote: its name, a file's name, or a placeholder.
_PROGRAM = re.compile(r"^microsoft (?:word|powerpoint|excel|office word|publisher)\s*[-–—]\s*", re.I)
_FILE_NAME = re.compile(
    r"\.(?:docx?|dotx?|odt|rtf|pptx?|odp|xlsx?|ods|tex|dvi|ps|eps|indd|qxd|pmd?|fm|book|pdf|html?|md|txt|pages|key)$",
    re.I,
)
_PLACEHOLDER = re.compile(
    r"(?:untitled|sin t[ií]tulo|no title|title|document|documento?|presentation|powerpoint presentation|"
    r"presentaci[oó]n(?: de powerpoint)?|slide|layout|book|template|print|untitled document)?\s*\d*",
    re.I,
)
_OPENING = re.compile(
    r"(?:(?:1|I)\.?\s+\S.*|abstract|summary|executive summary|introduction|foreword|preface|resumen"
    r"|introducción|résumé|zusammenfassung|prefacio)\W*",
    re.I,
)
_ABSTRACT = re.compile(r"abstract|resumen|résumé|zusammenfassung", re.I)
_RUN_IN_ABSTRACT = re.compile(
    r"(?P<name>abstract|resumen|résumé|zusammenfassung)\s*[.:—–-]+\s*(?P<rest>\S.*)", re.I
)


@dataclass(frozen=True)
class Title:
    """The title on the first page: its words, and the lines that hold them."""

    text: str
    first: int
    count: int

    @property
    def place(self) -> tuple[int, int]:
        """The page and the line where it begins."""
        return 0, self.first

    def is_largest(self, pages: list[list[Line]], places: Iterable[tuple[int, int]]) -> bool:
        """Whether the headings at the other places are all smaller, as those of sections are."""
        size = pages[0][self.first].size
        others = (place for place in places if place != self.place)
        return all(pages[page][line].size * 100 < size * 94 for page, line in others)


def is_title(text: str, stem: str) -> bool:
    """Whether the title in a file's metadata was written for readers: no file's name, no placeholder."""
    if len(_LETTERS.findall(text)) == 0 or _PROGRAM.match(text) or _FILE_NAME.search(text):
        return False
    return not _PLACEHOLDER.fullmatch(text.strip()) and _plain(text) != _plain(stem)


def strip_program(text: str) -> str:
    """Return a file's name in metadata without the program and the extension; empty for a placeholder."""
    text = _FILE_NAME.sub("", _PROGRAM.sub("", text)).strip()
    return "" if _PLACEHOLDER.fullmatch(text) else text


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def find_title(pages: list[list[Line]], body: int) -> Title | None:
    """Return the largest text of the first page, when it is larger than the body and no section's heading."""
    lines = pages[0] if pages else []
    sizes = [line.size for line in lines if not line.table and not line.mono and _LETTERS.search(line.text)]
    largest = max(sizes, default=0)
    if not largest or largest * 10 < body * MIN_TITLE_SIZE:
        return None
    like = [not line.table and line.size * 100 >= largest * 94 for line in lines]
    first = next(i for i, line in enumerate(lines) if like[i] and _LETTERS.search(line.text))
    end = first + 1
    while end < len(lines) and like[end] and lines[end].baseline - lines[end - 1].baseline < 2 * largest:
        end += 1
    text = " ".join(line.text for line in lines[first:end])
    if end - first > MAX_TITLE_LINES or not 1 < len(text.split()) <= MAX_TITLE_WORDS:
        return None
    return None if _NUMBERED.match(text) or _OPENING.fullmatch(text) else Title(text, first, end - first)


def find_author_lines(pages: list[list[Line]], title: Title) -> set[tuple[int, int]]:
    """Return the places between the title and the opening of the text: names and addresses, no sections.

    Empty where the opening isn't found, or prose is before it.
    """
    places: set[tuple[int, int]] = set()
    prose_lines = 0
    for place, line in _list_after(pages, title):
        if line.table or _OPENING.fullmatch(line.text):
            return places
        prose_lines += len(line.text) > MIN_PROSE_CHARS
        if prose_lines > 2:
            return set()
        places.add(place)
    return set()


def _list_after(pages: list[list[Line]], title: Title) -> Iterator[tuple[tuple[int, int], Line]]:
    for page, lines in enumerate(pages[:2]):
        for index, line in enumerate(lines):
            if page or index >= title.first + title.count:
                yield (page, index), line


def find_abstract(pages: list[list[Line]]) -> tuple[int, int] | None:
    """Return where the abstract's heading is; the word that opens its text (`Abstract — We`) is made one."""
    for page, lines in enumerate(pages[:2]):
        for index, line in enumerate(lines):
            if _ABSTRACT.fullmatch(line.text):
                return page, index
            if not (match := _RUN_IN_ABSTRACT.fullmatch(line.text)):
                continue
            cut = line.x0 + (line.x1 - line.x0) * match.start("rest") // len(line.text)
            name = Line(line.x0, line.y0, cut, line.y1, line.size, True, False, match["name"])
            rest = Line(cut, line.y0, line.x1, line.y1, line.size, line.bold, False, match["rest"])
            lines[index : index + 1] = [name, rest]
            return page, index
    return None
