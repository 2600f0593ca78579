"""MuPDF's JSON of a page → lines: spans joined where they touch, footnote marks and turned text gone.

Pure: it knows the JSON and no PDF library. It works on integers, tenths of a point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from securetag.extractors.readers.pdf.pages import Line, Page
from securetag.extractors.text import prose

#: Characters beyond which a line's text is no text.
MAX_LINE = 10_000
#: Lines beyond which a page is no page.
MAX_LINES = 20_000
_MONO = re.compile(r"mono|courier|consol|menlo|typewriter|cmtt|inconsolata|source ?code|terminal", re.I)
_BOLD = re.compile(r"bold|black|heavy|semibold|[-,](?:bd|demi)\b", re.I)
_MARK = re.compile(r"[\d,*†‡\[\]\s]{1,8}")
#: What a raised number is an exponent of, and no footnote's mark.
_POWER = re.compile(r"(?:^|[\s(×*=<>≤≥+-])(?:2|10|[A-Za-z])$|[)]$")
#: Text that a person sees as a bullet, in fonts that name it otherwise.
_SYMBOLS = str.maketrans({
    "\uf0b7": "•", "\uf0a7": "▪", "\uf0d8": "➢", "\uf0fc": "✓", "\uf020": " ", "\u00ad": "-",
        "\u2010": "-",
        "\u2011": "-",
    "\u200b": "", "\u200c": "", "\u200d": "", "\ufeff": "",
})  # fmt: skip
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
    size: int


class _Span(msgspec.Struct, gc=False):
    bbox: _Box
    font: _Font
    #: Where the first character stands on the baseline.
    x: int
    y: int
    text: str


class _Block(msgspec.Struct):
    lines: list[_Span] = []


class _Stext(msgspec.Struct):
    blocks: list[_Block]


@dataclass
class PageText:
    """A page's blocks of spans, and its size in tenths of a point."""

    width: int
    height: int
    blocks: list[list[_Span]]


_DECODER = msgspec.json.Decoder(_Stext, strict=False)


def decode(data: bytes, width: float, height: float) -> PageText:
    """From MuPDF's JSON. Raises ValueError where that isn't JSON (MuPDF prints bytes as it finds them)."""
    try:
        found = _DECODER.decode(data)
    except UnicodeDecodeError:
        found = _DECODER.decode(data.decode(errors="replace"))
    return PageText(round(width * 10), round(height * 10), [block.lines for block in found.blocks])


def _is_turned(span: _Span) -> bool:
    """True = written up, down or aslant: taller than its type by far."""
    box = span.bbox
    return box.h > 2 * span.font.size and box.h > box.w and len(span.text) > 1


def turned(text: PageText) -> int:
    """Degrees by which to turn the page so that most of its text stands upright: 0, 90 or 270."""
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
def _style(name: str, family: str, weight: str) -> tuple[bool, bool]:
    """(bold, of one width)."""
    plain = name.rpartition("+")[2]
    return weight == "bold" or bool(_BOLD.search(plain)), family == "monospace" or bool(_MONO.search(plain))


def page_of(text: PageText) -> Page:
    """The page's lines, in the order in which the file holds them."""
    lines: list[Line] = []
    for block in text.blocks:
        for run in _runs(block):
            line = _line(run)
            if line is not None:
                lines.append(line)
        if len(lines) > MAX_LINES:
            raise ValueError(f"a page of more than {MAX_LINES:,} lines")
    return Page(text.width, text.height, lines)


def _runs(block: list[_Span]) -> list[list[_Span]]:
    """Spans that follow each other on one baseline without a wide gap."""
    runs: list[list[_Span]] = []
    end = base = size = 0
    for span in block:
        box = span.bbox
        if box.h > 2 * span.font.size and _is_turned(span):
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


def _line(run: list[_Span]) -> Line | None:
    if len(run) == 1:  # most are
        span = run[0]
        box, font = span.bbox, span.font
        bold, mono = _style(font.name, font.family, font.weight)
        if not (words := _words(span.text, mono=mono)):
            return None
        return Line(box.x, box.y, box.x + box.w, box.y + box.h, font.size, bold, mono, words)
    return _joined(run)


def _words(text: str, *, mono: bool = False) -> str:
    """Without characters that say nothing; blanks count in type of one width alone."""
    if not text.isascii():
        text = _PRIVATE.sub("", text.translate(_SYMBOLS))
    return text[:MAX_LINE].rstrip() if mono else " ".join(text[:MAX_LINE].split())


def _joined(run: list[_Span]) -> Line | None:
    filled = [span for span in run if not span.text.isspace()]
    if not filled:
        return None
    tallest = max(filled, key=lambda span: span.font.size)
    main = max((span for span in filled if not _is_mark(span, tallest)), key=lambda span: len(span.text))
    styles = [_style(span.font.name, span.font.family, span.font.weight) for span in filled]
    bold, mono = all(style[0] for style in styles), all(style[1] for style in styles)
    parts: list[str] = []
    for span in run:
        if span is not filled[0] and _is_mark(span, main):
            if parts and _POWER.search(parts[-1]) and span.text.strip().isdigit():
                parts.append(f"^{span.text.strip()}")
            continue  # a footnote's mark
        code = not mono and _style(span.font.name, span.font.family, span.font.weight)[1]
        parts.append(_code(span.text) if code else span.text)
    first, last = (run if mono else filled)[0].bbox, filled[-1].bbox
    text = _words("".join(parts), mono=mono)
    if not text:
        return None
    top = min(span.bbox.y for span in filled)
    return Line(
        first.x, top, last.x + last.w, max(span.bbox.y + span.bbox.h for span in filled),
        main.font.size, bold, mono, text,
    )  # fmt: skip


def _is_mark(span: _Span, beside: _Span) -> bool:
    """True = a number in smaller type that stands higher: an exponent, or a footnote's mark."""
    raised = span.font.size * 20 < beside.font.size * 17 and (beside.y - span.y) * 10 > beside.font.size
    return raised and bool(_MARK.fullmatch(span.text))


def _code(text: str) -> str:
    """Type of one width amid other type becomes a code span, its blanks outside."""
    inner = text.strip()
    if len(inner) < 2:
        return text
    return text[: len(text) - len(text.lstrip())] + prose.make_code_span(inner) + text[len(text.rstrip()) :]
