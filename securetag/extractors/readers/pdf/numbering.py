"""Find headings that only their numbers show: Roman sections of papers, numbers in plain type. Pure.

Such a heading has the size of the text and is not bold. It counts only in a sequence, `I.`, `II.`, `III.` or
`1`, `1.1`, `2`, which lists and citations don't make over a whole document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from securetag.extractors.readers.pdf.pages import Line

#: (page, line) from 0 → level.
NumberedLines = dict[tuple[int, int], int]

#: Minimum headings of a sequence.
MIN_NUMBERED = 3
#: Maximum words of such a heading.
MAX_NUMBERED_WORDS = 12
_ROMAN = re.compile(r"(?P<number>X{0,3}(?:IX|IV|V?I{0,3}))\.\s+(?P<words>[^\W\d_].*)")
_LETTER = re.compile(r"(?P<number>[A-Z])\.\s+(?P<words>[^\W\d_].*)")
_ARABIC = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+(?P<words>[A-ZÁÉÍÓÚÑ].*)")
_UNNUMBERED = re.compile(
    r"(?:ABSTRACT|ACKNOWLEDGE?MENTS?|REFERENCES|APPENDI(?:X|CES)(?: [A-Z])?"
    r"|RESUMEN|REFERENCIAS|AGRADECIMIENTOS)"
)
_SENTENCE_END = re.compile(r"[.,;:]$")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}


def find_roman_sections(pages: list[list[Line]]) -> NumberedLines:
    """Return the sections `I.`, `II.`, … and their subsections `A.`, `B.`, …; empty without three of them."""
    numbered: NumberedLines = {}
    section, letter = 0, 0
    for place, line in _list_short_lines(pages):
        roman, lettered = _ROMAN.fullmatch(line.text), _LETTER.fullmatch(line.text)
        if roman and _parse_roman(roman["number"]) == section + 1 and _is_set_off(line, roman["words"]):
            section, letter = section + 1, 0
            numbered[place] = 1
        elif lettered and section and ord(lettered["number"]) - 64 == letter + 1:
            if line.italic or line.bold:
                letter += 1
                numbered[place] = 2
        elif section and _UNNUMBERED.fullmatch(line.text):
            numbered[place] = 1
    return numbered if section >= MIN_NUMBERED else {}


def find_arabic_sections(pages: list[list[Line]]) -> NumberedLines:
    """Return the sections `1`, `1.1`, `2`, … in plain type with space around; empty without three of them."""
    numbered: NumberedLines = {}
    last: tuple[int, ...] = (0,)
    for place, line in _list_short_lines(pages):
        match = _ARABIC.fullmatch(line.text)
        if not match or not _has_space_around(pages[place[0]], place[1]):
            continue
        number = tuple(map(int, match["number"].split(".")))
        if number in _list_next_numbers(last):
            numbered[place] = len(number)
            last = number
    return numbered if len(numbered) >= MIN_NUMBERED else {}


def _list_short_lines(pages: list[list[Line]]) -> Iterator[tuple[tuple[int, int], Line]]:
    """Yield (place, line) of the lines that may be headings."""
    for page, lines in enumerate(pages):
        for index, line in enumerate(lines):
            is_prose = line.table or line.mono or len(line.text.split()) > MAX_NUMBERED_WORDS
            if not is_prose and not _SENTENCE_END.search(line.text):
                yield (page, index), line


def _parse_roman(number: str) -> int:
    values = [_ROMAN_VALUES[letter] for letter in number]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < following else value for value, following in pairs)


def _is_set_off(line: Line, words: str) -> bool:
    """Whether the words differ from prose: in capitals, bold or italic."""
    return line.bold or line.italic or words.upper() == words


def _list_next_numbers(last: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the numbers that may follow: the next of each depth, and the first one deeper."""
    yield (*last, 1)
    for depth in range(1, len(last) + 1):
        yield (*last[: depth - 1], last[depth - 1] + 1)


def _has_space_around(lines: list[Line], index: int) -> bool:
    """Whether more space than between two lines of a paragraph is above the line and below it."""
    line = lines[index]
    above = lines[index - 1] if index else None
    below = lines[index + 1] if index + 1 < len(lines) else None
    if below is None or below.table:
        return False
    space = 17 * line.size // 10
    over = above is None or above.baseline > line.baseline or line.baseline - above.baseline > space
    return over and below.baseline - line.baseline > space
