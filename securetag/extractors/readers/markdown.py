"""Read Markdown documents: one Record a section.

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
from urllib.parse import quote, unquote, urlsplit

from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import (
    MIN_SECTION_CHARS,
    Drop,
    Item,
    Reader,
    is_reference_list,
    make_section_key,
    read_text,
)
from securetag.extractors.text import language, markdown_blocks, prose
from securetag.extractors.text.sections import MAX_SECTION_CHARS, Piece, Section, build_tree, split_section
from securetag.records import Facts, JsonObject, Status, TextLang, normalise_text

#: Headings of sections that hold only links.
LINK_SECTIONS = {
    "references",
    "reference",
    "referencias",
    "references and further reading",
    "table of contents",
    "contents",
    "related articles",
    "further reading",
    "external references",
    "other articles",
    "see also",
    "authors and primary editors",
    "acknowledgments",
    "acknowledgements",
    "agradecimientos",
}
#: Stems that don't identify a page; its folder does.
_GENERIC_STEMS = {"readme", "index", "_index", "default"}
_ANY_LINK = re.compile(
    r"\[[^\[\]\n]*\](?:\([^\n]*?\)|\[[^\[\]\n]*\])|<?https?://\S+|^\s{0,3}\[[^\]\n]+\]:.*$"
)
#: The end of a sentence, or its equivalent: an item, a row, code.
_SENTENCE_END = re.compile(r"[.!?:;。！？।؟](?:[\s)\"'*_”’]|$)|^\s*(?:[-*+|>`~]|\d+[.)])", re.M)
#: Letters outside links from which on a line is more than a link.
_MAX_LETTERS_BESIDE_LINK = 30


@dataclass
class Page:
    """One parsed document."""

    file: FetchedFile
    #: Prefix of its Records' keys.
    key: str
    #: Language in its URL, else the source's.
    lang: TextLang
    front: JsonObject
    root: Section

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return get_upstream_path(self.file).stem


class MarkdownReader(Reader):
    """Reads `.md` files of any publisher."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        self._names = name_pages(files, self.source.lang)
        self._seen: Counter[tuple[str, TextLang]] = Counter()
        yield from ()

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        yield from self.items(self.parse(file))

    def items(self, page: Page) -> Iterator[Item]:
        """Yield the Records of one page."""
        for piece in split_section(page.root, whole=int(self.source.options.get("whole", MAX_SECTION_CHARS))):
            yield self.section(page, piece)

    def parse(self, file: FetchedFile) -> Page:
        """Return the front matter and the tree of sections of a file, with the best title that it has."""
        front, body = markdown_blocks.split_front_matter(normalise_text(read_text(file)))
        title = front.get("title")
        root = build_tree(
            title if isinstance(title, str) else "", markdown_blocks.iter_headings(self.body(body))
        )
        name = self._names[file]
        only_child = root.children[0] if len(root.children) == 1 and not root.own_text else None
        if only_child and (only_child.level == 1 or not root.title):
            root = only_child  # the usual form: one heading above all others, which is the title
        elif not root.title:
            root.title = root.children[0].title if root.children else ""
        root.title = root.title or name.replace("_", " ")
        return Page(
            file, name, language.detect_path_language(get_upstream_path(file), self.source.lang), front, root
        )

    def body(self, text: str) -> str:
        """Return the document below its front matter as CommonMark. Subclasses resolve their own syntax."""
        return markdown_blocks.to_plain_markdown(text)

    def section(self, page: Page, piece: Piece, *, status: Status = Status.ACTIVE) -> Item:
        """Return one piece of a page as a Record, or a Drop with the reason."""
        path = [prose.clean_line(title) for title in piece.path]
        locator = " > ".join(path)
        if self.skipped(path[-1]) or has_only_links(piece.text):
            return Drop("a list of links", locator)
        text = clean_section(piece.text)
        if is_reference_list(path, text):
            return Drop("a list of references", locator)
        if len(text) < MIN_SECTION_CHARS:
            return Drop(f"shorter than {MIN_SECTION_CHARS} characters", locator)
        if not _SENTENCE_END.search(text):
            return Drop("a cover or a label: no sentence in it", locator)
        return self.record(
            page.file,
            key=self.unique(make_section_key(page.key, path), page.lang),
            title=": ".join(dict.fromkeys([path[0], path[-1]])),
            text=text,
            locator=locator,
            url=self.url(page),
            lang=page.lang,
            facts=Facts(kind="section", section=path),
            status=status,
        )

    def skipped(self, heading: str) -> bool:
        """Whether sections with this heading are left out."""
        return heading.lower() in LINK_SECTIONS or heading.lower() in self.source.options.get("skip", [])

    def unique(self, key: str, lang: TextLang) -> str:
        """Return the key, with a number from its second use in one language on."""
        self._seen[key, lang] += 1
        return key if self._seen[key, lang] == 1 else f"{key}-{self._seen[key, lang]}"

    def url(self, page: Page) -> str:
        """Return the address of the page for people."""
        template = self.source.options.get("page")
        if not template:
            return page.file.url
        path = quote(str(get_upstream_path(page.file)))
        tail = re.search(rf"(?:{self.source.options.get('root', '^/')})(?P<tail>.*)\.\w+$", path)
        if "{tail}" in template and not tail:
            return page.file.url
        without_index = re.sub(r"(?:^|/)(?:index|README)$", "", tail["tail"]) if tail else ""
        address = str(template).format(stem=quote(page.stem), path=path, tail=without_index)
        return re.sub(r"(?<!:)//+", "/", address)


def clean_section(text: str) -> str:
    """Return the text of a section as clean Markdown."""
    return prose.clean(markdown_blocks.remove_attributes(text) if "{:" in text else text)


def has_only_links(text: str) -> bool:
    """Whether every line of a section is a link and little else, so that it holds no prose."""
    if "http" not in text and "](" not in text and "]:" not in text:
        return False
    lines = [line for line in text.split("\n") if line.strip(" \t-*+") and not line.lstrip().startswith("#")]
    return all(
        (bare := _ANY_LINK.sub("", line)) != line and sum(map(str.isalpha, bare)) < _MAX_LETTERS_BESIDE_LINK
        for line in lines
    )


def get_upstream_path(file: FetchedFile) -> PurePosixPath:
    """Return the path of a file as its publisher names it: an archive's member, or its URL's path."""
    url = urlsplit(file.url)
    return PurePosixPath(unquote(url.fragment or url.path))


def name_pages(files: Sequence[FetchedFile], lang: TextLang) -> dict[FetchedFile, str]:
    """Return file → the shortest end of its path that no other file of its language has."""
    ends: dict[FetchedFile, list[tuple[TextLang, str]]] = {}
    for file in files:
        path = get_upstream_path(file)
        parts = [*path.parts[:-1], path.stem]
        if path.stem.lower() in _GENERIC_STEMS and language.detect_path_language(path.parent, "") == "":
            parts = parts[:-1] or parts
        lang_of_file = language.detect_path_language(path, lang)
        ends[file] = [(lang_of_file, "/".join(parts[-n:])) for n in range(1, len(parts) + 1)]
    end_counts = Counter(end for of_file in ends.values() for end in of_file)
    return {
        file: next((end for end in of_file if end_counts[end] == 1), of_file[-1])[1]
        for file, of_file in ends.items()
    }
