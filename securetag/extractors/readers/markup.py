"""Read documents that a converter makes HTML of: reStructuredText, and what pandoc reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, read_text
from securetag.extractors.readers.markdown import LINK_SECTIONS, name_pages
from securetag.extractors.text import prose
from securetag.extractors.text.html_page import parse_fragment
from securetag.extractors.text.pandoc import convert_document
from securetag.extractors.text.rst import convert_rst
from securetag.extractors.text.sections import MAX_SECTION_CHARS, build_tree, split_section


class _HtmlSections(Reader):
    """Makes a Record of each section of a document in HTML of our own making, of which everything counts."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        self._names = name_pages(files, self.source.lang)
        yield from ()

    def sections(self, file: FetchedFile, html: str) -> Iterator[Item]:
        name = self._names[file]
        blocks = ((level, text if level else f"{text}\n", 1) for level, text in parse_fragment(html))
        root = build_tree("", blocks)
        if len(root.children) == 1 and not root.own_text:
            root = root.children[0]
        root.title = root.title or (root.children[0].title if root.children else name.replace("_", " "))
        seen: Counter[str] = Counter()
        for piece in split_section(root, whole=int(self.source.options.get("whole", MAX_SECTION_CHARS))):
            headings = [prose.clean_line(title) for title in piece.path]
            locator = " > ".join(headings)
            if headings[-1].lower().rstrip(":") in LINK_SECTIONS:
                yield Drop("a list of links", locator)
                continue
            text = prose.clean(piece.text) if prose.find_residue(piece.text) else piece.text
            yield self.section_record(file, name, headings, text, seen, locator=locator)


class RstReader(_HtmlSections):
    """Reads reStructuredText, also Sphinx's."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        html, lost = convert_rst(read_text(file))
        yield from (Failure(str(file.path), "", reason) for reason in lost)
        yield from self.sections(file, html)


class DocumentReader(_HtmlSections):
    """Reads AsciiDoc and office files with pandoc."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        yield from self.sections(file, convert_document(file.path, file.path.suffix.lower()))
