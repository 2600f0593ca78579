"""PDF publications → one Record a section, with page numbers as locators.

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
from securetag.extractors.readers.base import Drop, Item, Reader
from securetag.extractors.readers.markdown import SHORTEST, slug
from securetag.extractors.readers.pdf.headings import headings_of
from securetag.extractors.readers.pdf.layout import (
    body_size,
    is_contents,
    leads_to_a_page,
    names_contents,
    page_lines,
    running_lines,
)
from securetag.extractors.readers.pdf.lines import Flow, join_rows
from securetag.extractors.readers.pdf.pages import Line, Page, PdfDocument, load
from securetag.extractors.readers.pdf.tables import rows_of, with_tables
from securetag.extractors.text import prose
from securetag.extractors.text.language import detect_language
from securetag.extractors.text.sections import MAX_SECTION_CHARS, Piece, build_tree, split_section
from securetag.records import Facts, TextLang

#: Sections that hold no prose of the publication's own.
_SKIP = {
    "references", "bibliography", "table of contents", "contents", "list of tables", "list of figures",
    "acknowledgments", "acknowledgements", "authority", "audience", "trademark information",
    "patent disclosure notice", "keywords", "list of appendices", "contributors", "copyright and license",
    "referencias", "bibliografía", "índice", "contenido", "tabla de contenidos", "agradecimientos",
    "palabras clave",
}  # fmt: skip
#: Characters of text before the first heading up to which it is a cover.
_COVER = 12_000
#: Paragraphs that tell a document's language.
_PARAGRAPHS = 20
#: Characters that a URL may hold as they are.
_URL = ":/?&=%+,;~@!$()*'"
_NUMBER = re.compile(r"^(?:appendix\s+[A-Z]|\d{1,2}(?:\.\d{1,3})*|[A-Z](?=[.:\s–—-]))[\s.:–—-]+", re.I)


class PdfReader(Reader):
    """Reads any PDF that holds text."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        tables = bool(self.source.options.get("tables", True))
        document = load(file.path, tables=tables)
        self.child_cpu_s += document.cpu_s
        body = body_size(document.pages)
        pages: list[list[Line]] = []
        for number, (lines, why) in enumerate(lines_of(document, body, tables=tables), 1):
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
        yield from self._sections(file, document, Flow(pages, headings_of(document, pages, body), body))

    def _sections(self, file: FetchedFile, document: PdfDocument, flow: Flow) -> Iterator[Item]:
        stem = PurePosixPath(unquote(urlsplit(file.url).path)).stem
        title = self.source.options.get("title") or prose.clean_line(document.title) or stem
        items = list(flow.items())
        lang = _language([text for level, text, _ in items if level == 0], self.source.lang)
        root = build_tree(str(title), iter(items))
        seen: Counter[str] = Counter()
        for piece in _gathered(
            split_section(root, whole=int(self.source.options.get("whole", MAX_SECTION_CHARS)))
        ):
            cover = root.children and piece.path == (root.title,) and piece.text == root.own_text
            if cover and len(piece.text) <= _COVER:
                yield Drop("cover and front matter", f"page {piece.start}")
            else:
                yield self._item(piece, file, str(self.source.options.get("key", stem)), seen, lang)

    def _item(
        self, piece: Piece, file: FetchedFile, prefix: str, seen: Counter[str], lang: TextLang | None
    ) -> Item:
        path = [prose.clean_line(title) for title in piece.path]
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
            url=f"{quote(file.url, safe=_URL)}#page={piece.start}", facts=Facts(kind="section", section=path),
            lang=lang, certain=lang is not None,
        )  # fmt: skip


def _language(blocks: list[str], hint: TextLang) -> TextLang | None:
    """Of the whole document, by its paragraphs; None where it has none: a table of names says little."""
    prose_alone = [text for text in blocks if len(text) > 200 and not text.lstrip().startswith(("|", "`"))]
    return detect_language("\n\n".join(prose_alone[:_PARAGRAPHS]), hint) if prose_alone else None


def _gathered(found: Iterable[Piece]) -> Iterator[Piece]:
    """The same pieces, one too short to stand alone put under the one before it in the same section."""
    last: Piece | None = None
    for piece in found:
        if (
            last is not None
            and piece.text
            and len(piece.text) < SHORTEST
            and last.path[:-1] == piece.path[:-1]
        ):
            last = replace(last, text=f"{last.text}\n\n### {piece.path[-1]}\n\n{piece.text}")
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def lines_of(document: PdfDocument, body: int, *, tables: bool) -> Iterator[tuple[list[Line], str]]:
    """(lines in reading order, why there are none) of each page; tables are lines of their own."""
    running = running_lines(document.pages, body)
    for page in document.pages:
        lines = page_lines(page, running, body)
        if why := _nothing(page, lines):
            yield [], why
        else:
            rows = rows_of(lines)
            joined = join_rows(with_tables(rows) if tables else rows)
            yield [line for line in joined if not leads_to_a_page(line)], ""


def _nothing(page: Page, lines: list[Line]) -> str:
    """Why a page gives nothing; empty when it does."""
    if not page.lines:
        return "a page of images only" if page.images else "an empty page"
    if not lines:
        return "a page of running heads only"
    return "a contents page" if is_contents(lines, named=names_contents(page)) else ""
