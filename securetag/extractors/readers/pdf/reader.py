"""Read PDF publications: one Record a section, with page numbers as locators.

Headings come from the outline where there is one, else from type sizes and numbering. Running heads
and feet, turned margin text and contents pages go; hyphens at line ends are mended; tables and listings
become Markdown. How bytes become lines is `pages`' business. Options of the catalog row: `tables`
(default true), `title`, `key` (prefix of keys), `skip` (headings), `whole`. Without `title` the document's
own is taken: that of its metadata unless a program wrote it, else the largest text of the first page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import MIN_SECTION_CHARS, Drop, Item, Reader, make_slug
from securetag.extractors.readers.pdf import front
from securetag.extractors.readers.pdf.direction import remove_right_to_left
from securetag.extractors.readers.pdf.headings import Headings, find_headings
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

_CONTENTS_HEADINGS = {"table of contents", "contents", "índice", "contenido", "tabla de contenidos"}
#: Headings of front and back matter.
_SKIPPED_HEADINGS = _CONTENTS_HEADINGS | {
    "references", "bibliography", "list of tables", "list of figures",
    "acknowledgments", "acknowledgements", "authority", "audience", "trademark information",
    "patent disclosure notice", "keywords", "list of appendices", "contributors", "copyright and license",
    "referencias", "bibliografía", "agradecimientos",
    "palabras clave",
}  # fmt: skip
#: Maximum characters before the first heading that are dropped as a cover.
MAX_COVER_CHARS = 12_000
#: Maximum share of the text from right to left in a document of which the rest is read.
MAX_RIGHT_TO_LEFT_SHARE = 0.5
#: Characters above which a paragraph shows its language, and isn't part of a cover.
MIN_PROSE_CHARS = 200
#: Paragraphs that are used to detect the language.
MAX_PARAGRAPHS = 20
#: Characters of a URL that aren't escaped.
#: A chapter with more of a document's Records than this tells them nothing that the document's title doesn't.
MAX_CHAPTER_SHARE = 0.8
_SAFE_URL_CHARS = ":/?&=%+,;~@!$()*'"
_NUMBER = re.compile(r"^(?:appendix\s+[A-Z]|\d{1,2}(?:\.\d{1,3})*|[A-Z](?=[.:\s–—-]))[\s.:–—-]+", re.I)


class PdfReader(Reader):
    """Reads any PDF that holds text."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        tables = bool(self.source.options.get("tables", True))
        document = load_document(file.path, tables=tables)
        self.child_cpu_s += document.cpu_s
        yield from self._refuse_right_to_left(document)
        if document.damage:
            yield Failure(str(file.path), "", f"{document.damage}, so pages or text may be missing")
        body = measure_body_size(document.pages)
        pages: list[list[Line]] = []
        for number, (lines, why) in enumerate(clean_pages(document, body, tables=tables), 1):
            if error := document.pages[number - 1].error:
                yield Failure(str(file.path), f"page {number}", error)
            elif why:
                yield Drop(why, f"page {number}")
            pages.append(lines)
        if not any(pages):
            raise _describe_no_text(document)
        stem = PurePosixPath(unquote(urlsplit(file.url).path)).stem
        headings = find_headings(document, pages, body)
        title = _choose_title(document, pages, headings, body, stem)
        has_cover = not any(level == 0 for level, _, _ in headings.values())
        title = str(self.source.options.get("title") or title)
        items = list(Flow(pages, headings, body).items())
        yield from self._sections(file, title, stem, items, has_cover=has_cover)

    def _refuse_right_to_left(self, document: PdfDocument) -> Iterator[Drop]:
        """Yield a drop for each page with text from right to left. Raises SourceError when most text is."""
        numbers, share = remove_right_to_left(document.pages)
        if share > MAX_RIGHT_TO_LEFT_SHARE:
            raise SourceError(
                "its text is written from right to left, and a PDF doesn't keep the order of such text",
                hint="Is there an HTML or Markdown edition?",
            )
        yield from (Drop("text from right to left, whose order is lost", f"page {n}") for n in numbers)

    def _sections(
        self, file: FetchedFile, title: str, stem: str, items: list[tuple[int, str, int]], *, has_cover: bool
    ) -> Iterator[Item]:
        """Yield the sections; text before the first is a cover, or (not `has_cover`) may be prose to keep."""
        lang = _detect_document_language([text for level, text, _ in items if level == 0], self.source.lang)
        root = build_tree(title, iter(items))
        split = split_section(root, whole=int(self.source.options.get("whole", MAX_SECTION_CHARS)))
        pieces = [_remove_contents(piece) for piece in _merge_short_pieces(split)]
        seen: Counter[str] = Counter()
        for piece, record_title in zip(pieces, make_titles(pieces), strict=True):
            first = root.children and piece.path == (root.title,) and piece.text == root.own_text
            is_cover = has_cover or not any(_is_prose(block) for block in piece.text.split("\n\n"))
            if first and is_cover and len(piece.text) <= MAX_COVER_CHARS:
                yield Drop("cover and front matter", f"page {piece.start}")
            else:
                key = str(self.source.options.get("key", stem))
                yield self._item(piece, file, key, record_title, seen, lang)

    def _item(
        self,
        piece: Piece,
        file: FetchedFile,
        prefix: str,
        title: str,
        seen: Counter[str],
        document_lang: TextLang | None,
    ) -> Item:
        path = [prose.clean_line(title) for title in piece.path]
        locator = f"page {piece.start}"
        plain = {_NUMBER.sub("", title).lower() for title in path[1:]}
        if plain & (_SKIPPED_HEADINGS | set(self.source.options.get("skip", []))):
            return Drop("front or back matter", locator)
        text = prose.clean(piece.text)
        url = f"{quote(file.url, safe=_SAFE_URL_CHARS)}#page={piece.start}"
        hint = document_lang or self.source.lang
        lang = _detect_document_language(text.split("\n\n"), hint) or document_lang
        return self.section_record(
            file,
            prefix,
            path,
            text,
            seen,
            locator=locator,
            title=title,
            url=url,
            lang=lang,
            is_lang_certain=lang is not None,
        )


def _detect_document_language(blocks: list[str], hint: TextLang) -> TextLang | None:
    """Return the language of a document or a section by its paragraphs; None for one without paragraphs.

    Tables of names don't show a language.
    """
    prose_alone = [text for text in blocks if _is_prose(text)]
    return detect_language("\n\n".join(prose_alone[:MAX_PARAGRAPHS]), hint) if prose_alone else None


def _remove_contents(piece: Piece) -> Piece:
    """Return the piece without a table of contents among the headings above it, which holds no section."""
    above = (title for title in piece.path[1:-1] if title.strip().lower() not in _CONTENTS_HEADINGS)
    return piece if len(piece.path) < 3 else replace(piece, path=(piece.path[0], *above, piece.path[-1]))


def _is_prose(block: str) -> bool:
    """Whether a block of Markdown is a paragraph of sentences, and neither a table nor a listing."""
    return len(block) > MIN_PROSE_CHARS and not block.lstrip().startswith(("|", "`"))


def _describe_no_text(document: PdfDocument) -> SourceError:
    """Return the error for a document whose pages all came to nothing."""
    reason = f"its {len(document.pages)} pages hold no text"
    if document.damage or any(page.error for page in document.pages):
        return SourceError(
            f"{reason}: {document.damage or 'they are damaged'}", hint="Is there a sound copy?"
        )
    if any(page.images for page in document.pages):
        return SourceError(reason, hint="Are they scanned? Text recognition has to come first.")
    return SourceError(reason)


def _choose_title(
    document: PdfDocument, pages: list[list[Line]], headings: Headings, body: int, stem: str
) -> str:
    """Return the title of the metadata unless a program wrote it, else the one on the first page.

    The heading that shows the title becomes one of level 0, unless other headings are as large.
    """
    named = prose.clean_line(document.title)
    is_named = front.is_title(named, stem)
    title = front.find_title(pages, body)
    if title is None:
        return named if is_named else front.strip_program(named) or stem
    shown = prose.clean_line(title.text)
    is_above_all = title.is_largest(pages, headings) or (is_named and make_slug(shown) == make_slug(named))
    if title.place in headings and len(headings) > 1 and is_above_all:
        headings[title.place] = (0, shown, title.count)
    return named if is_named else shown


def _tells(chapter: str, title: str, telling: set[str]) -> bool:
    return chapter in telling and not make_slug(title).endswith(make_slug(chapter))


def make_titles(pieces: Sequence[Piece]) -> list[str]:
    """Return the titles of a document's Records: its title, the chapter, the heading; no two the same.

    A chapter that the document's title names, or that holds nearly all of it (a mark on the cover that was
    taken for a heading), tells nothing and is left out. Those that would share a title have all headings in
    it, then their page, then a number.
    """
    paths = [list(dict.fromkeys(map(prose.clean_line, piece.path))) for piece in pieces]
    sizes = Counter(path[1] for path in paths if len(path) > 1)
    telling = {name for name, size in sizes.items() if size <= MAX_CHAPTER_SHARE * len(paths)}
    forms = [
        [
            ": ".join(
                dict.fromkeys(
                    [path[0], *(name for name in path[1:2] if _tells(name, path[0], telling)), path[-1]]
                )
            )
            for path in paths
        ],
        [": ".join(path) for path in paths],
        [f"{': '.join(path)} (page {piece.start})" for path, piece in zip(paths, pieces, strict=True)],
    ]
    titles = forms[0]
    for form in forms[1:]:
        counts = Counter(titles)
        titles = [longer if counts[title] > 1 else title for title, longer in zip(titles, form, strict=True)]
    seen: Counter[str] = Counter()
    for index, title in enumerate(titles):
        seen[title] += 1
        if seen[title] > 1:
            titles[index] = f"{title} ({seen[title]})"
    return titles


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
