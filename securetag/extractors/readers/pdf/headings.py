"""Find where sections begin: by the outline's headings on the page, else by type and numbers. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from securetag.extractors.readers.pdf import front
from securetag.extractors.readers.pdf.numbering import find_arabic_sections, find_roman_sections
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
_CAPTION = re.compile(r"(?:table|figure|fig\.|exhibit|tabla|figura)\s+[\dA-Z]", re.I)
#: Maximum words of a large or bold line that is a heading, and of one that wraps; maximum lines of that.
MAX_HEADING_WORDS, MAX_WRAPPED_WORDS, MAX_WRAPPED_LINES = 14, 24, 4
#: Minimum characters of a line that shows where the column of a page is.
MIN_PROSE_CHARS = 25
#: Minimum headings that the type shows before plain numbers are tried.
MIN_TYPOGRAPHIC = 3
#: A line that goes on: it ends with a hyphen, a comma, or a word that ends no heading.
_GOES_ON = re.compile(
    r"(?:[-–—,:/&(]|\b(?:a|an|and|as|at|by|for|from|in|into|of|on|or|the|to|using|via|with|y|e|o|u|de|del|la|las|el|los"
    r"|en|para|por|con|des?|du|et|les?|pour|und|der|die|das|von))$",
    re.I,
)


def find_headings(document: PdfDocument, pages: list[list[Line]], body: int) -> Headings:
    """Return the headings of the outline or of the type; `body` is the font size of most characters.

    A heading of level 0 is the title of the document, which is no section.
    """
    headings = _find_outline_headings(document, pages)
    named = sum(bool(_normalize(title)) for _, title, _ in document.toc)
    # An outline that names pages and no headings (bookmarks of a scan) is worth less than the type.
    if len(headings) < max(3, named // 2):
        return _find_shown_headings(pages, body)
    return headings | _find_minor_headings(headings, pages, body)


def _find_minor_headings(outline: Headings, pages: list[list[Line]], body: int) -> Headings:
    """Return the headings that the type shows and the outline leaves out.

    Each is one level below the outline's above it, or on the level of that with a number as deep as its own.
    Those before the first of the outline are of front matter; captions are no headings.
    """
    covered = {(page, index + i) for (page, index), (_, _, count) in outline.items() for i in range(count)}
    places = sorted(outline)
    minor: Headings = {}
    for place, (_, text, count) in sorted(_find_typographic_headings(pages, body).items()):
        if any((place[0], place[1] + i) in covered for i in range(count)) or _CAPTION.match(text):
            continue
        if above := bisect_left(places, place):
            before = [outline[other] for other in reversed(places[:above])]
            level = _find_sibling_level(_get_number_depth(text), before) or before[0][0] + 1
            minor[place] = (min(6, level), text, count)
    return minor


def _find_sibling_level(depth: int, before: list[tuple[int, str, int]]) -> int:
    """Return the level of the nearest heading with a number of this depth, up to one without; else 0."""
    if depth:
        for level, title, _ in before:
            other_depth = _get_number_depth(title)
            if other_depth == depth:
                return level
            if not other_depth:
                break
    return 0


def _get_number_depth(heading: str) -> int:
    """Return how deep the number of a section is: 2 for `4.1`; 0 without a number."""
    match = _NUMBERED.match(heading)
    return (match[1] or "").count(".") + 1 if match else 0


def _find_shown_headings(pages: list[list[Line]], body: int) -> Headings:
    """Return the headings that type and numbers show, without the title and the authors."""
    abstract = front.find_abstract(pages)
    title = front.find_title(pages, body)
    roman = find_roman_sections(pages)
    headings = _find_typographic_headings(pages, body)
    if roman:
        headings = {
            place: (min(6, level + 2), text, count) for place, (level, text, count) in headings.items()
        }
        headings |= _number_headings(roman, pages)
    elif len(headings) < MIN_TYPOGRAPHIC:
        headings |= _number_headings(find_arabic_sections(pages), pages)
    if title is not None:
        authors = front.find_author_lines(pages, title)
        headings = {place: heading for place, heading in headings.items() if place not in authors}
    if abstract is not None and len(headings) > 1:
        level = min(level for place, (level, _, _) in headings.items() if not title or place != title.place)
        headings[abstract] = (level, pages[abstract[0]][abstract[1]].text, 1)
    return headings


def _number_headings(numbered: dict[tuple[int, int], int], pages: list[list[Line]]) -> Headings:
    return {place: (level, pages[place[0]][place[1]].text, 1) for place, level in numbered.items()}


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
                shown = " ".join(line.text for line in pages[number][place[0] : sum(place)])
                # Some programs write `4.6Environment` into the outline.
                is_same = "".join(shown.split()) == "".join(title.split())
                headings[number, place[0]] = (level, shown if is_same else " ".join(title.split()), place[1])
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
        before = headings[last] if last and last[0] == page else None
        if before and last and index < last[1] + before[2]:
            continue  # the heading above has wrapped into this line
        small = line.size < body * 1.05
        level = min(6, max(depth, ranks[line.size] + small))
        if small and not depth and before and last and last[1] + before[2] == index and before[0] >= level:
            level = min(6, before[0] + 1)  # headings right under each other: the second is inside the first
        last = (page, index)
        count = _count_wrapped_lines(pages[page], index, is_large=not small)
        headings[last] = (level, " ".join(part.text for part in pages[page][index : index + count]), count)
    return headings


def _count_wrapped_lines(lines: list[Line], index: int, *, is_large: bool) -> int:
    """Return the number of lines of a heading: more than 1 where it goes on in lines of the same type."""
    count, words = 1, len(lines[index].text.split())
    while index + count < len(lines) and count < MAX_WRAPPED_LINES:
        above, line = lines[index + count - 1], lines[index + count]
        words += len(line.text.split())
        aligned = is_large or _is_aligned(above, line) or _NUMBERED.match(lines[index].text)
        if not aligned or not _continues_heading(above, line, is_large=is_large) or words > MAX_WRAPPED_WORDS:
            break
        goes_on = is_large or _fills_column(lines, above) or _GOES_ON.search(above.text)
        if not goes_on and not line.text[0].islower():
            break
        count += 1
    return count


def _continues_heading(above: Line, line: Line, *, is_large: bool) -> bool:
    """Whether a line has the type of the heading above it, the distance of its lines, and no number.

    Large type needs no equal weight: a title may have a word in another font.
    """
    same = not line.table and (is_large or line.bold == above.bold) and line.mono == above.mono
    if not same or abs(above.size - line.size) > line.size // 20:
        return False
    distance = line.baseline - above.baseline
    return (
        0 < distance * 10 < 17 * line.size and not _NUMBERED.match(line.text) and not _ITEM.match(line.text)
    )


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
        too_long, prose = -1, None
        for index, line in enumerate(lines):
            if line.table or line.mono or not (line.size >= large or (line.bold and line.size >= smallest)):
                continue
            text = line.text
            numbered = _NUMBERED.match(text)
            goes_on = too_long == index - 1 >= 0 and _continues_heading(
                lines[index - 1], line, is_large=False
            )
            if goes_on or len(text.split()) > (MAX_WRAPPED_WORDS if numbered else MAX_HEADING_WORDS):
                too_long = index  # bold prose: no line of it is a heading
                continue
            if not _LETTERS.search(text) or _ITEM.match(text):
                continue
            if line.size >= large and _is_in_paragraph(lines, index):
                continue
            prose = _list_prose(lines) if prose is None else prose
            if not numbered and not _is_in_column(prose, line):
                continue
            if line.size < large and not numbered and line.size < larger and not _stands_alone(lines, index):
                continue
            yield page, index, line, _get_number_depth(text)


def _list_prose(lines: list[Line]) -> list[Line]:
    return [line for line in lines if len(line.text) >= MIN_PROSE_CHARS]


def _is_in_column(prose: list[Line], line: Line) -> bool:
    """Whether a line begins where prose of its page does, or is centered on it; labels of figures don't.

    True on a page without prose.
    """
    if not prose:
        return True
    left_edge, right_edge = min(other.x0 for other in prose), max(other.x1 for other in prose)
    tolerance, doubled_center = 2 * line.size, line.x0 + line.x1
    is_at_right = line.x1 >= right_edge - line.size and 2 * line.x0 > left_edge + right_edge
    is_at_edge = (
        line.x0 <= left_edge + tolerance
        or is_at_right
        or abs(left_edge + right_edge - doubled_center) <= tolerance
    )
    return is_at_edge or any(
        abs(other.x0 - line.x0) <= tolerance or abs(other.x0 + other.x1 - doubled_center) <= tolerance
        for other in prose
    )


def _is_in_paragraph(lines: list[Line], index: int) -> bool:
    """Whether a large line is one of a paragraph in large type: more lines and words than a heading has."""
    first = last = index
    while first > 0 and _continues_heading(lines[first - 1], lines[first], is_large=True):
        first -= 1
    while last + 1 < len(lines) and _continues_heading(lines[last], lines[last + 1], is_large=True):
        last += 1
    words = sum(len(line.text.split()) for line in lines[first : last + 1])
    return last - first >= 2 and words > 2 * MAX_WRAPPED_WORDS


def _stands_alone(lines: list[Line], index: int) -> bool:
    """Whether a bold line of the body's size is separate, and neither a sentence nor a file name.

    It may go on in up to two lines like it.
    """
    line = lines[index]
    if len(line.text.split()) > 10 or not line.text[0].isupper():
        return False
    end = index + 1
    while (
        end < len(lines) and _is_similar(lines[end], lines[end - 1]) and _fills_column(lines, lines[end - 1])
    ):
        end += 1
    words = sum(len(part.text.split()) for part in lines[index:end])
    if end - index > 3 or words > MAX_WRAPPED_WORDS or _SENTENCE.search(lines[end - 1].text):
        return False
    above = lines[index - 1] if index else None
    if end == len(lines) or lines[end].table:
        return False
    return above is None or not _is_similar(above, line) or not _fills_column(lines, above)


def _is_aligned(above: Line, line: Line) -> bool:
    """Whether two lines begin at one place or are centered on each other; labels of a figure do neither."""
    middles = abs(above.x0 + above.x1 - line.x0 - line.x1) // 2
    return min(abs(above.x0 - line.x0), middles) <= line.size


def _is_similar(other: Line, line: Line) -> bool:
    """Whether both lines are bold, of one size, and close to each other."""
    near = abs(other.y0 - line.y0) < 2 * (line.y1 - line.y0)
    return other.bold and not other.table and near and abs(other.size - line.size) * 20 <= line.size


def _fills_column(lines: list[Line], line: Line) -> bool:
    """Whether the line fills its column, so that it may continue in the next line."""
    widths = sorted(other.x1 - other.x0 for other in lines if not other.table)
    return line.x1 - line.x0 > 0.8 * widths[len(widths) * 3 // 4]
