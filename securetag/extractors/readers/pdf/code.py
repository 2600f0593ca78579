"""Make fenced blocks of listings: lines in a monospaced font, or lines that look like code. Pure."""

from __future__ import annotations

import re

from securetag.extractors.readers.pdf.pages import Line
from securetag.extractors.text import prose

#: Starts and ends of lines of code, markup and HTTP, which lines of prose hardly have.
_CODE = re.compile(
    r"[=()\[\]$\"'].*;$|[{}]\s*[;,]?$|^[})\]]+[;,]?$|^</?[\w:?!-]+[^<>]*>|\w+>$"
    r"|^\s*(?://|/\*|\*/|<!--|<\?|#include)"
    r"|^(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|TRACE|CONNECT)\s+\S+\s+HTTP/|^HTTP/\d|^\$ \S|^https?://\S+$"
    r"|^(?:public|private|protected|static|import|using|package|function|var|def|class|return|SELECT)\b.*[({;:)]$"
    r"|^(?:Host|(?:Set-)?Cookie|User-Agent|Content-[A-Z]\w+|Accept[\w-]*|Server|Date|Connection|Referer"
    r"|Location): \S"
)
_LAST_CHARS, _FIRST_CHARS = frozenset(";{}>),]"), frozenset("<$/})]*#")
_FIRST_WORDS = frozenset((
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT", "public", "private", "protected",
    "static", "import", "using", "package", "function", "var", "def", "class", "return", "SELECT", "Host",
    "Cookie", "Set-Cookie", "User-Agent", "Server", "Date", "Connection", "Referer", "Location",
))  # fmt: skip
#: An element or a comment that opens a line.
_MARKUP_START = re.compile(r"\s*<(?:(?P<comment>!--)|(?P<name>[A-Za-z][\w:.-]*)(?=[\s>]))")
#: A line of prose that begins with the name of an element: `<input> tag as below:`.
_TAG_IN_PROSE = re.compile(r"</?[\w:-]+> [a-z]{2,} [^<>]*$")
_BULLETS = ("•", "▪", "●", "○", "◦", "■")
#: Maximum lines of an element whose text reads like prose.
MAX_MARKUP_LINES = 12
#: Minimum consecutive lines of a listing that looks like code.
MIN_LISTING_LINES = 2


def mark_listings(lines: list[Line]) -> list[Line]:
    """Return the same lines, with those that look like code marked as monospaced."""
    reads = [not line.table and not line.bold and _reads_as_code(line.text) for line in lines]
    for start, line in enumerate(lines):
        if line.text.startswith(("<", " ")):  # most don't, and a pattern costs more
            for i in range(start, _find_markup_end(lines, start)):
                reads[i] = True
    if not any(reads):
        return lines
    out = list(lines)
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and (reads[end] or _is_between_code(lines, reads, end)):
            end += 1
        if sum(reads[start:end]) >= MIN_LISTING_LINES:
            for i in range(start, end):
                line = lines[i]
                out[i] = Line(line.x0, line.y0, line.x1, line.y1, line.size, line.bold, True, line.text)
        start = max(end, start + 1)
    return out


def _find_markup_end(lines: list[Line], start: int) -> int:
    """Return the end of an element, a tag or a comment that begins at `start` and ends some lines below.

    `start` where none does: its text, which reads like prose, is part of the listing.
    """
    opening = _MARKUP_START.match(lines[start].text)
    if not opening:
        return start
    closing = "-->" if opening["comment"] else f"</{opening['name']}>"
    if closing in lines[start].text or lines[start].text.endswith("/>"):
        return start
    tag_end = start
    is_tag_open = not opening["comment"] and ">" not in lines[start].text
    for end, line in enumerate(lines[start + 1 : start + MAX_MARKUP_LINES], start + 1):
        is_separate = line.table or line.bold != lines[start].bold or line.text.startswith(_BULLETS)
        if is_separate or line.baseline < lines[end - 1].baseline:
            break
        if is_tag_open and ">" in line.text:
            tag_end = end + 1 if line.text.endswith(">") else start
            is_tag_open = False
        if line.text.rstrip().endswith(closing):
            return end + 1
    return tag_end


def _reads_as_code(text: str) -> bool:
    """Whether a line looks like code.

    Its first and last characters rule out most lines before the pattern is tried.
    """
    hint = (
        text[-1] in _LAST_CHARS
        or text[0] in _FIRST_CHARS
        or text.partition(" ")[0].rstrip(":") in _FIRST_WORDS
    )
    if not hint and not text.startswith(("http", "Content-", "Accept")):
        return False
    return bool(_CODE.search(text)) and not _TAG_IN_PROSE.match(text)


def _is_between_code(lines: list[Line], reads: list[bool], i: int) -> bool:
    """Whether a line is a single short one between lines that look like code."""
    if not 0 < i < len(lines) - 1 or not (reads[i - 1] and reads[i + 1]):
        return False
    line, last = lines[i], lines[i - 1]
    return not line.table and len(line.text) < 60 and 0 <= line.y0 - last.y0 < 2 * (last.y1 - last.y0)


def render_listing(lines: list[Line]) -> str:
    """Return a fenced block with the indentation of the page."""
    left = min(line.x0 for line in lines)
    out: list[str] = []
    last: Line | None = None
    for line in lines:
        width = max(1.0, (line.x1 - line.x0) / len(line.text))
        if last is not None and line.y0 - last.y1 > 0.9 * (last.y1 - last.y0):
            out.append("")
        out.append(" " * min(80, round((line.x0 - left) / width)) + line.text)
        last = line
    return prose.make_code_block("\n".join(out))
