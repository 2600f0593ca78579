"""Repair source code that CWE's REST API has converted from XHTML to Markdown.

Upstream marks code inside code: each nested level gets fences of its own, and a comment or a line in bold
keeps the asterisks of emphasis (``*// comment* ``). The first line of a marked block loses its opening
asterisks and its indentation. The XML of an edition has none of this, so its form of the same code is
preferred where it is at hand (`index_code`).
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from securetag.extractors.text.xhtml import to_code
from securetag.extractors.text.xml_doc import get_name, iter_entries

_COMMENT = re.compile(r"//|/\*|#|--|<!--|;|%|'")
_MARKS_AND_SPACE = re.compile(r"[\s*`]+")
_OPENING = re.compile(r"(?P<indent>[ \t]*?) ?(?P<mark>\*{1,2})(?=[^\s*])")
#: The end of emphasis: asterisks before a line break, which upstream writes as a blank or two.
_CLOSING = re.compile(r"(?<=[^\s*/])\s?\*{1,2} ?$|(?<=\*/)\*{1,2} ?$")
#: Emphasis that ends before more code of the line: `end_of_bold**  );`, `// comment* }`.
_CLOSING_BOLD = re.compile(r"(?<=[^\s*])\*\*(?=  ?\S)")
_CLOSING_COMMENT = re.compile(r"^(?P<comment>\s*(?://|#|\.\.\.).*[^\s*/])\*(?P<code> +[}\s;]+)$")
_OPENERS = ("{", "begin", ":", "(")
_SPECIAL = re.compile(r"\.\.\.|--'")


def index_code(path: Path) -> dict[str, str]:
    """Return the example code of CWE's XML by `make_code_key` of it. Raises SourceError."""
    index: dict[str, str] = {}
    for entry in iter_entries(path, "Weakness_Catalog", ("Weakness",)):
        for element in entry.iter("{*}Example_Code"):
            if get_name(element) == "Example_Code" and (code := to_code(element)):
                index[make_code_key(code)] = code
    return index


def make_code_key(code: str) -> str:
    """Return the code without what upstream's conversion adds and loses: space, asterisks and backticks."""
    return _MARKS_AND_SPACE.sub("", code)


def repair_code(code: str) -> str:
    """Return the code without fences and emphasis, and without its common indentation."""
    lines: list[str] = []
    unindented: list[int] = []
    is_block_start = is_open = False
    for line in code.strip("\n").split("\n"):
        if line.strip() == "```":
            is_block_start = True
            continue
        if line and not line.strip():
            continue  # upstream puts two of them before each marked line
        repaired, is_open = _remove_emphasis(line, is_open=is_open, is_block_start=is_block_start)
        if is_block_start and repaired != line and repaired == repaired.lstrip():
            unindented.append(len(lines))
        lines += repaired.split("\n")
        is_block_start = False
    for position in unindented:
        lines[position] = _get_indentation(lines, position) + lines[position]
    return textwrap.dedent("\n".join(line.rstrip() for line in lines)).strip("\n")


def _remove_emphasis(line: str, *, is_open: bool, is_block_start: bool) -> tuple[str, bool]:
    """Return the line without the marks of emphasis, and whether emphasis goes on in the next line."""
    opening = _OPENING.match(line)
    text = opening["indent"] + line[opening.end() :] if opening else line
    words = text.strip()
    if re.fullmatch(r"\*?/\.\.\./\*?", words):
        return text.replace("*", ""), False
    if is_block_start and line.endswith("**"):
        return line[:-2], False
    if match := _CLOSING_COMMENT.match(text):
        return f"{match['comment']}\n" + "\n".join(match["code"].split()), False
    if _CLOSING_BOLD.search(text) and (is_open or is_block_start or (opening and opening["mark"] == "**")):
        return _CLOSING_BOLD.sub("", text), False
    is_closed = _CLOSING.search(text) is not None
    is_marked = line.endswith("* ") or bool(_COMMENT.match(words) or _SPECIAL.match(words))
    if is_closed and (opening or is_open or (is_marked and (is_block_start or _SPECIAL.match(words)))):
        return _CLOSING.sub("", text), False
    if is_closed and is_marked and _COMMENT.match(words):
        return _CLOSING.sub("", text), False
    if opening and (opening["mark"] == "**" or _COMMENT.match(words)):
        is_pointer = opening["mark"] == "**" and re.match(r"\w+\s*=[^=]", words) and not line.startswith(" ")
        return (line, False) if is_pointer else (text, True)
    return (text, is_open) if is_open and opening and opening["mark"] == "**" else (line, is_open)


def _get_indentation(lines: list[str], position: int) -> str:
    """Return the indentation of the line after; that of the line before where code ends a block."""
    following = lines[position + 1] if position + 1 < len(lines) else ""
    before = lines[position - 1] if position else ""
    after_indent = following[: len(following) - len(following.lstrip())]
    before_indent = before[: len(before) - len(before.lstrip())]
    is_opener = before.rstrip().endswith(_OPENERS)
    if lines[position].endswith(_OPENERS):
        return after_indent[:-1] if not before else before_indent
    if _COMMENT.match(lines[position]) or is_opener or not before:
        return after_indent
    return min(after_indent, before_indent, key=len)
