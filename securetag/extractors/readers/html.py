"""Read HTML pages: one Record a section of their main content.

Options of the catalog row: `skip` (headings whose sections are left out), `whole` (maximum characters of a
section that keeps its subsections).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, read_bytes
from securetag.extractors.readers.markdown import LINK_SECTIONS
from securetag.extractors.text import prose
from securetag.extractors.text.html_page import Page, decode_page, is_soft_404, parse_page
from securetag.extractors.text.sections import MAX_SECTION_CHARS, Piece, Section, build_tree, split_section


class HtmlReader(Reader):
    """Reads pages of any site."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        page = parse_page(decode_page(read_bytes(file)))
        stem = make_page_stem(file.url, self.source.url)
        title = page.title or stem
        if is_soft_404(page):
            yield Drop("a page that says it isn't there", title)
            return
        root = build_sections(page, title)
        seen: Counter[str] = Counter()
        for piece in split_section(root, whole=int(self.source.options.get("whole", MAX_SECTION_CHARS))):
            yield self._item(piece, file, stem, page.lang, seen)

    def _item(self, piece: Piece, file: FetchedFile, stem: str, lang: str, seen: Counter[str]) -> Item:
        path = [" ".join(title.split()) for title in piece.path]
        locator = " > ".join(path)
        last = path[-1].lower().rstrip(":")
        if last in LINK_SECTIONS or last in self.source.options.get("skip", []):
            return Drop("a list of links", locator)
        text = piece.text if not prose.find_residue(piece.text) else prose.clean(piece.text)
        return self.section_record(file, stem, path, text, seen, locator=locator, lang=lang or None)


def build_sections(page: Page, title: str) -> Section:
    """Return the blocks of a page as a tree by heading, whose root is the only H1 or is named `title`."""
    root = build_tree(title, ((level, text if level else f"{text}\n", 1) for level, text in page.blocks))
    return root.children[0] if len(root.children) == 1 and not root.own_text else root


def make_page_stem(url: str, root: str) -> str:
    """Return the name of a page in keys: its path below the source's address, without suffix."""
    path, base = (unquote(urlsplit(address).path) for address in (url, root))
    relative = (
        path.removeprefix(base.rsplit("/", 1)[0]) if urlsplit(url).netloc == urlsplit(root).netloc else path
    )
    if urlsplit(url).scheme == "file":
        relative = path.rsplit("/", 1)[-1]
    stem = re.sub(r"\.(?:x?html?|php|aspx?|jsp)$", "", relative.strip("/"), flags=re.I)
    stem = re.sub(r"(?:^|/)index$", "", stem) or base.strip("/").rsplit("/", 1)[-1] or "index"
    query = urlsplit(url).query
    return f"{stem}?{query}" if query else stem
