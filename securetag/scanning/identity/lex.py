"""Split source code into tokens, well enough to find functions and to compare code.

No parser: uploaded code may be broken, of an old version, or written to exhaust a parser's stack.
Each expression below reads a string or comment once from left to right, so the cost is linear, and
any text at all has tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Family = Literal["python", "c"]
Kind = Literal["word", "string", "symbol"]

#: Languages whose comments are `#` and whose blocks are indented; all others are read like C.
_INDENTED = frozenset({"python", "py", "python3"})

_PYTHON = re.compile(
    r"""
      (?P<blank>[ \t\f\r]+|\\\r?\n)
    | (?P<newline>\n)
    | (?P<comment>\#[^\n]*)
    | (?P<string>\"{3}(?:\\.|[^\\])*?(?:\"{3}|\Z) | '{3}(?:\\.|[^\\])*?(?:'{3}|\Z)
        | "(?:\\.|[^"\\\n])*"? | '(?:\\.|[^'\\\n])*'?)
    | (?P<word>\w+)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_C = re.compile(
    r"""
      (?P<blank>[ \t\f\r\v]+)
    | (?P<newline>\n)
    | (?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<string>"(?:\\.|[^"\\\n])*"? | '(?:\\.|[^'\\\n])*'? | `(?:\\.|[^`\\])*`?)
    | (?P<word>[\w$]+)
    | (?P<symbol>=>|.)
    """,
    re.VERBOSE | re.DOTALL,
)
#: A JavaScript regular expression, tried where a value may be and a division may not.
_REGEX = re.compile(r"/(?![*/])(?:\\[^\n]|\[(?:\\[^\n]|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*")
_BEFORE_VALUE = frozenset("(,=:[!&|?{};+-*%<>~^") | {"=>", "return", "typeof", "case", "in", "of", "throw"}


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    #: 1-based line of its first and last character.
    line: int
    last: int
    #: Column of its first character from 0, a tab counting as one.
    column: int
    #: First on its line, blanks apart.
    leads: bool
    #: The width of the blanks before a leading token, tabs to multiples of 8.
    indent: int = 0


def family(language: str) -> Family:
    """Which of the two ways to read a language."""
    return "python" if language.lower() in _INDENTED else "c"


def tokens(code: str, kind: Family) -> Iterator[Token]:
    """The tokens of `code` without comments and blanks."""
    pattern = _PYTHON if kind == "python" else _C
    position, line, start = 0, 1, 0
    leads, before = True, ""
    while position < len(code):
        match = None
        if kind == "c" and code[position] == "/" and (not before or before in _BEFORE_VALUE):
            match = _REGEX.match(code, position)
        if match:
            group = "string"
        else:
            match = pattern.match(code, position)
            assert match is not None  # `.` matches anything
            group = match.lastgroup or "symbol"
        text = match.group()
        newlines = text.count("\n")
        if group == "newline":
            leads = True
        elif group in {"word", "string", "symbol"}:
            indent = len(code[start:position].expandtabs(8)) if leads else 0
            what: Kind = "word" if group == "word" else "string" if group == "string" else "symbol"
            yield Token(what, text, line, line + newlines, position - start, leads, indent)
            leads, before = False, text
        position = match.end()
        if newlines:
            line += newlines
            start = position - len(text) + text.rfind("\n") + 1
    return


def normalised(code: str, language: str) -> str:
    """`code` as its tokens, one space apart: comments, blanks, indentation and trailing commas gone.

    Inside a string that spans lines, each line's outer blanks go too, since re-indenting moves them.
    """
    out: list[str] = []
    for token in tokens(code, family(language)):
        text = token.text
        if text in {")", "]", "}"} and out and out[-1] == ",":
            out.pop()
        if token.kind == "string" and "\n" in text:
            text = "\n".join(part.strip() for part in text.split("\n"))
        out.append(text)
    return " ".join(out)
