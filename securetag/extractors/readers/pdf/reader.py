"""Read PDF publications: one Record a section, with page numbers as locators.

Headings come from the outline where there is one, else from type sizes and numbering. Running heads
and feet, turned margin text and contents pages go; hyphens at line ends are mended; tables and listings
become Markdown. How bytes become lines is `pages`' business. Options of the catalog row: `tables`
(default true), `title`, `key` (prefix of keys), `skip` (headings), `whole`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import MIN_SECTION_CHARS, Drop, Item, Reader
from securetag.extractors.readers.pdf.headings import find_headings
from securetag.extractors.readers.pdf.layout import (
    find_running_lines,
    has_contents_heading,
    is_contents,
    is_contents_entry,
    measure_body_size,
    order_lines,
)
from securetag.extractors.readers.pdf.lines import Flow, join_rows
from securetag.extractors.readers.pdf.pages import Line, Page, PdfDocument, load_document
from securetag.extractors.readers.pdf.tables import group_rows, join_tables
from securetag.extractors.text import prose
from securetag.extractors.text.language import detect_language
from securetag.extractors.text.sections import MAX_SECTION_CHARS, Piece, build_tree, split_section
from securetag.records import TextLang

#: Headings of front and back matter.
_SKIPPED_HEADINGS = {
    "references", "bibliography", "table of contents", "contents", "list of tables", "list of figures",
    "acknowledgments", "acknowledgements", "authority", "audience", "trademark information",
    "patent disclosure notice", "keywords", "list of appendices", "contributors", "copyright and license",
    "referencias", "bibliografía", "índice", "contenido", "tabla de contenidos", "agradecimientos",
    "palabras clave",
}  # fmt: skip
#: Maximum characters before the first heading that are dropped as a cover.
MAX_COVER_CHARS = 12_000
#: Paragraphs that are used to detect the language.
MAX_PARAGRAPHS = 20
#: Characters of a URL that aren't escaped.
_SAFE_URL_CHARS = ":/?&=%+,;~@!$()*'"
_NUMBER = re.compile(r"^(?:appendix\s+[A-Z]|\d{1,2}(?:\.\d{1,3})*|[A-Z](?=[.:\s–—-]))[\s.:–—-]+", re.I)


class PdfReader(Reader):
    """Reads any PDF that holds text."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        tables = bool(self.source.options.get("tables", True))
        document = load_document(file.path, tables=tables)
        self.child_cpu_s += document.cpu_s
        body = measure_body_size(document.pages)
        pages: list[list[Line]] = []
        for number, (lines, why) in enumerate(clean_pages(document, body, tables=tables), 1):
            if error := document.pages[number - 1].error:
                yield Failure(str(file.path), f"page {number}", error)
            elif why:
                yield Drop(why, f"page {number}")
            pages.append(lines)
        if not any(pages):
            raise SourceError(
                f"its {len(pages)} pages hold no text",
                hint="Are they scanned? Text recognition has to come first.",
            )
        yield from self._sections(file, document, Flow(pages, find_headings(document, pages, body), body))

    def _sections(self, file: FetchedFile, document: PdfDocument, flow: Flow) -> Iterator[Item]:
        stem = PurePosixPath(unquote(urlsplit(file.url).path)).stem
        title = self.source.options.get("title") or prose.clean_line(document.title) or stem
        items = list(flow.items())
        lang = _detect_document_language([text for level, text, _ in items if level == 0], self.source.lang)
        root = build_tree(str(title), iter(items))
        seen: Counter[str] = Counter()
        for piece in _merge_short_pieces(
            split_section(root, whole=int(self.source.options.get("whole", MAX_SECTION_CHARS)))
        ):
            cover = root.children and piece.path == (root.title,) and piece.text == root.own_text
            if cover and len(piece.text) <= MAX_COVER_CHARS:
                yield Drop("cover and front matter", f"page {piece.start}")
            else:
                yield self._item(piece, file, str(self.source.options.get("key", stem)), seen, lang)

    def _item(
        self, piece: Piece, file: FetchedFile, prefix: str, seen: Counter[str], lang: TextLang | None
    ) -> Item:
        path = [prose.clean_line(title) for title in piece.path]
        locator = f"page {piece.start}"
        plain = {_NUMBER.sub("", title).lower() for title in path[1:]}
        if plain & (_SKIPPED_HEADINGS | set(self.source.options.get("skip", []))):
            return Drop("front or back matter", locator)
        text = prose.clean(piece.text)
        url = f"{quote(file.url, safe=_SAFE_URL_CHARS)}#page={piece.start}"
        certain = lang is not None
        return self.section_record(
            file, prefix, path, text, seen, locator=locator, url=url, lang=lang, is_lang_certain=certain
        )


def _detect_document_language(blocks: list[str], hint: TextLang) -> TextLang | None:
    """Return the language of the document by its paragraphs; None for one without paragraphs.

    Tables of names don't show a language.
    """
    prose_alone = [text for text in blocks if len(text) > 200 and not text.lstrip().startswith(("|", "`"))]
    return detect_language("\n\n".join(prose_alone[:MAX_PARAGRAPHS]), hint) if prose_alone else None


def _merge_short_pieces(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the pieces, each too short one appended to the previous piece of the same section."""
    last: Piece | None = None
    for piece in pieces:
        if (
            last is not None
            and piece.text
            and len(piece.text) < MIN_SECTION_CHARS
            and last.path[:-1] == piece.path[:-1]
        ):
            last = replace(last, text=f"{last.text}\n\n### {piece.path[-1]}\n\n{piece.text}")
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def clean_pages(document: PdfDocument, body: int, *, tables: bool) -> Iterator[tuple[list[Line], str]]:
    """Yield (lines in reading order, why there are none) of each page; tables are separate lines."""
    running = find_running_lines(document.pages, body)
    for page in document.pages:
        lines = order_lines(page, running, body)
        if why := _nothing(page, lines):
            yield [], why
        else:
            rows = group_rows(lines)
            joined = join_rows(join_tables(rows) if tables else rows)
            yield [line for line in joined if not is_contents_entry(line)], ""


def _nothing(page: Page, lines: list[Line]) -> str:
    """Return why a page has no lines; empty for a page that has some."""
    if not page.lines:
        return "a page of images only" if page.images else "an empty page"
    if not lines:
        return "a page of running heads only"
    return "a contents page" if is_contents(lines, named=has_contents_heading(page)) else ""
