"""Find where sections begin: by the outline's headings on the page, else by the type. Pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from securetag.extractors.readers.pdf.pages import Line, PdfDocument

#: (page, line) from 0 → (level, title, number of lines).
Headings = dict[tuple[int, int], tuple[int, str, int]]

_NUMBERED = re.compile(
    r"^([A-Z]?\d{1,2}(?:\.\d{1,3}){0,4}|[A-Z](?:\.\d{1,3}){1,4})[.:]?\s+\S|^(?:Appendix|Annex|Apéndice|Anexo)\s+[A-Z\d]\b"
)
_SENTENCE = re.compile(r"[.,;:]['\"”’)\]]*$")
_LETTERS = re.compile(r"[^\W\d_]{3}")
#: Items of lists, and visible markup.
_ITEM = re.compile(r"[•▪●○◦‣·∙□■◼◆➢❖✓–—<{$%.-]|[o§]\s+\w|\S*https?://")
_NOT_WORD = re.compile(r"[\W_]+")
#: Maximum words of a large or bold line that is a heading.
MAX_HEADING_WORDS = 14


def find_headings(document: PdfDocument, pages: list[list[Line]], body: int) -> Headings:
    """Return the headings of the outline or of the type; `body` is the font size of most characters."""
    headings = _find_outline_headings(document, pages)
    # An outline that names pages and no headings (bookmarks of a scan) is worth less than the type.
    return (
        headings
        if len(headings) >= max(3, len(document.toc) // 2)
        else _find_typographic_headings(pages, body)
    )


def _normalize(text: str) -> str:
    return _NOT_WORD.sub("", text.lower())


def _find_outline_headings(document: PdfDocument, pages: list[list[Line]]) -> Headings:
    headings: Headings = {}
    plain: dict[int, list[str]] = {}
    for level, title, page in document.toc:
        wanted = _normalize(title)
        if not wanted or not 1 <= page <= len(pages):
            continue
        for number in (page - 1, page):
            if number >= len(pages):
                continue
            if number not in plain:
                plain[number] = ["" if line.table else _normalize(line.text) for line in pages[number]]
            if place := _find(wanted, plain[number], number, headings):
                headings[number, place[0]] = (level, " ".join(title.split()), place[1])
                break
    return headings


def _find(wanted: str, lines: list[str], page: int, taken: Headings) -> tuple[int, int] | None:
    """Return (line, number of lines) of a heading of the outline, over up to four lines."""
    for start, first in enumerate(lines):
        if not first or (page, start) in taken:
            continue
        joined = ""
        for count, part in enumerate(lines[start : start + 4], 1):
            joined += part
            bare = joined.lstrip("0123456789")
            if joined == wanted or (len(wanted) > 8 and bare == wanted):
                return start, count
            if not wanted.startswith((joined, bare)) or not part:
                break
    return None


def _find_typographic_headings(pages: list[list[Line]], body: int) -> Headings:
    """Return the larger or bold lines; the level is the rank of the size, at least the number's depth."""
    candidates = list(_list_candidates(pages, body))
    ranks = _rank_sizes([line.size for _, _, line, _ in candidates])
    headings: Headings = {}
    last: tuple[int, int] | None = None
    for page, index, line, depth in candidates:
        small = line.size < body * 1.05
        level = min(6, max(depth, ranks[line.size] + small))
        before = headings[last] if last and last[0] == page else None
        if small and not depth and before and last and last[1] + before[2] == index and before[0] >= level:
            level = min(6, before[0] + 1)  # headings right under each other: the second is inside the first
        if last and before and last[1] + before[2] == index and not depth and level - before[0] in (0, 1):
            above = pages[page][index - 1]
            wrapped = not small or _fills_column(pages[page], above)
            is_same_size = abs(above.size - line.size) <= line.size // 20
            if wrapped and is_same_size and line.y0 - above.y1 < line.size * 0.6:
                headings[last] = (before[0], f"{before[1]} {line.text}", before[2] + 1)
                continue
        last = (page, index)
        headings[last] = (level, line.text, 1)
    return headings


def _rank_sizes(sizes: list[int]) -> dict[int, int]:
    """Return size → 1 for the largest, 2 for the next, …

    Sizes within 6 % of each other have one rank. A size that only one line has (a cover, a figure) makes
    no rank.
    """
    ranks: dict[int, int] = {}
    rank, above, lines = 0, 0, 0
    for size, count in sorted(Counter(sizes).items(), reverse=True):
        if not rank or (size < above * 0.94 and lines > 1):
            rank, above, lines = rank + 1, size, 0
        lines += count
        ranks[size] = rank
    return ranks


def _list_candidates(pages: list[list[Line]], body: int) -> Iterator[tuple[int, int, Line, int]]:
    """Yield (page, line number, line, depth of its section number or 0)."""
    large, larger, smallest = body * 1.15, body * 1.05, body * 0.95
    for page, lines in enumerate(pages):
        for index, line in enumerate(lines):
            if line.table or line.mono or not (line.size >= large or (line.bold and line.size >= smallest)):
                continue
            text = line.text
            if len(text.split()) > MAX_HEADING_WORDS or not _LETTERS.search(text) or _ITEM.match(text):
                continue
            numbered = _NUMBERED.match(text)
            if line.size < large and not numbered and line.size < larger and not _stands_alone(lines, index):
                continue
            yield page, index, line, (numbered[1] or "").count(".") + 1 if numbered else 0


def _stands_alone(lines: list[Line], index: int) -> bool:
    """Whether a bold line of the body's size is separate, and neither a sentence nor a file name."""
    line = lines[index]
    if _SENTENCE.search(line.text) or len(line.text.split()) > 10 or not line.text[0].isupper():
        return False
    above = lines[index - 1] if index else None
    below = lines[index + 1] if index + 1 < len(lines) else None
    if below is None or below.table or (_is_similar(below, line) and _fills_column(lines, line)):
        return False
    return above is None or not _is_similar(above, line) or not _fills_column(lines, above)


def _is_similar(other: Line, line: Line) -> bool:
    """Whether both lines are bold, of one size, and close to each other."""
    near = abs(other.y0 - line.y0) < 2 * (line.y1 - line.y0)
    return other.bold and not other.table and near and abs(other.size - line.size) * 20 <= line.size


def _fills_column(lines: list[Line], line: Line) -> bool:
    """Whether the line fills its column, so that it may continue in the next line."""
    widths = sorted(other.x1 - other.x0 for other in lines if not other.table)
    return line.x1 - line.x0 > 0.8 * widths[len(widths) * 3 // 4]
