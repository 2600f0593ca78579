"""Parse an HTML page into the blocks of its main content.

lexbor (selectolax) parses a page as browsers do, at thirty times the speed of BeautifulSoup. A page with
markup that makes a browser's parser swallow the rest (`swallows_text`) is parsed by BeautifulSoup on
libxml2 too; then the tree that shows more text wins.
"""

from __future__ import annotations

import codecs
import re
from itertools import accumulate
from operator import sub

from selectolax.lexbor import LexborHTMLParser

from securetag.errors import SourceError
from securetag.extractors.text.html_content import find_main_content
from securetag.extractors.text.html_markdown import Block, extract_blocks, join_blocks

#: Bytes of one page; the largest single-page specifications take 10 MB.
MAX_PAGE_CHARS = 32 << 20
#: Maximum depth of elements, including unclosed ones. Parsing is quadratic in the depth.
MAX_DEPTH = 2_000
_DEPTH_HINT = "No page that people wrote nests its elements so."
#: Labels of encodings → the encodings that browsers use for them (https://encoding.spec.whatwg.org/#names-and-labels).
_BROWSER_ENCODINGS = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "utf-16": "utf-8",
}
_RAW_TEXT_ELEMENTS = "script,style,title,textarea,iframe,noembed,noframes,xmp"
_XML_PROLOG = re.compile(r"\A\s*<\?xml[^>]*\?>")
#: Tags of elements that nest: neither void elements nor those with an optional end tag.
_NESTING_TAG = re.compile(
    r"<(/?)(?!(?:br|img|hr|input|meta|link|area|base|col|embed|source|track|wbr|p|li|dt|dd|tr|td|th|option|thead|tbody"
    r"|tfoot)\b)[a-z]",
    re.I,
)
_SOFT_404 = re.compile(
    r"\b(?:404|410)\b|not found|page (?:is )?missing|can.?t be found|cannot be found|could not be found"
    r"|doesn.?t exist|does not exist|no longer (?:available|exists)|no encontrad[ao]|no existe"
    r"|nicht gefunden|introuvable",
    re.I,
)
#: Maximum characters of a soft 404; a longer page is about missing pages.
_MAX_SOFT_404_CHARS = 1_200


class Page:
    """The main content of a page: its title, its blocks, and its declared language (or empty)."""

    def __init__(self, title: str, blocks: list[Block], lang: str) -> None:
        self.title, self.blocks, self.lang = title, blocks, lang

    @property
    def length(self) -> int:
        """Characters of the text of all blocks."""
        return sum(len(text) for _, text in self.blocks)


def parse_page(text: str) -> Page:
    """Return the main content of a page. Raises SourceError for a page that is too large or nested too
    deeply.
    """
    if len(text) > MAX_PAGE_CHARS:
        raise SourceError(f"a page of more than {MAX_PAGE_CHARS >> 20} MiB")
    _refuse_deep_nesting(text)
    parsed = LexborHTMLParser(text)
    is_wild = swallows_text(parsed, text)
    page = _extract_page(parsed)
    if is_wild:
        from bs4 import BeautifulSoup  # slow to import, and seldom needed

        again = LexborHTMLParser(str(BeautifulSoup(_XML_PROLOG.sub("", text), "lxml")))
        page = max(page, _extract_page(again), key=lambda page: page.length)
    return page


def convert_fragment(html: str) -> str:
    """Return a piece of HTML as Markdown. Raises SourceError for one that is nested too deeply."""
    return join_blocks(parse_fragment(html))


def parse_fragment(html: str) -> list[Block]:
    """Return the blocks of a piece of HTML, all of it. Raises SourceError for one nested too deeply."""
    _refuse_deep_nesting(html)
    try:
        return extract_blocks(LexborHTMLParser(html).body)
    except RecursionError as error:
        raise SourceError("nested too deeply", hint=_DEPTH_HINT) from error


def _extract_page(parsed: LexborHTMLParser) -> Page:
    content = find_main_content(parsed)
    if content is None:
        return Page("", [], "")
    page_blocks = [*([(1, content.title)] if content.headed else []), *extract_blocks(content.node)]
    main_titles = [words for level, words in page_blocks if level == 1]
    return Page(main_titles[0] if len(main_titles) == 1 else content.title, page_blocks, content.lang)


def swallows_text(tree: LexborHTMLParser, text: str) -> bool:
    """Whether a raw-text element or a comment contains markup that was meant to follow it.

    For `<script/>` or `<title/>` (XHTML sent as HTML) and for a forgotten end, HTML's parser takes all that
    follows for their content (https://html.spec.whatwg.org/#raw-text-elements).
    """
    for node in tree.css(_RAW_TEXT_ELEMENTS):
        content = (node.text(deep=True) or "").lower()
        ends = ("</body", "</html", f"<{node.tag}") if node.tag in {"script", "style"} else ("</",)
        if any(end in content for end in ends):
            return True
    return text.count("<!--") > text.count("-->")


def _refuse_deep_nesting(text: str) -> None:
    """Raise SourceError for markup that the parser would need minutes for."""
    if _bound_depth(text) <= MAX_DEPTH:
        return
    height = list(accumulate(-1 if closing else 1 for closing in _NESTING_TAG.findall(text)))
    if max(map(sub, height, accumulate(height, min)), default=0) > MAX_DEPTH:
        raise SourceError("nested too deeply", hint=_DEPTH_HINT)


def _bound_depth(text: str) -> int:
    """Return an upper bound of the depth at low cost: every `<` opens one level, every `</` closes one."""
    height = lowest = most = 0
    for start in range(0, len(text), 8192):
        part = text[start : start + 8192]
        tags, closing = part.count("<"), part.count("</")
        most = max(most, height + tags - lowest)
        height += tags - 2 * closing
        lowest = min(lowest, height - (tags - closing))
    return most


def decode_page(data: bytes) -> str:
    """Return the text of a page: by its BOM, as UTF-8 where it is valid, as declared, else by detection.

    What is valid UTF-8 is UTF-8 whatever it declares: a wrong declaration is commoner than the accident.
    """
    for bom, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(bom):
            return data[len(bom) :].decode(name, errors="replace")
    if data[:4:2] == b"\0\0" or data[1:4:2] == b"\0\0":
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", errors="replace")
    declared = _find_declared_encoding(data)
    escaped = declared.startswith("iso-2022") and b"\x1b" in data
    for name in (declared, "utf-8") if escaped else ("utf-8", declared):
        try:
            return data.decode(name) if name else data.decode("ascii")
        except (UnicodeDecodeError, LookupError):
            continue
    from bs4.dammit import UnicodeDammit

    detected = UnicodeDammit(data, is_html=True, exclude_encodings=[declared] if declared else [])
    return detected.unicode_markup or data.decode("cp1252", errors="replace")


def _find_declared_encoding(data: bytes) -> str:
    from bs4.dammit import EncodingDetector

    name = (EncodingDetector.find_declared_encoding(data, is_html=True) or "").lower()
    return (
        _BROWSER_ENCODINGS.get(name, name)
        if name not in {"utf-7", "unicode_escape", "idna", "punycode"}
        else ""
    )


def is_soft_404(page: Page) -> bool:
    """Whether the title or the first words of a page say that it doesn't exist."""
    if page.length > _MAX_SOFT_404_CHARS:
        return False
    words = f"{page.title} {page.blocks[0][1] if page.blocks else ''}"[:200]
    return _SOFT_404.search(words) is not None
