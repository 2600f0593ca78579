"""HTML pages → one Record a section of their main content.

lexbor (selectolax) reads a page as browsers do, at thirty times BeautifulSoup's speed. BeautifulSoup on
libxml2 is asked as well where a page is wild: where it holds what makes a browser's parser swallow the rest
(`swallows`); then whichever tree shows more text is taken. Options of the catalog row: `skip` (headings
whose sections are left out), `whole`.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from operator import sub
from urllib.parse import unquote, urlsplit

from selectolax.lexbor import LexborHTMLParser

from securetag.errors import SourceError
from securetag.extractors import prose
from securetag.extractors.files import FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, read_bytes
from securetag.extractors.readers.html.main import main_content
from securetag.extractors.readers.html.markdown import Block, blocks
from securetag.extractors.readers.markdown import LINK_SECTIONS, SHORTEST, slug
from securetag.extractors.readers.sections import WHOLE, Piece, Section, pieces, tree
from securetag.records import Facts

#: Bytes of one page; the largest single-page specifications take 10 MB.
MAX_PAGE = 32 << 20
#: Elements inside one another, with those that are never closed. Parsing is quadratic in it.
DEEPEST = 2_000
#: Labels that pages use and what browsers read them as (https://encoding.spec.whatwg.org/#names-and-labels).
_MEANT = {
    "ascii": "cp1252", "us-ascii": "cp1252", "iso-8859-1": "cp1252", "iso8859-1": "cp1252",
    "latin1": "cp1252", "latin-1": "cp1252", "iso-8859-9": "cp1254", "gb2312": "gb18030",
    "gbk": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932",
    "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "utf-16": "utf-8",
}  # fmt: skip
_RAW = "script,style,title,textarea,iframe,noembed,noframes,xmp"
_PROLOG = re.compile(r"\A\s*<\?xml[^>]*\?>")
#: Tags that nest: neither void elements nor those whose end may be left out.
_TAG = re.compile(
    r"<(/?)(?!(?:br|img|hr|input|meta|link|area|base|col|embed|source|track|wbr|p|li|dt|dd|tr|td|th|option|thead|tbody"
    r"|tfoot)\b)[a-z]",
    re.I,
)
_GONE = re.compile(
    r"\b(?:404|410)\b|not found|page (?:is )?missing|can.?t be found|cannot be found|could not be found"
    r"|doesn.?t exist|does not exist|no longer (?:available|exists)|no encontrad[ao]|no existe"
    r"|nicht gefunden|introuvable",
    re.I,
)
#: Characters up to which a page that says so isn't there, rather than being about it.
_GONE_AT_MOST = 1_200


class HtmlReader(Reader):
    """Reads pages of any site."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        page = read_page(decode(read_bytes(file)))
        stem = page_stem(file.url, self.source.url)
        title = page.title or stem
        if says_gone(page):
            yield Drop("a page that says it isn't there", title)
            return
        root = sections(page, title)
        seen: Counter[str] = Counter()
        for piece in pieces(root, whole=int(self.source.options.get("whole", WHOLE))):
            yield self._item(piece, file, stem, page.lang, seen)

    def _item(self, piece: Piece, file: FetchedFile, stem: str, lang: str, seen: Counter[str]) -> Item:
        path = [" ".join(title.split()) for title in piece.path]
        locator = " > ".join(path)
        last = path[-1].lower().rstrip(":")
        if last in LINK_SECTIONS or last in self.source.options.get("skip", []):
            return Drop("a list of links", locator)
        text = piece.text if not prose.residue(piece.text) else prose.clean(piece.text)
        if len(text) < SHORTEST:
            return Drop(f"shorter than {SHORTEST} characters", locator)
        key = stem if len(path) == 1 else f"{stem}#{'/'.join(slug(title) for title in path[1:])}"
        seen[key] += 1
        if seen[key] > 1:
            key = f"{key}-{seen[key]}"
        return self.record(
            file, key=key, title=": ".join(dict.fromkeys([path[0], path[-1]])), text=text, locator=locator,
            facts=Facts(kind="section", section=path), lang=lang or None,
        )  # fmt: skip


class Page:
    """A page's main content: its title, its blocks, and the language it says it is in (or empty)."""

    def __init__(self, title: str, found: list[Block], lang: str) -> None:
        self.title, self.blocks, self.lang = title, found, lang

    @property
    def length(self) -> int:
        """Characters of its text."""
        return sum(len(text) for _, text in self.blocks)


def sections(page: Page, title: str) -> Section:
    """The page's blocks as a tree by heading; its one H1 is the root, else `title` names it."""
    root = tree(title, ((level, text if level else f"{text}\n", 1) for level, text in page.blocks))
    return root.children[0] if len(root.children) == 1 and not root.own else root


def read_page(text: str) -> Page:
    """The main content of a page. Raises SourceError for one that is nested beyond reason."""
    if len(text) > MAX_PAGE:
        raise SourceError(f"a page of more than {MAX_PAGE >> 20} MiB")
    _refuse_deep(text)
    parsed = LexborHTMLParser(text)
    wild = swallows(parsed, text)
    page = _page(parsed)
    if wild:
        from bs4 import BeautifulSoup  # slow to import, and seldom needed

        again = LexborHTMLParser(str(BeautifulSoup(_PROLOG.sub("", text), "lxml")))
        page = max(page, _page(again), key=lambda one: one.length)
    return page


def _page(parsed: LexborHTMLParser) -> Page:
    content = main_content(parsed)
    if content is None:
        return Page("", [], "")
    found = [*([(1, content.title)] if content.headed else []), *blocks(content.node)]
    first = [words for level, words in found if level == 1]
    return Page(first[0] if len(first) == 1 else content.title, found, content.lang)


def swallows(tree: LexborHTMLParser, text: str) -> bool:
    """True = a raw-text element or a comment holds markup that its author meant to stand after it.

    For `<script/>` or `<title/>` (XHTML sent as HTML) and for a forgotten end, HTML's parser takes all that
    follows for their content (https://html.spec.whatwg.org/#raw-text-elements).
    """
    for node in tree.css(_RAW):
        inside = (node.text(deep=True) or "").lower()
        ends = ("</body", "</html", f"<{node.tag}") if node.tag in {"script", "style"} else ("</",)
        if any(end in inside for end in ends):
            return True
    return text.count("<!--") > text.count("-->")


def _refuse_deep(text: str) -> None:
    """Raises SourceError before the parser meets what it would need minutes for."""
    if _deepest_possible(text) <= DEEPEST:
        return
    height = list(accumulate(-1 if closing else 1 for closing in _TAG.findall(text)))
    if max(map(sub, height, accumulate(height, min)), default=0) > DEEPEST:
        raise SourceError("nested too deeply", hint="No page that people wrote nests its elements so.")


def _deepest_possible(text: str) -> int:
    """An upper bound that costs next to nothing: every `<` opens one more, every `</` closes one."""
    height = lowest = most = 0
    for start in range(0, len(text), 8192):
        part = text[start : start + 8192]
        tags, closing = part.count("<"), part.count("</")
        most = max(most, height + tags - lowest)
        height += tags - 2 * closing
        lowest = min(lowest, height - (tags - closing))
    return most


def decode(data: bytes) -> str:
    """A page's characters: by its BOM, as UTF-8 where it is that, else as it declares, else by detection.

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
    declared = _declared(data)
    escaped = declared.startswith("iso-2022") and b"\x1b" in data
    for name in (declared, "utf-8") if escaped else ("utf-8", declared):
        try:
            return data.decode(name) if name else data.decode("ascii")
        except (UnicodeDecodeError, LookupError):
            continue
    from bs4.dammit import UnicodeDammit

    found = UnicodeDammit(data, is_html=True, exclude_encodings=[declared] if declared else [])
    return found.unicode_markup or data.decode("cp1252", errors="replace")


def _declared(data: bytes) -> str:
    from bs4.dammit import EncodingDetector

    name = (EncodingDetector.find_declared_encoding(data, is_html=True) or "").lower()
    return _MEANT.get(name, name) if name not in {"utf-7", "unicode_escape", "idna", "punycode"} else ""


def says_gone(page: Page) -> bool:
    """True = a soft 404: a page whose title or first words say that there is none."""
    if page.length > _GONE_AT_MOST:
        return False
    words = f"{page.title} {page.blocks[0][1] if page.blocks else ''}"[:200]
    return _GONE.search(words) is not None


def page_stem(url: str, root: str) -> str:
    """What names a page in keys: its path below the source's own address, without ending."""
    path, base = (unquote(urlsplit(one).path) for one in (url, root))
    below = (
        path.removeprefix(base.rsplit("/", 1)[0]) if urlsplit(url).netloc == urlsplit(root).netloc else path
    )
    if urlsplit(url).scheme == "file":
        below = path.rsplit("/", 1)[-1]
    stem = re.sub(r"\.(?:x?html?|php|aspx?|jsp)$", "", below.strip("/"), flags=re.I)
    stem = re.sub(r"(?:^|/)index$", "", stem) or base.strip("/").rsplit("/", 1)[-1] or "index"
    query = urlsplit(url).query
    return f"{stem}?{query}" if query else stem
