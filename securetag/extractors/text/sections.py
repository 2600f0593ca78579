"""Build a tree of sections from a document's lines, and split it into pieces, one a Record.

A section that fits stays whole, with its subsections; a longer one gives its own text and leaves its
subsections to themselves. So a Record is what an author put under one heading, never a window of
so many tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

#: Maximum characters (about 1,500 tokens) of a section that keeps its subsections.
MAX_SECTION_CHARS = 6_000


@dataclass
class Section:
    """A heading, the text under it, and the sections inside it."""

    level: int
    title: str
    lines: list[str] = field(default_factory=list)
    children: list[Section] = field(default_factory=list)
    #: Number of the page (PDF) or line (text) where it starts, from 1.
    start: int = 1

    @property
    def own_text(self) -> str:
        """Text before the first subsection."""
        return "\n".join(self.lines).strip()

    def whole(self) -> str:
        """Return the section's text, then the subsections with their headings."""
        inside = (f"{'#' * min(6, child.level)} {child.title}\n\n{child.whole()}" for child in self.children)
        parts = [self.own_text, *(text.strip() for text in inside)]
        return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True)
class Piece:
    """The content of one future Record: the headings down to it, its text, and where it starts."""

    path: tuple[str, ...]
    text: str
    start: int


def build_tree(title: str, items: Iterator[tuple[int, str, int]]) -> Section:
    """Return a tree of (level, text, start) items: level 0 is a line of text, above 0 a heading."""
    root = Section(0, title)
    open_sections = [root]
    for level, text, start in items:
        if level == 0:
            open_sections[-1].lines.append(text)
            continue
        while open_sections[-1].level >= level:
            open_sections.pop()
        section = Section(level, text, start=start)
        open_sections[-1].children.append(section)
        open_sections.append(section)
    return root


def split_section(
    section: Section, path: tuple[str, ...] = (), *, whole: int = MAX_SECTION_CHARS
) -> Iterator[Piece]:
    """Yield the pieces of a section in the order of the document."""
    path_to_here = (*path, section.title)
    text = section.whole()
    if len(text) <= whole or not section.children:
        yield Piece(path_to_here, text, section.start)
        return
    if section.own_text:
        yield Piece(path_to_here, section.own_text, section.start)
    for child in section.children:
        yield from split_section(child, path_to_here, whole=whole)


def take_beginning(section: Section, *, whole: int = MAX_SECTION_CHARS) -> tuple[str, list[Section]]:
    """Return the beginning of a page, of at most `whole` characters, and the remaining subsections.

    The beginning is the section's own text and its first subsections; where there is no own text, it
    holds the first subsection's own text at least.
    """
    text, remaining = section.own_text, list(section.children)
    while remaining:
        child = remaining[0]
        child_text = f"{'#' * min(6, child.level)} {child.title}\n\n{child.whole()}"
        if text and len(text) + len(child_text) > whole:
            break
        if not text and len(child_text) > whole and child.children:
            if child.own_text:
                text = f"{'#' * min(6, child.level)} {child.title}\n\n{child.own_text}"
                remaining[0] = Section(child.level, child.title, [], child.children, child.start)
            break
        text = "\n\n".join(part for part in (text, child_text) if part)
        remaining.pop(0)
    return text, remaining
