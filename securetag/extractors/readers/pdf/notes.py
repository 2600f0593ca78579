"""Tell footnotes from the text above them: small print with a mark at the end of a column. Pure."""

from __future__ import annotations

import re

from securetag.extractors.readers.pdf.pages import Line

#: Sizes below which the end of a page is small print, and print with a mark a note; percent of the body's.
SMALL_PERCENT, MARKED_PERCENT = 90, 97
#: The mark that begins a note.
NOTE_MARK = re.compile(
    r"(?:\[(?P<bracketed>\d{1,3})\]|(?P<number>\d{1,3})(?!\d)|[*†‡§¶]{1,3})[.)]?\s*(?=[^\W_]|[\"'“‘(\[])"
)
#: Maximum distance of the numbers of two notes that follow each other on a page.
MAX_NUMBER_STEP = 3


def find_notes(lines: list[Line], body: int) -> set[int]:
    """Return the indexes of the lines of a page that belong to footnotes."""
    notes: set[int] = set()
    if not any(_is_small(line, body, MARKED_PERCENT) for line in lines):
        return notes
    end = len(lines)
    while end > 0:
        start = _find_column_start(lines, end)
        first = _find_first_note(lines, start, end, body)
        if first > 0:  # a page all in small print is a page, not a footnote
            notes.update(range(first, end))
        end = start
    return notes


def _find_column_start(lines: list[Line], end: int) -> int:
    """Return the first line of the column that ends before `end`; its lines follow each other downwards."""
    start = end - 1
    while start > 0 and lines[start - 1].baseline <= lines[start].baseline + lines[start].size // 2:
        start -= 1
    return start


def _find_first_note(lines: list[Line], start: int, end: int, body: int) -> int:
    """Return the first line of the notes at the end of a column; `end` without notes."""
    small = marked = end
    index = end
    while index > start and _is_small(lines[index - 1], body, MARKED_PERCENT):
        index -= 1
        if NOTE_MARK.match(lines[index].text) and _is_separate(lines, index, start):
            marked = index
        if small == index + 1 and _is_small(lines[index], body, SMALL_PERCENT):
            small = index
    is_last_column = end == len(lines)
    return min(marked, small) if is_last_column else marked


def match_mark(text: str, last_number: int) -> tuple[int, int] | None:
    """Return (where the note's text begins, its number), or None for text that continues the note above.

    `last_number` is that of the note above on the page, 0 without one. A line of a note may begin with a
    number (`[45].`, `131A`), which isn't the next one. A mark that is no number has the number of the note
    above.
    """
    match = NOTE_MARK.match(text)
    if not match:
        return None
    digits = match["number"] or match["bracketed"]
    number = int(digits) if digits else last_number
    is_next = not digits or not last_number or last_number < number <= last_number + MAX_NUMBER_STEP
    return (match.end(), number) if is_next else None


def _is_small(line: Line, body: int, percent: int) -> bool:
    return not line.table and not line.mono and line.size * 100 <= body * percent


def _is_separate(lines: list[Line], index: int, start: int) -> bool:
    """Whether the line above is larger, farther than a line, or itself of a note."""
    if index == start:
        return True
    above, line = lines[index - 1], lines[index]
    is_larger = above.table or above.size * 100 > line.size * 103
    return bool(is_larger) or line.baseline - above.baseline > 14 * line.size // 10
