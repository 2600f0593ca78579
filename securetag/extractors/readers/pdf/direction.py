"""Find text that is written from right to left. Pure.

A PDF holds glyphs at places. The order in which Arabic or Hebrew words, numbers and columns are read is not
restored here, so such lines are left out and counted.
"""

from __future__ import annotations

import re

from securetag.extractors.readers.pdf.pages import Line, Page

_LETTERS = re.compile(r"[^\W\d_]")
#: Hebrew to Arabic Extended-A, and the presentation forms of both.
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


def count_letters(text: str) -> tuple[int, int]:
    """Return (letters, those written from right to left)."""
    if text.isascii():
        return len(text), 0
    return len(_LETTERS.findall(text)), len(_RIGHT_TO_LEFT.findall(text))


def is_right_to_left(line: Line) -> bool:
    """Whether most letters of a line, or of a table, are written from right to left."""
    text = "".join(cell for row in line.table for cell in row) if line.table else line.text
    letters, turned = count_letters(text)
    return turned * 2 > letters


def remove_right_to_left(pages: list[Page]) -> tuple[list[int], float]:
    """Remove the lines written from right to left; return the pages (from 1) and the share of all letters."""
    numbers: list[int] = []
    removed_count = 0
    for number, page in enumerate(pages, 1):
        if all(line.text.isascii() and not line.table for line in page.lines):
            continue  # most pages
        removed = [line for line in page.lines if is_right_to_left(line)]
        if removed:
            numbers.append(number)
            removed_count += sum(len(line.text) for line in removed)
            page.lines = [line for line in page.lines if not is_right_to_left(line)]
    if not numbers:
        return [], 0.0
    kept_count = sum(len(line.text) for page in pages for line in page.lines)
    return numbers, removed_count / max(1, kept_count + removed_count)
