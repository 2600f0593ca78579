"""Convert MuPDF's JSON of a page to lines: adjacent spans joined; footnote marks, rotated text and glyphs
that are drawn twice removed.

Pure: it knows the JSON and no PDF library. It works on integers, tenths of a point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from securetag.extractors.readers.pdf.pages import Line, Page
from securetag.extractors.text import prose

#: Maximum characters of a line.
MAX_LINE_CHARS = 10_000
#: Maximum lines of a page.
MAX_PAGE_LINES = 20_000
#: Maximum offset of a glyph that is drawn a second time for simulated bold, percent of its font's size.
MAX_STRIKE_OFFSET_PERCENT = 12
#: Minimum gap between two words, percent of the smaller font's size.
MIN_GAP_PERCENT = 25
#: Height of a line above and below its baseline, tenths of its font's size.
_ASCENT, _DESCENT = 9, 2
_MONO = re.compile(r"mono|courier|consol|menlo|typewriter|cmtt|inconsolata|source ?code|terminal", re.I)
_BOLD = re.compile(r"bold|black|heavy|semibold|[-,](?:bd|demi)\b", re.I)
_FOOTNOTE_MARK = re.compile(r"[\d,*†‡\[\]\s]{1,8}")
#: The base of a raised number that is an exponent and not the mark of a footnote.
_POWER = re.compile(r"(?:^|[\s(×*=<>≤≥+-])(?:2|10|[A-Za-z])$|[)]$")
#: Private characters of symbol fonts → the characters that they show.
_SYMBOLS = str.maketrans(
    {
        "\uf0b7": "•",
        "\uf0a7": "▪",
        "\uf0d8": "➢",
        "\uf0fc": "✓",
        "\uf020": " ",
        "\u00ad": "-",
        "\u2010": "-",
        "\u2011": "-",
        "\u200b": "",
        "\u200c": "",
        "\u200d": "",
        "\ufeff": "",
    }
)
_PRIVATE = re.compile("[\ue000-\uf8ff]")


class _Box(msgspec.Struct, gc=False):
    x: int
    y: int
    w: int
    h: int


class _Font(msgspec.Struct, gc=False):
    name: str
    family: str
    weight: str
    style: str
    size: int


class _Span(msgspec.Struct, gc=False):
    bbox: _Box
    font: _Font
    #: Position of the first character on the baseline.
    x: int
    y: int
    text: str


class _Block(msgspec.Struct):
    lines: list[_Span] = []


class _Stext(msgspec.Struct):
    blocks: list[_Block]


@dataclass
class PageText:
    """The blocks of spans of a page, and its size in tenths of a point."""

    width: int
    height: int
    blocks: list[list[_Span]]


_DECODER = msgspec.json.Decoder(_Stext, strict=False)


def decode_page_text(data: bytes, width: float, height: float) -> PageText:
    """Return the text of MuPDF's JSON. Raises ValueError for malformed JSON, since MuPDF prints raw bytes."""
    try:
        stext = _DECODER.decode(data)
    except UnicodeDecodeError:
        stext = _DECODER.decode(data.decode(errors="replace"))
    return PageText(round(width * 10), round(height * 10), [block.lines for block in stext.blocks])


def _is_turned(span: _Span) -> bool:
    """Whether a span is rotated: its baseline begins at the head or foot of its box, not at the left.

    A box that is much taller than the font shows nothing, since some fonts claim such boxes.
    """
    box, size = span.bbox, span.font.size
    if (span.x - box.x) * 10 < size or len(span.text) < 2:
        return False
    return min(abs(span.y - box.y), abs(span.y - box.y - box.h)) * 20 <= max(size, 20)


def find_rotation(text: PageText) -> int:
    """Return the degrees to turn the page so that most of its text is upright: 0, 90 or 270."""
    level = up = down = 0
    for block in text.blocks:
        for span in block:
            if not _is_turned(span):
                level += len(span.text)
            elif span.y > span.bbox.y + span.bbox.h // 2:  # it begins at its foot
                up += len(span.text)
            else:
                down += len(span.text)
    if up + down <= level:
        return 0
    return 90 if up > down else 270


@lru_cache(maxsize=4096)
def _get_style(name: str, family: str, weight: str) -> tuple[bool, bool]:
    """Return (bold, monospaced)."""
    plain = name.rpartition("+")[2]
    return weight == "bold" or bool(_BOLD.search(plain)), family == "monospace" or bool(_MONO.search(plain))


def _merge_double_strikes(text: PageText) -> None:
    """Remove spans that are drawn again with a small offset, and mark the first as bold, which that means."""
    placed: dict[tuple[str, int], list[_Span]] = {}
    for block in text.blocks:
        doubled = False
        for span in block:
            if len(span.text) < 2 or span.text.isspace():
                continue
            key = span.text, span.y >> 4  # the same text at about the same height
            same = placed.get(key)
            if same is None:
                placed[key] = [span]
                continue
            first = next((other for other in same if _is_struck_again(other, span)), None)
            if first is None:
                same.append(span)
            else:
                first.font = msgspec.structs.replace(first.font, weight="bold")
                span.text, doubled = "", True
        if doubled:
            block[:] = [span for span in block if span.text]


def _is_struck_again(first: _Span, span: _Span) -> bool:
    near = max(2, span.font.size * MAX_STRIKE_OFFSET_PERCENT // 100)
    same_size = first.font.size == span.font.size
    return same_size and abs(first.x - span.x) <= near and abs(first.y - span.y) <= near


def make_page(text: PageText) -> Page:
    """Return the lines of a page in the order of the file."""
    lines: list[Line] = []
    _merge_double_strikes(text)
    for block in text.blocks:
        for run in _split_runs(block):
            line = _make_line(run)
            if line is not None:
                lines.append(line)
        if len(lines) > MAX_PAGE_LINES:
            raise ValueError(f"a page of more than {MAX_PAGE_LINES:,} lines")
    return Page(text.width, text.height, lines)


def _split_runs(block: list[_Span]) -> list[list[_Span]]:
    """Return runs of spans that follow each other on one baseline without a wide gap."""
    runs: list[list[_Span]] = []
    end = base = size = 0
    for span in block:
        box = span.bbox
        if span.x > box.x and _is_turned(span):
            continue
        gap = box.x - end
        wide = size if size > span.font.size else span.font.size
        if runs and -wide < gap * 2 and gap * 10 < wide * 6 and abs(span.y - base) * 2 < wide:
            runs[-1].append(span)
            if span.font.size >= size:
                base, size = span.y, span.font.size
        else:
            runs.append([span])
            base, size = span.y, span.font.size
        end = box.x + box.w
    return runs


def _make_line(run: list[_Span]) -> Line | None:
    if len(run) == 1:  # most are
        span = run[0]
        box, font = span.bbox, span.font
        bold, mono = _get_style(font.name, font.family, font.weight)
        if not (words := _clean_words(span.text, mono=mono)):
            return None
        return _place_line(span, box.x, box.x + box.w, bold, mono, words, italic=font.style == "italic")
    return _join_run(run)


def _place_line(span: _Span, x0: int, x1: int, bold: bool, mono: bool, text: str, *, italic: bool) -> Line:
    """Return a line that stands on the baseline of `span` and has its size."""
    size = span.font.size
    top, foot = span.y - size * _ASCENT // 10, span.y + size * _DESCENT // 10
    return Line(x0, top, x1, foot, size, bold, mono, text, [], italic)


def _clean_words(text: str, *, mono: bool = False) -> str:
    """Return text without meaningless characters; only monospaced text keeps its spaces."""
    if not text.isascii():
        text = _PRIVATE.sub("", text.translate(_SYMBOLS))
    return text[:MAX_LINE_CHARS].rstrip() if mono else " ".join(text[:MAX_LINE_CHARS].split())


def _join_run(run: list[_Span]) -> Line | None:
    filled = [span for span in run if not span.text.isspace()]
    if not filled:
        return None
    tallest = max(filled, key=lambda span: span.font.size)
    main = max((span for span in filled if not _is_mark(span, tallest)), key=lambda span: len(span.text))
    styles = [_get_style(span.font.name, span.font.family, span.font.weight) for span in filled]
    mono = all(style[1] for style in styles)
    bold = all(style[0] for style in styles if mono or not style[1])  # a bold heading may have code in it
    parts: list[str] = []
    before: _Span | None = None
    for span in run:
        if before is not None and _is_apart(before, span):
            parts.append(" ")
        before = span
        if span is not filled[0] and _is_mark(span, main):
            if parts and _POWER.search(parts[-1]) and span.text.strip().isdigit():
                parts.append(f"^{span.text.strip()}")
            continue  # a footnote's mark
        code = not mono and _get_style(span.font.name, span.font.family, span.font.weight)[1]
        parts.append(_mark_code(span.text) if code else span.text)
    first, last = (run if mono else filled)[0].bbox, filled[-1].bbox
    text = _clean_words("".join(parts), mono=mono)
    if not text:
        return None
    italic = all(span.font.style == "italic" for span in filled)
    return _place_line(main, first.x, last.x + last.w, bold, mono, text, italic=italic)


def _is_apart(before: _Span, span: _Span) -> bool:
    """Whether a gap is between two spans that neither of them fills with a space."""
    gap = span.bbox.x - before.bbox.x - before.bbox.w
    is_gap = gap * 100 > MIN_GAP_PERCENT * min(before.font.size, span.font.size)
    return is_gap and not before.text[-1:].isspace() and not span.text[:1].isspace()


def _is_mark(span: _Span, beside: _Span) -> bool:
    """Whether a span is a raised number in a smaller font: an exponent, or the mark of a footnote."""
    raised = span.font.size * 20 < beside.font.size * 17 and (beside.y - span.y) * 10 > beside.font.size
    return raised and bool(_FOOTNOTE_MARK.fullmatch(span.text))


def _mark_code(text: str) -> str:
    """Return monospaced text inside other text as a code span, with its outer spaces outside."""
    inner = text.strip()
    if len(inner) < 2:
        return text
    return text[: len(text) - len(text.lstrip())] + prose.make_code_span(inner) + text[len(text.rstrip()) :]
