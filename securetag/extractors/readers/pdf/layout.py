"""Put the lines of a page in reading order, without heads, feet and tables of contents. Pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from securetag.extractors.readers.pdf.pages import Line, Page

#: Share of the page's height at its top and bottom that may hold running heads and feet.
MARGIN_SHARE = 0.1
#: Number of bins of the page's width in which text is counted to find gutters.
_WIDTH_BINS = 120
#: Minimum lines, and characters of the average line, of a column of prose.
_COLUMN_LINES, _COLUMN_CHARS = 6, 14
_PAGE_NUMBER = re.compile(
    r"(?:page\s+|página\s+|[-–—|]\s*)?(?:(?P<number>\d{1,4})|[ivxlc]{1,7}|[A-Z]-\d{1,3})"
    r"(?:\s*(?:of|de|/|\|)\s*\d{1,4})?(?:\s*[-–—|])?",
    re.I,
)
_CONTENTS = re.compile(r"(?:^|- |– )(?:(?:table of )?contents|índice|(?:tabla de )?contenidos?)$")
_CONTENTS_ENTRY = re.compile(r"(?:[.…]\s?){5,}\s*(?:\d{1,4}|[ivxlc]{1,7})?$")
_CONTENTS_WORDS = ("contents", "índice", "contenido", "contenidos")
#: Masked texts that many pages begin with and that are of none's head: a bullet, the number of a section.
_NOT_RUNNING = re.compile(r"[^\w#]{1,2}|#(?:\.#)+\.?")
_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b")
_LEADERS = re.compile(r"(?:\.\s?){5,}|(?:…\s?){2,}|_{8,}")
_LAST_NUMBER = re.compile(r"\d{1,3}$")
_ENDS_IN_PAGE_NUMBER = re.compile(r"[^\W\d].*\s\d{1,3}$")
#: Parts of leaders. Searching for them before the pattern is ten times as fast.
_LEADER_MARKS = ("..", ". .", "…", "____")


Running = set[tuple[str, int]]
#: The text of a place that holds the number of each page, which may be farther inside than a margin.
PAGE_MARK = "\0number"


def find_running_lines(pages: list[Page], body: int) -> Running:
    """Return (text, height step) of running heads and feet, which several margins have in one place.

    Digits of small lines are masked. An empty text means any text at that height.
    """
    texts: Counter[tuple[str, int]] = Counter()
    places: Counter[int] = Counter()
    for page in pages:
        margin = _split_margins(page)[0]
        keys = {(_mask_digits(line, body), _get_height_step(line)) for line in margin}
        texts.update(key for key in keys if not _NOT_RUNNING.fullmatch(key[0]))
        places.update({place for _, place in keys})
    min_pages = max(3, min(len(pages) // 20, 8))
    # A large line isn't masked, and several chapters may begin with the same one.
    running = {key for key, count in texts.items() if count >= (3 if key[0].islower() else min_pages)}
    running_counts = Counter[int]()
    for key in running:
        running_counts[key[1]] += texts[key]
    running |= _find_page_marks(pages)
    return running | {
        ("", place) for place, count in places.items() if count >= 8 and running_counts[place] >= 0.7 * count
    }


def _find_page_marks(pages: list[Page]) -> Running:
    """Return the places where several pages have their number, all as far from the page's own."""
    offsets: Counter[tuple[int, int]] = Counter()
    for index, page in enumerate(pages):
        numbered = ((line, _PAGE_NUMBER.fullmatch(line.text)) for line in page.lines if _is_short_mark(line))
        marks = {
            (_get_height_step(line), int(match["number"]) - index)
            for line, match in numbered
            if match and match["number"]
        }
        offsets.update(marks)
    min_pages = max(4, len(pages) // 5)
    return {(PAGE_MARK, place) for (place, _), count in offsets.items() if count >= min_pages}


def _is_short_mark(line: Line) -> bool:
    """Whether a line may be the number of a page: cheaper than the pattern, which most lines don't need."""
    return 0 < len(line.text) < 12 and (line.text[-1].isdigit() or line.text[-1] in "|-–—")


def _get_height_step(line: Line) -> int:
    """Return the height of a line on the page in steps of 3 points."""
    return (line.y0 + line.y1) // 60


def _mask_digits(line: Line, body: int) -> str:
    """Return the text with digits masked; a large line unchanged, since it is a title unless it repeats
    exactly.
    """
    return line.text if line.size > 1.3 * body else _DIGITS.sub("#", line.text.lower())


def _split_margins(page: Page) -> tuple[list[Line], list[Line]]:
    """Return (lines in the margins at head and foot, all others)."""
    head, foot = page.height * 2 * MARGIN_SHARE, page.height * 2 * (1 - MARGIN_SHARE)
    margin, inside = list[Line](), list[Line]()
    for line in page.lines:
        (inside if head < line.y0 + line.y1 < foot or line.table else margin).append(line)
    return margin, inside


def measure_body_size(pages: list[Page]) -> int:
    """Return the font size of most characters outside margins and listings, tenths of a point."""
    counts: Counter[int] = Counter()
    for page in pages:
        for line in _split_margins(page)[1]:
            if not line.mono:
                counts[line.size] += len(line.text)
    return counts.most_common(1)[0][0] if counts else 0


def is_contents(lines: list[Line], *, named: bool) -> bool:
    """Whether the lines are a table of contents: most lead to a page number, or are short titles.

    Short titles count only with `named`: the page has a heading that says so.
    """
    # The numbers of a listing are none of pages; a document may be all in one font, and its contents too.
    lines = [line for line in lines if not line.mono] or lines
    texts = [line.text for line in lines if not line.table and len(line.text) > 3]
    if len(texts) < 6:
        return False
    leading_texts = [
        text for text in texts if text[-1].isdigit() or any(mark in text for mark in _LEADER_MARKS)
    ]
    # Without dots the number is a separate text at the right, or the end of the line.
    numbers = sum(len(line.text) <= 3 and line.text.isdigit() for line in lines)
    if not named and max(len(leading_texts), numbers) < 0.35 * len(texts):
        return False
    if sum(bool(_LEADERS.search(text)) for text in leading_texts) >= 0.4 * len(texts):
        return True
    ending = sum(bool(_ENDS_IN_PAGE_NUMBER.search(text)) for text in leading_texts)
    if max(numbers, ending) >= (0.35 if named else 0.6) * len(texts):
        return named or _ascend(texts)
    sentences = sum(text.endswith(".") for text in texts)
    return named and sum(map(len, texts)) < 60 * len(texts) and sentences < 0.1 * len(texts)


def _ascend(texts: list[str]) -> bool:
    """Whether the numbers at the ends of lines grow, as those of pages do and those of a figure don't."""
    numbers = [int(match[0]) for text in texts if (match := _LAST_NUMBER.search(text))]
    return sum(first <= second for first, second in pairwise(numbers)) >= 0.8 * (len(numbers) - 1)


def is_contents_entry(line: Line) -> bool:
    """Whether a line is an entry of a table of contents that shares its page with prose."""
    return any(mark in line.text for mark in _LEADER_MARKS) and bool(_CONTENTS_ENTRY.search(line.text))


def has_contents_heading(page: Page) -> bool:
    """Whether a head or heading of the page names it a table of contents."""
    short = (line.text.lower() for line in page.lines if len(line.text) < 60)
    return any(text.endswith(_CONTENTS_WORDS) and bool(_CONTENTS.search(text)) for text in short)


def order_lines(page: Page, running: Running, body: int) -> list[Line]:
    """Return the lines of a page in reading order: columns one after the other, without margins."""
    margin, inside = _split_margins(page)
    kept = [
        *(
            line
            for line in margin
            if not _is_running_line(line, running, body) or _is_table_header(line, page)
        ),
        *(line for line in inside if not _is_page_mark(line, running)),
    ]
    if len(kept) < 2:
        return kept
    text, comments = _split_comments(kept, body)
    return [*_order_by_columns(text, max(1, page.width), 0), *sorted(comments, key=_place)]


def _split_comments(lines: list[Line], body: int) -> tuple[list[Line], list[Line]]:
    """Return (the text, comments beside it): small lines to the right of all text in the body's size."""
    small = [line for line in lines if line.size * 10 <= body * 9 and not line.table]
    edges = [line.x1 for line in lines if line.size == body] if small else []
    if len(edges) < _COLUMN_LINES:
        return lines, []
    edge = max(edges)
    comments = [line for line in small if line.x0 > edge]
    return [line for line in lines if line not in comments] if comments else lines, comments


def _is_page_mark(line: Line, running: Running) -> bool:
    if not _is_short_mark(line) or not _PAGE_NUMBER.fullmatch(line.text):
        return False
    return any((PAGE_MARK, place) in running for place in _get_neighbors(_get_height_step(line)))


def _is_running_line(line: Line, running: Running, body: int) -> bool:
    text, small = _mask_digits(line, body), line.size <= 1.3 * body
    if small and _PAGE_NUMBER.fullmatch(line.text):
        return True
    place = _get_height_step(line)
    return (small and ("", place) in running) or any(
        (text, near) in running for near in _get_neighbors(place)
    )


def _is_table_header(line: Line, page: Page) -> bool:
    """Whether a line is in a row of three or more texts, right above others: a repeated table header."""
    height = line.y1 - line.y0
    beside = sum(abs(other.y0 - line.y0) < height // 2 for other in page.lines)
    return beside >= 3 and any(0 < other.y0 - line.y1 < 1.5 * height for other in page.lines)


def _get_neighbors(place: int) -> tuple[int, int, int]:
    return place - 1, place, place + 1


def _place(line: Line) -> tuple[int, int]:
    """Return where a line stands: its baseline (tall boxes and large type begin higher), then its left."""
    return line.baseline, line.x0


def _order_by_columns(lines: list[Line], width: int, depth: int) -> Iterator[Line]:
    gutters = _find_gutters(lines, width) if len(lines) >= 2 * _COLUMN_LINES and depth < 3 else []
    if not gutters:
        yield from sorted(lines, key=_place)
        return
    for band in _split_bands(lines, gutters):
        if len(band) == 1:
            yield from sorted(band[0], key=_place)
        else:
            for column in band:
                yield from _order_by_columns(column, width, depth + 1)


def _split_bands(lines: list[Line], gutters: list[int]) -> Iterator[list[list[Line]]]:
    """Yield bands from top to bottom: one list of lines that cross a gutter, or several columns."""
    columns: list[list[Line]] = [[] for _ in range(len(gutters) + 1)]
    across: list[Line] = []
    for line in sorted(lines, key=_place):
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


def _find_gutters(lines: list[Line], width: int) -> list[int]:
    """Return the x of the gutters between columns of prose, from the left; none on most pages."""
    right_part_x = 2 * width // 5
    if sum(line.x0 > right_part_x for line in lines) < _COLUMN_LINES:
        return []
    bin_width = max(1, width // _WIDTH_BINS)
    edges = [0] * (width // bin_width + 2)
    for line in lines:
        if 0 <= line.x0 <= line.x1 < width:
            edges[line.x0 // bin_width] += 1
            edges[line.x1 // bin_width + 1] -= 1
    coverage, covering = [], 0
    for edge in edges:
        covering += edge
        coverage.append(covering)
    max_gutter_coverage = 0.3 * max(coverage)
    gutters: list[int] = []
    for start, end in _find_valleys(coverage, max_gutter_coverage):
        gutter = (start + end + 1) * bin_width // 2
        if _separates_prose(lines, gutter, gutters[-1] if gutters else 0):
            gutters.append(gutter)
    return gutters


def _find_valleys(cover: list[int], few: float) -> Iterator[tuple[int, int]]:
    """Yield the lowest stretch of each run of bins with little text between bins with much."""
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


def _separates_prose(lines: list[Line], gutter: int, previous_gutter: int) -> bool:
    """Whether prose is on both sides of the gutter, side by side."""
    left_lines = [line for line in lines if line.x1 <= gutter + 20 and line.x0 >= previous_gutter - 20]
    right_lines = [line for line in lines if line.x0 >= gutter - 20]
    across = len(lines) - sum(line.x1 <= gutter + 20 or line.x0 >= gutter - 20 for line in lines)
    if min(len(left_lines), len(right_lines)) < _COLUMN_LINES or across > 0.4 * len(lines):
        return False
    if any(
        sum(len(line.text) for line in side) < _COLUMN_CHARS * len(side) for side in (left_lines, right_lines)
    ):
        return False
    foot = min(max(line.y1 for line in side) for side in (left_lines, right_lines))
    head = max(min(line.y0 for line in side) for side in (left_lines, right_lines))
    return foot - head > 3 * max(line.size for line in left_lines)
