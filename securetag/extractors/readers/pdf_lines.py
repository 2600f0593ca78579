"""Lines of pages → paragraphs and headings in reading order. Pure: it knows no PDF library."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from securetag.extractors.readers.pdf_pages import Line, Page, PdfDocument

#: Share of the page's height at its top and bottom where running heads and feet stand.
MARGIN = 0.1
_PAGE_NUMBER = re.compile(
    r"(?:page\s+)?(?:\d{1,4}|[ivxlc]{1,7}|[A-Z]-\d{1,3})(?:\s*(?:of|/|\|)\s*\d{1,4})?", re.I
)
_LEADERS = re.compile(r"(?:\.\s?){5,}|(?:…\s?){2,}")
_BULLET = re.compile(r"^[•▪●◦‣·∙□■◼➢❖\uf0b7\uf0a7\uf0d8]\s*|^o\s+(?=[A-Z])|^[–—-]\s+")
_ORDERED = re.compile(r"^(?:\d{1,2}[.)]|\(?[a-z]\)|[a-z]\.)\s+")
_NUMBERED = re.compile(r"^(\d{1,2}(?:\.\d{1,3}){0,4})\.?\s+\S|^(?:Appendix|Annex)\s+[A-Z]\b")
_ENDS = re.compile(r"[.!?:;]['\"”’)\]]*$")
_BROKEN = re.compile(r"([A-Za-z]{2,})-$")


def running_lines(pages: list[Page]) -> set[str]:
    """Texts (digits masked) that stand in the margins of several pages: heads and feet."""
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update({_mask(line.text) for line in page.lines if _in_margin(line, page)})
    needed = max(3, len(pages) // 20)
    return {text for text, count in counts.items() if count >= needed}


def _mask(text: str) -> str:
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", text.lower())


def _in_margin(line: Line, page: Page) -> bool:
    middle = (line.y0 + line.y1) / 2
    return not line.table and not page.height * MARGIN < middle < page.height * (1 - MARGIN)


def body_size(pages: list[Page]) -> float:
    """The type size of most characters, points."""
    counts: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            if not line.table:
                counts[line.size] += len(line.text)
    return counts.most_common(1)[0][0] if counts else 0.0


def page_lines(page: Page, running: set[str]) -> list[Line]:
    """Lines of a page in reading order: rows joined, columns one after the other, margins gone."""
    kept = [
        line for line in page.lines
        if not (_in_margin(line, page) and (_mask(line.text) in running or _PAGE_NUMBER.fullmatch(line.text)))
        and not _LEADERS.search(line.text)
    ]  # fmt: skip
    out: list[Line] = []
    for band in _bands(kept, page.width):
        out += _rows(band)
    return out


def _bands(lines: list[Line], width: float) -> Iterator[list[Line]]:
    """Runs of lines to be read top down: the whole page, or its columns between full-width lines."""
    middle, slack = width / 2, width * 0.02
    left = [line for line in lines if line.x1 < middle + slack]
    right = [line for line in lines if line.x0 > middle - slack]
    across = len(lines) - len(left) - len(right)
    words = sum(len(line.text) for line in right) / max(1, len(right))
    if min(len(left), len(right)) < 8 or across > 0.3 * len(lines) or words < 15:
        yield sorted(lines, key=lambda line: (line.y0, line.x0))
        return
    columns: tuple[list[Line], list[Line]] = ([], [])
    for line in sorted(lines, key=lambda line: line.y0):
        if line.x1 < middle + slack or line.x0 > middle - slack:
            columns[line.x0 > middle - slack].append(line)
            continue
        yield from columns
        yield [line]
        columns = ([], [])
    yield from columns


def _rows(lines: list[Line]) -> list[Line]:
    """Fragments of one row (a heading's number and its words) become one line."""
    rows: list[Line] = []
    for line in lines:
        last = rows[-1] if rows else None
        if last and _same_row(last, line):
            longer = max(last, line, key=lambda part: len(part.text))
            rows[-1] = Line(
                last.x0, min(last.y0, line.y0), line.x1, max(last.y1, line.y1), longer.size,
                last.bold and line.bold, f"{last.text} {line.text}",
            )  # fmt: skip
        else:
            rows.append(line)
    return rows


def _same_row(last: Line, line: Line) -> bool:
    overlap = min(last.y1, line.y1) - max(last.y0, line.y0)
    beside = line.x0 >= last.x1 - 1 and not last.table and not line.table
    return beside and overlap > 0.5 * min(last.y1 - last.y0, line.y1 - line.y0)


Headings = dict[tuple[int, int], tuple[int, str, int]]


def headings_of(document: PdfDocument, pages: list[list[Line]], body: float) -> Headings:
    """(page, line) from 0 → (level, title, lines taken), from the outline or from the type."""
    found = _from_outline(document, pages)
    # An outline that names pages and no headings (bookmarks of a scan) is worth less than the type.
    return found if len(found) >= max(3, len(document.toc) // 2) else _from_type(pages, body)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


def _from_outline(document: PdfDocument, pages: list[list[Line]]) -> Headings:
    found: Headings = {}
    for level, title, page in document.toc:
        wanted = _plain(title)
        if not wanted or not 1 <= page <= len(pages):
            continue
        for number in (page - 1, page):
            if number < len(pages) and (place := _find(wanted, pages[number], number, found)):
                found[number, place[0]] = (level, " ".join(title.split()), place[1])
                break
    return found


def _find(wanted: str, lines: list[Line], page: int, taken: Headings) -> tuple[int, int] | None:
    """(line, lines taken) where a heading of the outline stands, over up to four lines."""
    for start in range(len(lines)):
        if (page, start) in taken or lines[start].table:
            continue
        joined = ""
        for count in range(1, min(5, len(lines) - start + 1)):
            joined += _plain(lines[start + count - 1].text)
            if joined == wanted or (len(wanted) > 8 and joined.lstrip("0123456789") == wanted):
                return start, count
            if not wanted.startswith(joined) and not wanted.startswith(joined.lstrip("0123456789")):
                break
    return None


def _from_type(pages: list[list[Line]], body: float) -> Headings:
    """Larger or bold numbered lines; the level is the number's depth, else the rank of the size."""
    candidates = {}
    for page, lines in enumerate(pages):
        for index, line in enumerate(lines):
            words = len(line.text.split())
            if line.table or not 1 <= words <= 14 or not re.search(r"[A-Za-z]{3}", line.text):
                continue
            numbered = _NUMBERED.match(line.text)
            if (
                line.size >= body * 1.15
                or (line.bold and numbered)
                or (line.bold and line.size >= body * 1.05)
            ):
                candidates[page, index] = (line, numbered)
    sizes = sorted({line.size for line, _ in candidates.values()}, reverse=True)
    found: Headings = {}
    for (page, index), (line, numbered) in candidates.items():
        level = numbered[1].count(".") + 1 if numbered and numbered[1] else min(6, sizes.index(line.size) + 1)
        before = found.get((page, index - 1))
        if (
            before
            and before[0] == level
            and not numbered
            and line.y0 - pages[page][index - 1].y1 < line.size * 0.6
        ):
            found[page, index - 1] = (level, f"{before[1]} {line.text}", before[2] + 1)
            continue
        found[page, index] = (level, line.text, 1)
    return found


def flow(pages: list[list[Line]], headings: Headings, body: float) -> Iterator[tuple[int, str, int]]:
    """(level, text, page) in order; paragraphs are joined over lines and pages."""
    words = _words(pages)
    paragraph: list[str] = []
    notes: list[str] = []
    begun = 1

    def close() -> Iterator[tuple[int, str, int]]:
        if paragraph:
            yield 0, join_lines(paragraph, words) + "\n", begun
            paragraph.clear()

    for number, lines in enumerate(pages):
        foot = _footnotes(lines, body)
        last: Line | None = None
        skip = 0
        for index, line in enumerate(lines):
            if skip:
                skip -= 1
                continue
            heading = headings.get((number, index))
            if heading:
                yield from close()
                yield from ((0, note + "\n", number + 1) for note in notes)
                notes.clear()
                yield heading[0], heading[1], number + 1
                skip, last = heading[2] - 1, None
            elif line.table:
                yield from close()
                yield 0, f"\n{line.text}\n", number + 1
                last = None
            elif index >= foot:
                _note(line.text, notes)
            else:
                if paragraph and _starts(line, last, paragraph[-1]):
                    yield from close()
                if not paragraph:
                    begun = number + 1
                paragraph.append(_BULLET.sub("- ", line.text))
                last = line
    yield from close()
    yield from ((0, note + "\n", len(pages)) for note in notes)


def _note(text: str, notes: list[str]) -> None:
    """A footnote's line: a number begins another, all else continues the one before."""
    if not notes or re.match(r"\d{1,3}\s+\S", text):
        notes.append(text)
    else:
        notes[-1] = f"{notes[-1]} {text}"


def _footnotes(lines: list[Line], body: float) -> int:
    """Index of the first line of the small print that ends a page; their number when there is none."""
    first = len(lines)
    while first and not lines[first - 1].table and lines[first - 1].size <= 0.9 * body:
        first -= 1
    return first if first else len(lines)  # a page all in small print is a page, not a footnote


def _starts(line: Line, last: Line | None, before: str) -> bool:
    """True = `line` begins a paragraph, given the line above it on the page (None: a new page)."""
    if _BULLET.match(line.text) or _ORDERED.match(line.text):
        return True
    if last is None:
        return bool(_ENDS.search(before)) or (line.text[:1].isupper() and not _BROKEN.search(before))
    height = max(last.y1 - last.y0, 1.0)
    return line.y0 - last.y0 > 1.45 * height or line.y1 < last.y0 or abs(line.size - last.size) > 1.5


def _words(pages: list[list[Line]]) -> set[str]:
    """Words inside lines, hyphenated ones whole: what decides whether a hyphen at a line's end stays."""
    found: set[str] = set()
    for lines in pages:
        for line in lines:
            found.update(word.lower() for word in re.findall(r"[A-Za-z]+(?:-[A-Za-z]+)*", line.text))
    return found


def join_lines(lines: Iterable[str], words: set[str]) -> str:
    """A paragraph from its lines. `appli-` + `cations` loses its hyphen; `cost-` + `effective` keeps it
    where the document writes `cost-effective` inside a line."""
    text = ""
    for line in lines:
        broken = _BROKEN.search(text)
        follows = re.match(r"[A-Za-z]+", line)
        if not text:
            text = line
        elif broken and follows and line[0].islower():
            left, right = broken[1].lower(), follows[0].lower()
            keep = f"{left}-{right}" in words and f"{left}{right}" not in words
            text = text + line if keep else text[:-1] + line
        elif text[-1] == "-" and text[-2:-1].isalnum() and line[:1].isalnum():
            text += line  # `AES-` + `128`, `Diffie-` + `Hellman`
        else:
            text = f"{text} {line}"
    return text
