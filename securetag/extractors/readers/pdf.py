"""PDF publications → one Record a section, with page numbers as locators.

Headings come from the outline where there is one, else from type sizes and numbering. Running heads
and feet, turned margin text and contents pages go; hyphens at line ends are mended. How bytes become
lines is `pdf_pages`' business. Options of the catalog row: `tables` (default true), `title`,
`key` (prefix of keys), `skip` (headings), `whole`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from securetag.extractors import prose
from securetag.extractors.fetch import FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader
from securetag.extractors.readers.markdown import SHORTEST, slug
from securetag.extractors.readers.pdf_lines import body_size, flow, headings_of, page_lines, running_lines
from securetag.extractors.readers.pdf_pages import PdfDocument, load
from securetag.extractors.readers.sections import WHOLE, Piece, pieces, tree
from securetag.records import Facts

#: Sections that hold no prose of the publication's own.
_SKIP = {
    "references", "bibliography", "table of contents", "contents", "list of tables", "list of figures",
    "acknowledgments", "acknowledgements", "authority", "audience", "trademark information",
    "patent disclosure notice", "keywords",
}  # fmt: skip
_NUMBER = re.compile(r"^(?:appendix\s+[A-Z]|\d{1,2}(?:\.\d{1,3})*|[A-Z](?=[.:\s–—-]))[\s.:–—-]+", re.I)


class PdfReader(Reader):
    """Reads any PDF that holds text."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        document = load(file.path, tables=bool(self.source.options.get("tables", True)))
        for number, page in enumerate(document.pages, 1):
            if not page.lines and page.images:
                yield Drop("a page of images only", f"page {number}")
        stem = PurePosixPath(unquote(urlsplit(file.url).path)).stem
        title = self.source.options.get("title") or prose.one_line(document.title) or stem
        root = tree(str(title), lines_of(document))
        seen: Counter[str] = Counter()
        for piece in pieces(root, whole=int(self.source.options.get("whole", WHOLE))):
            if root.children and piece.path == (root.title,) and piece.text == root.own:
                yield Drop("cover and front matter", f"page {piece.start}")
                continue
            yield self._item(piece, file, str(self.source.options.get("key", stem)), seen)

    def _item(self, piece: Piece, file: FetchedFile, prefix: str, seen: Counter[str]) -> Item:
        path = [prose.one_line(title) for title in piece.path]
        locator = f"page {piece.start}"
        plain = {_NUMBER.sub("", title).lower() for title in path[1:]}
        if plain & (_SKIP | set(self.source.options.get("skip", []))):
            return Drop("front or back matter", locator)
        text = prose.clean(piece.text)
        if len(text) < SHORTEST:
            return Drop(f"shorter than {SHORTEST} characters", locator)
        key = f"{prefix}#{'/'.join(slug(title) for title in path[1:])}" if path[1:] else prefix
        seen[key] += 1
        if seen[key] > 1:
            key = f"{key}-{seen[key]}"
        return self.record(
            file, key=key, title=": ".join(dict.fromkeys([path[0], path[-1]])), text=text, locator=locator,
            url=f"{file.url}#page={piece.start}", facts=Facts(kind="section", section=path),
        )  # fmt: skip


def lines_of(document: PdfDocument) -> Iterator[tuple[int, str, int]]:
    """(level, text, page): level 0 is a paragraph, list item or table, above 0 a heading."""
    running = running_lines(document.pages)
    body = body_size(document.pages)
    pages = [page_lines(page, running) for page in document.pages]
    yield from flow(pages, headings_of(document, pages, body), body)
