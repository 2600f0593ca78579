"""Read Markdown pages that Jekyll assembles from several files: one Record a section.

A file with front matter is a page; `{% include_relative part.md %}` includes another file, which is not a
page. The Record of a section has the file that it was read from, and the name of the page that it belongs
to. https://jekyllrb.com/docs/includes/

Options are those of the Markdown reader; in `page`, `{stem}` is the page's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, describe_error, read_text
from securetag.extractors.readers.markdown import MarkdownReader, Page, get_upstream_path
from securetag.extractors.text import prose
from securetag.extractors.text.markdown_blocks import split_front_matter
from securetag.extractors.text.sections import MAX_SECTION_CHARS, Piece, Section, split_section
from securetag.records import normalise_text

_INCLUDE = re.compile(r"\{%-?\s*include(?:_relative|_cached)?\s+([^\s%{}]+)[^%{}]*%\}")
#: Values of the site that Liquid inserts: times, titles, addresses.
_LIQUID_VALUE = re.compile(r"[ \t]*\{\{-?\s*(?:site|page|include|content)\b[^{}]*\}\}")


class JekyllReader(MarkdownReader):
    """Reads the sources of a Jekyll site."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        yield from super().prepare(files)
        #: Path of a page or of an included file → (title, stem) of the page.
        self._pages: dict[str, tuple[str, str]] = {}
        self._parts: set[str] = set()
        for file in files:
            try:
                front, body = split_front_matter(normalise_text(read_text(file)))
            except SourceError as error:
                yield Failure(str(file.path), "", describe_error(error))
                continue
            path = get_upstream_path(file)
            if not front:
                continue
            page = self._pages[str(path)] = str(front.get("title") or path.stem), path.stem
            for include in _INCLUDE.findall(body):
                part = posixpath.normpath(posixpath.join(str(path.parent), include))
                self._pages.setdefault(part, page)
                self._parts.add(part)

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        path = str(get_upstream_path(file))
        if path not in self._pages:
            yield Drop("a file that no page includes")
            return
        title, stem = self._pages[path]
        page = replace(self.parse(file), key=stem)
        if path not in self._parts and not page.root.whole():
            yield Drop("a page that holds nothing but other files")
            return
        whole = int(self.source.options.get("whole", MAX_SECTION_CHARS))
        for piece in (
            _split_part(page.root, title, whole)
            if path in self._parts
            else split_section(page.root, whole=whole)
        ):
            yield self.section(page, piece)

    def body(self, text: str) -> str:
        return prose.map_prose(super().body(text), lambda piece: _LIQUID_VALUE.sub("", piece))

    def url(self, page: Page) -> str:
        template = self.source.options.get("page")
        return str(template).format(stem=quote(page.key)) if template else super().url(page)


def _split_part(root: Section, title: str, whole: int) -> Iterator[Piece]:
    """Yield the sections of an included file below the title of its page.

    A file that begins with text has no heading above it.
    """
    if root.level:
        yield from split_section(root, (title,), whole=whole)
        return
    if prose.clean(root.own_text):
        yield Piece((title, root.title), root.own_text, root.start)
    for child in root.children:
        yield from split_section(child, (title,), whole=whole)
