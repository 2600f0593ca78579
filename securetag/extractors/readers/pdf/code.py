"""Listings: lines in type of one width, or that read as code, become fenced blocks. Pure."""

from __future__ import annotations

import re

from securetag.extractors.readers.pdf.pages import Line
from securetag.extractors.text import prose

#: What ends or begins lines of code, markup and HTTP, and hardly a line of prose.
_CODE = re.compile(
    r"[=()\[\]$\"'].*;$|[{}]\s*[;,]?$|^[})\]]+[;,]?$|^</?[\w:?!-]+[^<>]*>|\w+>$"
    r"|^\s*(?://|/\*|\*/|<!--|<\?|#include)"
    r"|^(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|TRACE|CONNECT)\s+\S+\s+HTTP/|^HTTP/\d|^\$ \S|^https?://\S+$"
    r"|^(?:public|private|protected|static|import|using|package|function|var|def|class|return|SELECT)\b.*[({;:)]$"
    r"|^(?:Host|(?:Set-)?Cookie|User-Agent|Content-[A-Z]\w+|Accept[\w-]*|Server|Date|Connection|Referer"
    r"|Location): \S"
)
_LAST, _FIRST = frozenset(";{}>),]"), frozenset("<$/})]*#")
_OPENING = frozenset((
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT", "public", "private", "protected",
    "static", "import", "using", "package", "function", "var", "def", "class", "return", "SELECT", "Host",
    "Cookie", "Set-Cookie", "User-Agent", "Server", "Date", "Connection", "Referer", "Location",
))  # fmt: skip
#: Lines in a row that make a listing out of what reads as code.
_FEWEST = 2


def mark_listings(lines: list[Line]) -> list[Line]:
    """The same lines, those that read as code marked as set in type of one width."""
    reads = [not line.table and not line.bold and _reads(line.text) for line in lines]
    if not any(reads):
        return lines
    out = list(lines)
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and (reads[end] or _between(lines, reads, end)):
            end += 1
        if sum(reads[start:end]) >= _FEWEST:
            for i in range(start, end):
                line = lines[i]
                out[i] = Line(line.x0, line.y0, line.x1, line.y1, line.size, line.bold, True, line.text)
        start = max(end, start + 1)
    return out


def _reads(text: str) -> bool:
    """True = as code. Where a line begins and ends tells most lines apart before the pattern is asked."""
    hint = text[-1] in _LAST or text[0] in _FIRST or text.partition(" ")[0].rstrip(":") in _OPENING
    return (hint or text.startswith(("http", "Content-", "Accept"))) and bool(_CODE.search(text))


def _between(lines: list[Line], reads: list[bool], i: int) -> bool:
    """True = one short line among such as read as code."""
    if not 0 < i < len(lines) - 1 or not (reads[i - 1] and reads[i + 1]):
        return False
    line, last = lines[i], lines[i - 1]
    return not line.table and len(line.text) < 60 and 0 <= line.y0 - last.y0 < 2 * (last.y1 - last.y0)


def listing(lines: list[Line]) -> str:
    """A fenced block, indented as it stands on the page."""
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
