"""Markdown documents → one Record a section.

CommonMark's block structure as far as sections need it: fences, ATX and setext headings, front
matter, and Kramdown's attribute lists (`{: .class}`), which are dropped. Options of the catalog row:
`page` (URL template with `{stem}` and `{path}`), `skip` (headings whose sections are left out),
`whole` (characters up to which a section keeps its subsections).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit

from securetag.extractors import prose
from securetag.extractors.fetch import FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, read_text
from securetag.extractors.readers.sections import WHOLE, Piece, pieces, tree
from securetag.records import Facts, normalise_text

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})([^\n]*)$")
_ATTRIBUTES = re.compile(r"[ \t]*\{:[^{}\n]*\}")
_ANCHOR = re.compile(r"[ \t]*\{#[^{}\n]*\}")
_LIST_OR_QUOTE = re.compile(r"\s*(?:[-*+>|]|\d+[.)])")
_FRONT = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
#: Headings under which there are only links.
LINK_SECTIONS = {
    "references", "reference", "referencias", "table of contents", "contents", "related articles",
    "further reading", "external references", "authors and primary editors", "other articles", "see also",
    "acknowledgments",
}  # fmt: skip
#: Characters under which a section is a stub: "this content has moved".
SHORTEST = 80


class MarkdownReader(Reader):
    """Reads `.md` files of any publisher."""

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        text = normalise_text(read_text(file))
        title, body = front_matter(text)
        stem = unquote(urlsplit(file.url).path).rsplit("/", 1)[-1].removesuffix(".md")
        root = tree(title or "", headings(body))
        if len(root.children) == 1 and root.children[0].level == 1 and not root.own:
            root = root.children[0]  # the usual form: one H1, which is the title
        elif not root.title:
            root.title = root.children[0].title if root.children else stem.replace("_", " ")
        seen: Counter[str] = Counter()
        for piece in pieces(root, whole=int(self.source.options.get("whole", WHOLE))):
            yield self._item(piece, file, stem, seen)

    def _item(self, piece: Piece, file: FetchedFile, stem: str, seen: Counter[str]) -> Item:
        path = [prose.one_line(title) for title in piece.path]
        locator = " > ".join(path)
        last = path[-1].lower().rstrip(":")
        if last in LINK_SECTIONS or last in self.source.options.get("skip", []):
            return Drop("a list of links", locator)
        text = prose.clean(_ATTRIBUTES.sub("", piece.text) if "{:" in piece.text else piece.text)
        if len(text) < SHORTEST:
            return Drop(f"shorter than {SHORTEST} characters", locator)
        key = stem if len(path) == 1 else f"{stem}#{'/'.join(slug(title) for title in path[1:])}"
        seen[key] += 1
        if seen[key] > 1:
            key = f"{key}-{seen[key]}"
        return self.record(
            file,
            key=key,
            title=": ".join(dict.fromkeys([path[0], path[-1]])),
            text=text,
            locator=locator,
            url=self._page(stem, file.url),
            facts=Facts(kind="section", section=path),
        )

    def _page(self, stem: str, url: str) -> str:
        template = self.source.options.get("page")
        return str(template).format(stem=quote(stem), path=urlsplit(url).path) if template else url


def slug(heading: str) -> str:
    """A heading as GitHub anchors it, near enough to stay stable: lower case words with hyphens."""
    return "-".join(re.findall(r"\w+", heading.lower())) or "section"


def front_matter(text: str) -> tuple[str, str]:
    """(title or "", text without the front matter). Its YAML is read as lines: no tags, no aliases."""
    match = _FRONT.match(text)
    if match is None:
        return "", text
    title = re.search(r"^title:[ \t]*(.+?)[ \t]*$", match[1], re.M)
    return (title[1].strip("\"'") if title else ""), text[match.end() :]


def headings(text: str) -> Iterator[tuple[int, str, int]]:
    """(level, text, line number) of every line: level 0 is text, 1 to 6 a heading."""
    fence, held = "", None  # `held`: a line that a setext underline may make a heading
    for number, line in enumerate(text.split("\n"), 1):
        match = _FENCE.match(line)
        if fence or match:
            if held is not None:
                yield 0, held, number - 1
                held = None
            if not fence and match and not (match[1][0] == "`" and "`" in match[2]):
                fence = match[1]
            elif (
                fence
                and match
                and match[1][0] == fence[0]
                and len(match[1]) >= len(fence)
                and not match[2].strip()
            ):
                fence = ""
            yield 0, line, number
            continue
        if held is not None and (under := _SETEXT.match(line)):
            yield (1 if under[1][0] == "=" else 2), _heading(held), number - 1
            held = None
            continue
        if held is not None:
            yield 0, held, number - 1
            held = None
        if atx := _ATX.match(line):
            yield len(atx[1]), _heading(atx[2] or ""), number
        elif line.strip() and not line.startswith(("    ", "\t")) and not _LIST_OR_QUOTE.match(line):
            held = line
        else:
            yield 0, line, number
    if held is not None:
        yield 0, held, number


def _heading(text: str) -> str:
    text = re.sub(r"\\([\\`*_{}\[\]()#+.!<>|~-])", r"\1", text)
    return _ANCHOR.sub("", _ATTRIBUTES.sub("", text)).strip()
