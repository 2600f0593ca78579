"""Lines of a page → the same lines in reading order, without heads, feet and contents. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from securetag.extractors.readers.pdf.pages import Line, Page

#: Share of the page's height at its top and bottom where running heads and feet stand.
MARGIN = 0.1
#: Columns of the page's width in which text is counted to find the gutters between columns.
_BINS = 120
#: Lines, and characters of the average line, under which a strip beside others is no column of prose.
_COLUMN_LINES, _COLUMN_CHARS = 6, 14
_PAGE_NUMBER = re.compile(
    r"(?:page\s+|página\s+|[-–—|]\s*)?(?:\d{1,4}|[ivxlc]{1,7}|[A-Z]-\d{1,3})"
    r"(?:\s*(?:of|de|/|\|)\s*\d{1,4})?(?:\s*[-–—|])?",
    re.I,
)
_CONTENTS = re.compile(r"(?:^|- |– )(?:(?:table of )?contents|índice|(?:tabla de )?contenidos?)$")
_ENTRY = re.compile(r"(?:[.…]\s?){5,}\s*(?:\d{1,4}|[ivxlc]{1,7})?$")
_CALLED = ("contents", "índice", "contenido", "contenidos")
_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b")
_LEADERS = re.compile(r"(?:\.\s?){5,}|(?:…\s?){2,}|_{8,}")
_TO_A_PAGE = re.compile(r"[^\W\d].*\s\d{1,3}$")
#: What a line with leaders holds: looking for it first is ten times as quick.
_LEADING = ("..", ". .", "…", "____")


Running = set[tuple[str, int]]


def running_lines(pages: list[Page], body: int) -> Running:
    """(text, height on the page) of heads and feet: what several margins hold in one place. Digits of small
    lines are masked. An empty text stands for a place that holds nothing else."""
    texts: Counter[tuple[str, int]] = Counter()
    places: Counter[int] = Counter()
    for page in pages:
        found = {(_mask(line, body), _place(line)) for line in _split(page)[0]}
        texts.update(found)
        places.update({place for _, place in found})
    many = max(3, min(len(pages) // 20, 8))
    # A large line is masked to itself, and may well open several chapters.
    running = {key for key, count in texts.items() if count >= (3 if key[0].islower() else many)}
    held = Counter[int]()
    for key in running:
        held[key[1]] += texts[key]
    return running | {
        ("", place) for place, count in places.items() if count >= 8 and held[place] >= 0.7 * count
    }


def _place(line: Line) -> int:
    """In steps of 3 points."""
    return (line.y0 + line.y1) // 60


def _mask(line: Line, body: int) -> str:
    """A large line is a title unless it is the same on every page, number and all."""
    return line.text if line.size > 1.3 * body else _DIGITS.sub("#", line.text.lower())


def _split(page: Page) -> tuple[list[Line], list[Line]]:
    """(lines in the margins at head and foot, all others)."""
    head, foot = page.height * 2 * MARGIN, page.height * 2 * (1 - MARGIN)
    margin, inside = list[Line](), list[Line]()
    for line in page.lines:
        (inside if head < line.y0 + line.y1 < foot or line.table else margin).append(line)
    return margin, inside


def body_size(pages: list[Page]) -> int:
    """The type size of most characters outside margins and listings, tenths of a point."""
    counts: Counter[int] = Counter()
    for page in pages:
        for line in _split(page)[1]:
            if not line.mono:
                counts[line.size] += len(line.text)
    return counts.most_common(1)[0][0] if counts else 0


def is_contents(lines: list[Line], *, named: bool) -> bool:
    """True = most lines lead to a page number, or (`named`: the page calls itself so) are short titles."""
    texts = [line.text for line in lines if not line.table and len(line.text) > 3]
    if len(texts) < 6:
        return False
    led = [text for text in texts if text[-1].isdigit() or any(mark in text for mark in _LEADING)]
    # Without dots the number is a fragment of its own at the right, or ends the line.
    numbers = sum(len(line.text) <= 3 and line.text.isdigit() for line in lines)
    if not named and max(len(led), numbers) < 0.35 * len(texts):
        return False
    if sum(bool(_LEADERS.search(text)) for text in led) >= 0.4 * len(texts):
        return True
    ending = sum(bool(_TO_A_PAGE.search(text)) for text in led)
    if max(numbers, ending) >= (0.35 if named else 0.6) * len(texts):
        return True
    sentences = sum(text.endswith(".") for text in texts)
    return named and sum(map(len, texts)) < 60 * len(texts) and sentences < 0.1 * len(texts)


def leads_to_a_page(line: Line) -> bool:
    """True = an entry of a table of contents that shares its page with prose."""
    return any(mark in line.text for mark in _LEADING) and bool(_ENTRY.search(line.text))


def names_contents(page: Page) -> bool:
    """True = a head or heading of the page says that it holds contents."""
    short = (line.text.lower() for line in page.lines if len(line.text) < 60)
    return any(text.endswith(_CALLED) and bool(_CONTENTS.search(text)) for text in short)


def page_lines(page: Page, running: Running, body: int) -> list[Line]:
    """Lines of a page in reading order: rows joined, columns one after the other, margins gone."""
    margin, inside = _split(page)
    kept = [*(line for line in margin if not _runs(line, running, body) or _heads_table(line, page)), *inside]
    return kept if len(kept) < 2 else list(_ordered(kept, max(1, page.width), 0))


def _runs(line: Line, running: Running, body: int) -> bool:
    text, small = _mask(line, body), line.size <= 1.3 * body
    if small and _PAGE_NUMBER.fullmatch(line.text):
        return True
    place = _place(line)
    return (small and ("", place) in running) or any((text, near) in running for near in _near(place))


def _heads_table(line: Line, page: Page) -> bool:
    """True = one of three texts or more side by side, right above others: a table's header on every page."""
    height = line.y1 - line.y0
    beside = sum(abs(other.y0 - line.y0) < height // 2 for other in page.lines)
    return beside >= 3 and any(0 < other.y0 - line.y1 < 1.5 * height for other in page.lines)


def _near(place: int) -> tuple[int, int, int]:
    return place - 1, place, place + 1


def _ordered(lines: list[Line], width: int, depth: int) -> Iterator[Line]:
    gutters = _gutters(lines, width) if len(lines) >= 2 * _COLUMN_LINES and depth < 3 else []
    if not gutters:
        yield from sorted(lines, key=lambda line: (line.y0, line.x0))
        return
    for band in _bands(lines, gutters):
        if len(band) == 1:
            yield from sorted(band[0], key=lambda line: (line.y0, line.x0))
        else:
            for column in band:
                yield from _ordered(column, width, depth + 1)


def _bands(lines: list[Line], gutters: list[int]) -> Iterator[list[list[Line]]]:
    """From top to bottom: lines that run over a gutter (one list), the columns between them (several)."""
    columns: list[list[Line]] = [[] for _ in range(len(gutters) + 1)]
    across: list[Line] = []
    for line in sorted(lines, key=lambda line: line.y0):
        if any(line.x0 < gutter - 20 and line.x1 > gutter + 20 for gutter in gutters):
            if any(columns):
                yield columns
                columns = [[] for _ in range(len(gutters) + 1)]
            across.append(line)
            continue
        if across:
            yield [across]
            across = []
        columns[sum((line.x0 + line.x1) / 2 > gutter for gutter in gutters)].append(line)
    if across:
        yield [across]
    if any(columns):
        yield columns


def _gutters(lines: list[Line], width: int) -> list[int]:
    """Where columns of prose part, from the left; none on most pages."""
    right = 2 * width // 5
    if sum(line.x0 > right for line in lines) < _COLUMN_LINES:
        return []
    step = max(1, width // _BINS)
    edges = [0] * (width // step + 2)
    for line in lines:
        if 0 <= line.x0 <= line.x1 < width:
            edges[line.x0 // step] += 1
            edges[line.x1 // step + 1] -= 1
    cover, now = [], 0
    for edge in edges:
        now += edge
        cover.append(now)
    few = 0.3 * max(cover)
    found: list[int] = []
    for start, end in _valleys(cover, few):
        gutter = (start + end + 1) * step // 2
        if _parts(lines, gutter, found[-1] if found else 0):
            found.append(gutter)
    return found


def _valleys(cover: list[int], few: float) -> Iterator[tuple[int, int]]:
    """Runs of bins that little text covers, between bins that much does: their lowest stretch."""
    start = None
    for i, count in enumerate(cover):
        if count <= few:
            start = i if start is None else start
        elif start is not None:
            if start > 0 and any(count > few for count in cover[:start]):
                low = min(cover[start:i])
                bins = [j for j in range(start, i) if cover[j] == low]
                yield bins[0], bins[-1]
            start = None


def _parts(lines: list[Line], gutter: int, before: int) -> bool:
    """True = prose on both sides of the gutter, side by side."""
    left = [line for line in lines if line.x1 <= gutter + 20 and line.x0 >= before - 20]
    right = [line for line in lines if line.x0 >= gutter - 20]
    across = len(lines) - sum(line.x1 <= gutter + 20 or line.x0 >= gutter - 20 for line in lines)
    if min(len(left), len(right)) < _COLUMN_LINES or across > 0.4 * len(lines):
        return False
    if any(sum(len(line.text) for line in side) < _COLUMN_CHARS * len(side) for side in (left, right)):
        return False
    foot = min(max(line.y1 for line in side) for side in (left, right))
    head = max(min(line.y0 for line in side) for side in (left, right))
    return foot - head > 3 * max(line.size for line in left)
