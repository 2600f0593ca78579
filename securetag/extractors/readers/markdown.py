"""Markdown documents → one Record a section.

Options of the catalog row:

- `page`: template of the page that a person opens: `{stem}` (file name without suffix), `{path}` (of
  the file's URL), `{tail}` (of the path, without suffix, what follows the regular expression `root`);
- `skip`: headings whose sections are left out;
- `whole`: characters up to which a section keeps its subsections.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, read_text
from securetag.extractors.text import language, markdown_blocks, prose
from securetag.extractors.text.sections import MAX_SECTION_CHARS, Piece, Section, build_tree, split_section
from securetag.records import Facts, Status, TextLang, normalise_text

#: Headings under which there are only links.
LINK_SECTIONS = {
    "references", "reference", "referencias", "references and further reading", "table of contents",
    "contents", "related articles", "further reading", "external references", "other articles", "see also",
    "authors and primary editors", "acknowledgments", "acknowledgements", "agradecimientos",
}  # fmt: skip
#: Characters under which a section is a stub: "this content has moved".
SHORTEST = 80
#: Names that say nothing: the folder says what such a page is.
_NAMELESS = {"readme", "index", "_index", "default"}
_LINK = re.compile(r"\[[^\[\]\n]*\](?:\([^\n]*?\)|\[[^\[\]\n]*\])|<?https?://\S+|^\s{0,3}\[[^\]\n]+\]:.*$")
#: The end of a sentence, or what stands for one: an item, a row, code.
_SENTENCE = re.compile(r"[.!?:;。！？।؟](?:[\s)\"'*_”’]|$)|^\s*(?:[-*+|>`~]|\d+[.)])", re.M)
#: Letters beside the links of a line below which the line is a link and nothing else.
_BESIDE_LINK = 30


@dataclass
class Page:
    """One document, parsed."""

    file: FetchedFile
    #: What its Records' keys begin with.
    key: str
    #: Language that its URL names, or the source's.
    lang: TextLang
    front: dict[str, Any]
    root: Section

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return path_of(self.file).stem


class MarkdownReader(Reader):
    """Reads `.md` files of any publisher."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        self._names = _names(files, self.source.lang)
        self._seen: Counter[tuple[str, TextLang]] = Counter()
        yield from ()

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        yield from self.items(self.parse(file))

    def items(self, page: Page) -> Iterator[Item]:
        """The Records of one page."""
        for piece in split_section(page.root, whole=int(self.source.options.get("whole", MAX_SECTION_CHARS))):
            yield self.section(page, piece)

    def parse(self, file: FetchedFile) -> Page:
        """The file's front matter and tree of sections, titled by whatever titles it."""
        front, body = markdown_blocks.split_front_matter(normalise_text(read_text(file)))
        title = front.get("title")
        root = build_tree(
            title if isinstance(title, str) else "", markdown_blocks.iter_headings(self.body(body))
        )
        name = self._names[file]
        only = root.children[0] if len(root.children) == 1 and not root.own_text else None
        if only and (only.level == 1 or not root.title):
            root = only  # the usual form: one heading above all others, which is the title
        elif not root.title:
            root.title = root.children[0].title if root.children else ""
        root.title = root.title or name.replace("_", " ")
        return Page(file, name, language.detect_path_language(path_of(file), self.source.lang), front, root)

    def body(self, text: str) -> str:
        """The document below its front matter, as CommonMark. Subclasses resolve what is theirs."""
        return markdown_blocks.to_plain_markdown(text)

    def section(self, page: Page, piece: Piece, *, status: Status = Status.ACTIVE) -> Item:
        """One piece of a page as a Record, or why it is none."""
        path = [prose.clean_line(title) for title in piece.path]
        locator = " > ".join(path)
        if self.skipped(path[-1]) or only_links(piece.text):
            return Drop("a list of links", locator)
        text = clean(piece.text)
        if len(text) < SHORTEST:
            return Drop(f"shorter than {SHORTEST} characters", locator)
        if not _SENTENCE.search(text):
            return Drop("a cover or a label: no sentence in it", locator)
        key = page.key if len(path) == 1 else f"{page.key}#{'/'.join(slug(title) for title in path[1:])}"
        return self.record(
            page.file,
            key=self.unique(key, page.lang),
            title=": ".join(dict.fromkeys([path[0], path[-1]])),
            text=text,
            locator=locator,
            url=self.url(page),
            lang=page.lang,
            facts=Facts(kind="section", section=path),
            status=status,
        )

    def skipped(self, heading: str) -> bool:
        """Whether sections of this heading are left out. True = left out."""
        return heading.lower() in LINK_SECTIONS or heading.lower() in self.source.options.get("skip", [])

    def unique(self, key: str, lang: TextLang) -> str:
        """`key`, numbered from its second use in one language on."""
        self._seen[key, lang] += 1
        return key if self._seen[key, lang] == 1 else f"{key}-{self._seen[key, lang]}"

    def url(self, page: Page) -> str:
        """The page that a person opens."""
        template = self.source.options.get("page")
        if not template:
            return page.file.url
        path = quote(str(path_of(page.file)))
        tail = re.search(rf"(?:{self.source.options.get('root', '^/')})(?P<tail>.*)\.\w+$", path)
        if "{tail}" in template and not tail:
            return page.file.url
        found = re.sub(r"(?:^|/)(?:index|README)$", "", tail["tail"]) if tail else ""
        address = str(template).format(stem=quote(page.stem), path=path, tail=found)
        return re.sub(r"(?<!:)//+", "/", address)


def clean(text: str) -> str:
    """A section's text as a Record holds it."""
    return prose.clean(markdown_blocks.remove_attributes(text) if "{:" in text else text)


def only_links(text: str) -> bool:
    """Whether every line of a section is a link and little else. True = nothing to learn from."""
    if "http" not in text and "](" not in text and "]:" not in text:
        return False
    lines = [line for line in text.split("\n") if line.strip(" \t-*+") and not line.lstrip().startswith("#")]
    return all(
        (bare := _LINK.sub("", line)) != line and sum(map(str.isalpha, bare)) < _BESIDE_LINK for line in lines
    )


def slug(heading: str) -> str:
    """A heading as GitHub anchors it, near enough to stay stable: lower case words with hyphens."""
    return "-".join(re.findall(r"\w+", heading.lower())) or "section"


def path_of(file: FetchedFile) -> PurePosixPath:
    """The path of a file as upstream names it: an archive's member, or its URL's path."""
    url = urlsplit(file.url)
    return PurePosixPath(unquote(url.fragment or url.path))


def _names(files: Sequence[FetchedFile], lang: TextLang) -> dict[FetchedFile, str]:
    """File → the shortest end of its path that no other file of its language has."""
    ends: dict[FetchedFile, list[tuple[TextLang, str]]] = {}
    for file in files:
        path = path_of(file)
        parts = [*path.parts[:-1], path.stem]
        if path.stem.lower() in _NAMELESS and language.detect_path_language(path.parent, "") == "":
            parts = parts[:-1] or parts
        of = language.detect_path_language(path, lang)
        ends[file] = [(of, "/".join(parts[-n:])) for n in range(1, len(parts) + 1)]
    taken = Counter(end for of_file in ends.values() for end in of_file)
    return {
        file: next((end for end in of_file if taken[end] == 1), of_file[-1])[1]
        for file, of_file in ends.items()
    }
