"""The code that a reader of a finding needs: its function where that is short, else a window."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property

from securetag.records import SliceLine
from securetag.scanning.identity.describe import CodeFile, Described
from securetag.scanning.identity.scopes import Scope, enclosing, scopes
from securetag.scanning.slicing import SlicedFile

#: Lines of a function that are shown whole.
MAX_LINES = 80
#: Lines of a window: sources and guards come before the flagged line, so more of it does too.
BEFORE, AFTER = 40, 20
#: The same at module level, where there is no function to stay inside.
MODULE_BEFORE, MODULE_AFTER = 8, 4
#: Characters of one line; minified code has it all in one.
MAX_LINE = 600


@dataclass(frozen=True)
class Snippet:
    """Whole lines of a file, except that overlong ones are cut."""

    text: str
    #: 1-based number of its first line in the file.
    line: int
    #: Qualified name of the enclosing function or class; empty at module level.
    scope: str


@dataclass(frozen=True)
class Columns:
    """Where on its lines a place begins and ends: from 1, the end exclusive."""

    start: int
    end: int
    #: A character outside the first 65,536 counts two.
    in_utf16: bool = False


class SourceFile:
    """One file's bytes, read as text, lines and scopes when asked for the first time.

    Lines end with LF, as Semgrep counts them; bytes that aren't UTF-8, and NUL, which
    PostgreSQL's text can't hold, become U+FFFD.
    """

    def __init__(self, content: bytes, language: str, *, code: bytes | None = None) -> None:
        """`code` has the same lines and is what scopes are read in, where the file itself is no code."""
        self.content = content
        self.language = language
        self._code = content if code is None else code

    @cached_property
    def lines(self) -> list[str]:
        """Without their ends."""
        return _lines(self.content)

    @cached_property
    def scopes(self) -> list[Scope]:
        return scopes("\n".join(_lines(self._code)), self.language)

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        while (newline := self.content.find(b"\n", starts[-1])) >= 0:
            starts.append(newline + 1)
        return starts

    def line_at(self, offset: int) -> int:
        """1-based line of a byte offset."""
        return bisect.bisect_right(self._starts, offset)

    @cached_property
    def code_file(self) -> CodeFile:
        return CodeFile(self._code, self.language)

    def describe(self, start: int, end: int, snippet: Snippet) -> Described:
        """Describe the code between two byte offsets, of which `snippet` shows the function."""
        return self.code_file.describe(start, end, snippet.text)

    @cached_property
    def _sliced(self) -> SlicedFile | None:
        return SlicedFile(self.code_file.file) if self.code_file.file is not None else None

    def slice(self, first: int, last: int) -> list[SliceLine]:
        """Return the lines that the flagged ones depend on; none where the language has no grammar."""
        return self._sliced.slice(first, last) if self._sliced is not None else []

    def span(self, first: int, last: int, columns: Columns) -> tuple[int, int] | None:
        """Return the byte offsets of a place on lines that the file has; None for one beyond their ends."""
        begin = self._starts[first - 1] + _bytes_before(self.lines[first - 1], columns.start, columns)
        end = self._starts[last - 1] + _bytes_before(self.lines[last - 1], columns.end, columns)
        return (begin, end) if begin < end <= len(self.content) else None

    def describe_lines(self, first: int, last: int, snippet: Snippet) -> Described:
        """Describe the code on whole lines, blanks around it apart."""
        start = self._starts[min(first, len(self._starts)) - 1]
        end = self._starts[last] if last < len(self._starts) else len(self.content)
        text = self.content[start:end]
        return self.describe(start + len(text) - len(text.lstrip()), start + len(text.rstrip()), snippet)

    def snippet(self, start_line: int, end_line: int, *, column: int = 0) -> Snippet:
        """Around lines that the file has; `column` (from 0) is kept when the first one is cut."""
        scope = enclosing(self.scopes, start_line, end_line)
        first, last = self._extent(scope, start_line, end_line)
        shown = [
            _cut(line, column if number == start_line else 0)
            for number, line in enumerate(self.lines[first - 1 : last], first)
        ]
        return Snippet("\n".join(shown), first, scope.name if scope else "")

    def _extent(self, scope: Scope | None, start: int, end: int) -> tuple[int, int]:
        end = min(end, start + MAX_LINES)
        total = len(self.lines)
        if scope is None or scope.kind == "class":
            low, high = (scope.first, scope.last) if scope else (1, total)
            return max(low, start - MODULE_BEFORE), min(high, end + MODULE_AFTER)
        if scope.last - scope.first < MAX_LINES:
            return scope.first, scope.last
        return max(scope.first, start - BEFORE), min(scope.last, end + AFTER)


def _bytes_before(line: str, column: int, columns: Columns) -> int:
    """Return the bytes of a line before a column; of the whole line where it is shorter."""
    if columns.in_utf16:
        line = line.encode("utf-16-le", "replace")[: 2 * (column - 1)].decode("utf-16-le", "ignore")
    else:
        line = line[: column - 1]
    return len(line.encode("utf-8", "replace"))


def _lines(content: bytes) -> list[str]:
    text = content.decode("utf-8", errors="replace").removeprefix("\ufeff").replace("\0", "\ufffd")
    return [line.removesuffix("\r") for line in text.split("\n")]


def _cut(line: str, column: int) -> str:
    if len(line) <= MAX_LINE:
        return line
    first = max(0, min(column - MAX_LINE // 3, len(line) - MAX_LINE))
    return (
        ("… " if first else "")
        + line[first : first + MAX_LINE]
        + (" …" if first + MAX_LINE < len(line) else "")
    )
