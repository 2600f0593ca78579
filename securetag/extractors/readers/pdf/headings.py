"""Where sections begin: headings of the outline found again on the page, else told by their type. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from securetag.extractors.readers.pdf.pages import Line, PdfDocument

#: (page, line) from 0 → (level, title, lines taken).
Headings = dict[tuple[int, int], tuple[int, str, int]]

_NUMBERED = re.compile(
    r"^([A-Z]?\d{1,2}(?:\.\d{1,3}){0,4}|[A-Z](?:\.\d{1,3}){1,4})[.:]?\s+\S|^(?:Appendix|Annex|Apéndice|Anexo)\s+[A-Z\d]\b"
)
_SENTENCE = re.compile(r"[.,;:]['\"”’)\]]*$")
_LETTERS = re.compile(r"[^\W\d_]{3}")
#: Items of lists, and markup that is shown.
_ITEM = re.compile(r"[•▪●○◦‣·∙□■◼◆➢❖✓–—<{$%.-]|[o§]\s+\w|\S*https?://")
_NO_WORD = re.compile(r"[\W_]+")
#: Words beyond which a large or bold line is no heading.
_MOST_WORDS = 14


def headings_of(document: PdfDocument, pages: list[list[Line]], body: int) -> Headings:
    """Headings from the outline or from the type; `body` is the size of most characters."""
    found = _from_outline(document, pages)
    # An outline that names pages and no headings (bookmarks of a scan) is worth less than the type.
    return found if len(found) >= max(3, len(document.toc) // 2) else _from_type(pages, body)


def _plain(text: str) -> str:
    return _NO_WORD.sub("", text.lower())


def _from_outline(document: PdfDocument, pages: list[list[Line]]) -> Headings:
    found: Headings = {}
    plain: dict[int, list[str]] = {}
    for level, title, page in document.toc:
        wanted = _plain(title)
        if not wanted or not 1 <= page <= len(pages):
            continue
        for number in (page - 1, page):
            if number >= len(pages):
                continue
            if number not in plain:
                plain[number] = ["" if line.table else _plain(line.text) for line in pages[number]]
            if place := _find(wanted, plain[number], number, found):
                found[number, place[0]] = (level, " ".join(title.split()), place[1])
                break
    return found


def _find(wanted: str, lines: list[str], page: int, taken: Headings) -> tuple[int, int] | None:
    """(line, lines taken) where a heading of the outline stands, over up to four lines."""
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


def _from_type(pages: list[list[Line]], body: int) -> Headings:
    """Larger or bold lines; the level is the rank of the size, and at least the number's depth."""
    candidates = list(_candidates(pages, body))
    ranks = _ranks([line.size for _, _, line, _ in candidates])
    found: Headings = {}
    last: tuple[int, int] | None = None
    for page, index, line, depth in candidates:
        small = line.size < body * 1.05
        level = min(6, max(depth, ranks[line.size] + small))
        before = found[last] if last and last[0] == page else None
        if small and not depth and before and last and last[1] + before[2] == index and before[0] >= level:
            level = min(6, before[0] + 1)  # headings right under each other: the second is inside the first
        if last and before and last[1] + before[2] == index and not depth and level - before[0] in (0, 1):
            above = pages[page][index - 1]
            wrapped = not small or _is_wide(pages[page], above)
            alike = abs(above.size - line.size) <= line.size // 20
            if wrapped and alike and line.y0 - above.y1 < line.size * 0.6:
                found[last] = (before[0], f"{before[1]} {line.text}", before[2] + 1)
                continue
        last = (page, index)
        found[last] = (level, line.text, 1)
    return found


def _ranks(sizes: list[int]) -> dict[int, int]:
    """Size → 1 for the largest, and so on; sizes within 6 % of each other are one, and one that a single
    line has (a cover, a figure) makes no rank of its own."""
    ranks: dict[int, int] = {}
    rank, above, lines = 0, 0, 0
    for size, count in sorted(Counter(sizes).items(), reverse=True):
        if not rank or (size < above * 0.94 and lines > 1):
            rank, above, lines = rank + 1, size, 0
        lines += count
        ranks[size] = rank
    return ranks


def _candidates(pages: list[list[Line]], body: int) -> Iterator[tuple[int, int, Line, int]]:
    """(page, line, the line, depth of its number or 0)."""
    large, larger, smallest = body * 1.15, body * 1.05, body * 0.95
    for page, lines in enumerate(pages):
        for index, line in enumerate(lines):
            if line.table or line.mono or not (line.size >= large or (line.bold and line.size >= smallest)):
                continue
            text = line.text
            if len(text.split()) > _MOST_WORDS or not _LETTERS.search(text) or _ITEM.match(text):
                continue
            numbered = _NUMBERED.match(text)
            if line.size < large and not numbered and line.size < larger and not _alone(lines, index):
                continue
            yield page, index, line, (numbered[1] or "").count(".") + 1 if numbered else 0


def _alone(lines: list[Line], index: int) -> bool:
    """True = a bold line of the body's size that stands for itself, no bold sentence or file's name."""
    line = lines[index]
    if _SENTENCE.search(line.text) or len(line.text.split()) > 10 or not line.text[0].isupper():
        return False
    above = lines[index - 1] if index else None
    below = lines[index + 1] if index + 1 < len(lines) else None
    if below is None or below.table or (_alike(below, line) and _is_wide(lines, line)):
        return False
    return above is None or not _alike(above, line) or not _is_wide(lines, above)


def _alike(other: Line, line: Line) -> bool:
    """True = bold type of one size, close to each other."""
    near = abs(other.y0 - line.y0) < 2 * (line.y1 - line.y0)
    return other.bold and not other.table and near and abs(other.size - line.size) * 20 <= line.size


def _is_wide(lines: list[Line], line: Line) -> bool:
    """True = the line fills its column, so that it may go on in the next."""
    widths = sorted(other.x1 - other.x0 for other in lines if not other.table)
    return line.x1 - line.x0 > 0.8 * widths[len(widths) * 3 // 4]
