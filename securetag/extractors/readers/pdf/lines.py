"""Convert lines in reading order to headings, paragraphs, lists, code and tables in Markdown. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from securetag.extractors.readers.pdf.code import mark_listings, render_listing
from securetag.extractors.readers.pdf.headings import Headings
from securetag.extractors.readers.pdf.notes import find_notes, match_mark
from securetag.extractors.readers.pdf.pages import Line
from securetag.extractors.readers.pdf.tables import render_table
from securetag.extractors.text import prose

_BULLET = re.compile(r"^[•▪●○◦‣·∙□■◼◆➢❖✓]\s*|^[o§]\s+(?=[^\W\d_])|^[–—-]\s+")
_ORDERED = re.compile(r"^(?:\d{1,2}[.)]|\(?[a-z]\)|[a-z]\.)\s+")
_LIST_ITEM = re.compile(rf"{_BULLET.pattern}|{_ORDERED.pattern}")
_SENTENCE_END = re.compile(r"[.!?:;]['\"”’)\]]*$")
#: Minimum distance of lines that is taken for usual, percent of their size.
MIN_PITCH = 115
_BROKEN_WORD = re.compile(r"([^\W\d_]{2,})-$")
#: Where a heading that wraps was broken inside a word.
_HYPHEN = re.compile(r"(?<=[^\W\d_]-) (?=[^\W\d_])")
_HAS_WORD = re.compile(r"\w")
_LETTERS = re.compile(r"[^\W\d_]+")
#: Second halves of compounds that English writes with a hyphen.
_HYPHENATED_SECOND_HALVES = frozenset((
    "aware", "based", "driven", "specific", "level", "side", "oriented", "party", "only", "free",
    "friendly", "like", "wide", "safe", "related", "encoded", "generated", "defined", "supplied",
    "provided", "controlled", "facing", "effective", "known", "party", "byte", "term", "world", "case",
))  # fmt: skip
#: Halves that are words too, but hardly ever part of a compound with a hyphen.
_NOT_FIRST_HALVES, _NOT_SECOND_HALVES = (
    frozenset(("com", "con", "dis", "for", "per")),
    frozenset(("able", "ping", "pose", "ting")),
)
_TO_BLANKS = str.maketrans(dict.fromkeys(".,;:!?()[]{}<>/\\|\"'`“”‘’«»…=+*&%$#@_•–—0123456789", " "))
#: Tags, short texts between two of them, and character entities: in a PDF they are text, never markup.
_MARKUP = re.compile(
    r"</?[A-Za-z][\w:-]*(?:\s[^<>\n]*)?/?>(?:[^<>\n]{0,60}</?[A-Za-z][\w:-]*(?:\s[^<>\n]*)?/?>)*"
    r"|<!--.{0,300}?-->|&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});|xhtml:\S*"
)
#: An address that continues on the next line.
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+$")


def join_rows(rows: Iterable[list[Line]]) -> list[Line]:
    """Return one line a row: the number of a heading and its words are separate on the page."""
    return mark_listings([row[0] if len(row) == 1 else _join_row(row) for row in rows])


def _join_row(row: list[Line]) -> Line:
    longest = max(row, key=lambda line: len(line.text))
    mono = all(line.mono for line in row)
    return Line(
        row[0].x0,
        min(line.y0 for line in row),
        row[-1].x1,
        max(line.y1 for line in row),
        longest.size,
        all(line.bold for line in row),
        mono,
        ("   " if mono else " ").join(line.text for line in row),
    )


class Flow:
    """One pass over all pages, with its state: an open paragraph, an open listing, collected footnotes."""

    def __init__(self, pages: list[list[Line]], headings: Headings, body: int) -> None:
        self._pages = pages
        self._headings = headings
        self._body = body
        self._pitch = max(MIN_PITCH, measure_pitch(pages, body))
        self._words = Words(pages)
        self._paragraph: list[str] = []
        self._code: list[Line] = []
        self._notes: list[str] = []
        self._note_number = 0
        self._header: list[str] | None = None
        self._begun = 1

    def items(self) -> Iterator[tuple[int, str, int]]:
        """Yield (level, text, page) in order: level 0 is a block of Markdown, above 0 a heading."""
        for number, lines in enumerate(self._pages):
            yield from self._page(number, lines)
        yield from self._close()
        yield from self._footnotes(len(self._pages))

    def _page(self, number: int, lines: list[Line]) -> Iterator[tuple[int, str, int]]:
        notes = find_notes(lines, self._body)
        self._note_number = 0
        last: Line | None = None
        skip = 0
        for index, line in enumerate(lines):
            if skip:
                skip -= 1
                continue
            if heading := self._headings.get((number, index)):
                yield from self._close()
                yield from self._footnotes(number + 1)
                if heading[0]:  # else the title, which all sections have
                    yield heading[0], join_lines(_HYPHEN.split(heading[1]), self._words), number + 1
                skip, last, self._header = heading[2] - 1, None, None
            elif line.table:
                yield from self._close()
                yield 0, f"\n{self._table(line.table, first=last is None)}\n", number + 1
                last = line
            elif index in notes:
                self._note(line.text)
            elif line.mono:
                yield from self._close_paragraph()
                self._begun = self._begun if self._code else number + 1
                self._code.append(line)
                last = line
            else:
                yield from self._close_code()
                if self._paragraph and _starts_paragraph(line, last, self._paragraph[-1], self._pitch):
                    yield from self._close_paragraph()
                if not self._paragraph:
                    self._begun = number + 1
                self._paragraph.append(line.text)
                last = line

    def _close(self) -> Iterator[tuple[int, str, int]]:
        yield from self._close_paragraph()
        yield from self._close_code()

    def _close_paragraph(self) -> Iterator[tuple[int, str, int]]:
        if len(self._paragraph) > 1 or (self._paragraph and _HAS_WORD.search(self._paragraph[0])):
            text = escape_markup(join_lines(self._paragraph, self._words))
            yield (
                0,
                (text if text[0].isalnum() and text[0] != "o" else _BULLET.sub("- ", text)) + "\n",
                self._begun,
            )
        self._paragraph = []

    def _close_code(self) -> Iterator[tuple[int, str, int]]:
        if self._code:
            yield 0, render_listing(self._code) + "\n", self._begun
            self._code = []

    def _table(self, rows: list[list[str]], *, first: bool) -> str:
        """Return a table; one that is `first` on its page may continue the table of the previous page."""
        before = self._header
        goes_on = first and before is not None and len(before) == len(rows[0])
        if not goes_on:
            self._header = rows[0]
        cells = [[escape_markup(cell) for cell in row] for row in rows]
        return render_table(cells, [escape_markup(cell) for cell in before] if goes_on and before else None)

    def _note(self, text: str) -> None:
        """Collect a line of a footnote: a mark begins another, other text continues the last."""
        mark = match_mark(text, self._note_number)
        if mark or not self._notes:
            start, self._note_number = mark or (0, self._note_number)
            self._notes.append(text[start:])
        else:
            self._notes[-1] = join_lines([self._notes[-1], text], self._words)

    def _footnotes(self, page: int) -> Iterator[tuple[int, str, int]]:
        notes, self._notes = self._notes, []
        yield from ((0, escape_markup(note) + "\n", page) for note in notes)


def escape_markup(text: str) -> str:
    """Return literal text as Markdown: what looks like markup becomes a code span."""
    if "<" in text or "&" in text or "xhtml:" in text:
        text = "".join(
            piece if is_code else _MARKUP.sub(lambda match: prose.make_code_span(match[0]), piece)
            for is_code, piece in prose.iter_segments(text)
        )
    return f"\\{text}" if text.startswith(("#", "|")) else text


def measure_pitch(pages: list[list[Line]], body: int) -> int:
    """Return the usual distance of two lines of a paragraph, percent of their size; 120 without any."""
    distances: Counter[int] = Counter()
    for lines in pages:
        wide = _measure_width(lines, body)
        for above, line in pairwise(lines):
            if line.size != body or above.size != body or (above.x1 - above.x0) * 10 < wide * 8:
                continue  # lines that are short end paragraphs, or are of a list or a listing
            distance = line.y1 - above.y1
            if body * 9 < distance * 10 < body * 25:
                distances[distance * 50 // body * 2] += 1
    return distances.most_common(1)[0][0] if distances else 120


def _measure_width(lines: list[Line], body: int) -> int:
    """Return the width of a full line of a page in the body's size: nine of ten are narrower."""
    widths = sorted(line.x1 - line.x0 for line in lines if line.size == body)
    return widths[len(widths) * 9 // 10] if widths else 0


def _starts_paragraph(line: Line, last: Line | None, before: str, pitch: int) -> bool:
    """Whether `line` begins a paragraph, given the line above it on the page (None: a new page)."""
    if _LIST_ITEM.match(line.text):
        return True
    if last is None:
        return bool(_SENTENCE_END.search(before)) or (
            line.text[:1].isupper() and not _BROKEN_WORD.search(before)
        )
    if line.y1 < last.y0:  # the top of the next column
        return bool(_SENTENCE_END.search(before))
    if line.size == last.size:  # most lines: their feet are as far apart as their baselines
        return (line.y1 - last.y1) * 10_000 > 124 * line.size * pitch
    usual = max(line.size, last.size) * pitch
    return (line.baseline - last.baseline) * 10_000 > 124 * usual or abs(line.size - last.size) > 15


class Words:
    """The number of times that the document writes a word inside its lines, which decides about hyphens."""

    def __init__(self, pages: list[list[Line]]) -> None:
        self._pages = pages
        self._counts: Counter[str] | None = None
        self._prefixes: set[str] = set()

    def _counted(self) -> Counter[str]:
        if self._counts is None:
            texts, broken = list[str](), False
            for line in chain.from_iterable(self._pages):
                text = line.text.partition(" ")[2] if broken else line.text
                if broken := text.endswith("-"):  # what a line's end may have broken is no evidence
                    text = text.rpartition(" ")[0]
                texts.append(text)
            self._counts = Counter(" ".join(texts).lower().translate(_TO_BLANKS).split())
            self._prefixes = {word.partition("-")[0] for word in self._counts if "-" in word}
        return self._counts

    def keep_hyphen(self, first_half: str, second_half: str) -> bool:
        """Whether a hyphen at a line's end belongs to the word.

        True for `cost` + `effective`, False for `appli` + `cations`.
        """
        first_half, second_half = first_half.lower(), second_half.lower()
        counts = self._counted()
        joined_count, hyphenated_count = (
            counts[first_half + second_half],
            counts[f"{first_half}-{second_half}"],
        )
        if joined_count or hyphenated_count:
            return hyphenated_count > joined_count
        if second_half in _HYPHENATED_SECOND_HALVES and len(first_half) > 2:
            return True
        if (
            len(first_half) < 3
            or len(second_half) < 4
            or first_half in _NOT_FIRST_HALVES
            or second_half in _NOT_SECOND_HALVES
            or not counts[second_half]
        ):
            return False
        return first_half in self._prefixes or counts[first_half] > 1


def join_lines(lines: Iterable[str], words: Words) -> str:
    """Return a paragraph from its lines, with words that hyphens broke rejoined."""
    text = ""
    for line in lines:
        if not text:
            text = line
        elif text[-1] != "-":
            text = f"{text}{line}" if text[-1] in "/=&?_%" and _ADDRESS.search(text) else f"{text} {line}"
        elif (
            (broken := _BROKEN_WORD.search(text)) and line[0].islower() and (follows := _LETTERS.match(line))
        ):
            text = (text if words.keep_hyphen(broken[1], follows[0]) else text[:-1]) + line
        elif text[-2:-1].isalnum() and line[:1].isalnum():
            text += line  # `AES-` + `128`, `Diffie-` + `Hellman`
        else:
            text = f"{text} {line}"
    return text
