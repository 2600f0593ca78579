"""Find the blocks of Markdown: the one place that decides what is a heading and what is code.

markdown-it-py parses blocks as CommonMark says (https://spec.commonmark.org/0.31.2/), with few rules: blocks
of HTML are text, so that Markdown inside of them is read. `scan` leaves out lists, tables and indented code
too: publishers indent text, and fences in it, below admonitions and loose list items.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from markdown_it import MarkdownIt

_UNUSED_RULES = ["normalize", "inline", "html_block", "reference"]
_PARSER = MarkdownIt("commonmark").disable(_UNUSED_RULES)
#: Without lists a scan of OWASP's Markdown takes 0.8 CPU-seconds instead of 1.9.
_FLAT_PARSER = MarkdownIt("commonmark").disable([*_UNUSED_RULES, "list", "code"])
#: A line over dashes that they don't make a heading, since they end a list or a table.
_ITEM_OR_ROW = re.compile(r"\s*(?:[-*+|]|\d+[.)])")


class Block(NamedTuple):
    """A heading or a block of code, from line `start` to before line `end`, numbered from 0."""

    start: int
    end: int
    #: 1 to 6 for a heading, 0 for code.
    level: int
    #: The words of a heading as they are written, or the lines of code.
    content: str


@lru_cache(maxsize=16)
def scan(text: str) -> tuple[Block, ...]:
    """Return the fenced code, and the headings outside of quotations, in order. Only LF ends a line."""
    tokens = _FLAT_PARSER.parse(text)
    blocks = []
    for index, token in enumerate(tokens):
        if token.map and token.type == "fence":
            blocks.append(Block(token.map[0], token.map[1], 0, token.content))
        elif token.map and token.type == "heading_open" and token.level == 0:
            start, end = token.map
            title = tokens[index + 1].content.rpartition("\n")[2]
            if token.markup[0] == "#":
                blocks.append(Block(start, end, int(token.tag[1]), title))
            elif not _ITEM_OR_ROW.match(title):
                # Publishers underline one line; lines above it are a paragraph that misses its blank line.
                blocks.append(Block(end - 2, end, int(token.tag[1]), title))
    return tuple(blocks)


def scan_indented_code(text: str) -> list[Block]:
    """Return the code that only its indentation marks, outside of lists and quotations."""
    return [
        Block(token.map[0], token.map[1], 0, token.content)
        for token in _PARSER.parse(text)
        if token.map and token.type == "code_block" and token.level == 0
    ]
