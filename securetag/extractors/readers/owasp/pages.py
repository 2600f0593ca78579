"""OWASP's Markdown pages → one Record a risk, test or control, and more for what a long one goes on with.

Recognised by what stands in them: a title with an identifier (`A03:2021 – Injection`, `API1:2023 …`,
`C1: …`, `MASVS-STORAGE-1`), or WSTG's table `|ID|`. The key is the identifier as OWASP writes it,
with the edition's year where the title leaves that out. Pages without one are read section by section.

The Record of such a page holds its beginning (`sections.leading`); what its last sections are there for
goes into facts: mapped CWEs, references, related identifiers, mitigations. Options beside those of
`markdown`: `kind` (risk, test, control).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers import markdown
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.markdown import MarkdownReader, Page
from securetag.extractors.text import prose
from securetag.extractors.text.sections import MAX_SECTION_CHARS, Section, split_section, take_beginning
from securetag.records import Facts, Status

#: `A03:2021 – Name`, `LLM04: Name`, `A1 – Name`; in capitals, with a year or a mark after it.
_NUMBERED = re.compile(
    r"(?P<id>[A-Z]{1,8}\d{1,2})(?:[:-](?P<year>(?:19|20)\d\d)\b)?(?P<mark>\s*[:–—-])?\s*(?P<name>.*)"
)
#: `MASVS-STORAGE-1`, `MASVS-STORAGE: Storage`, `CICD-SEC-1: …`.
_HYPHENED = re.compile(r"(?P<id>[A-Z]{2,}(?:-[A-Z]{2,})+(?:-\d{1,4})?)(?:\s*[:–—]\s*(?P<name>.+)|\s*$)")
#: WSTG's table of one column, whose head is ID.
_ID_TABLE = re.compile(
    r"^\|[ \t]*ID[ \t]*\|[ \t]*\n\|[ :|-]+\|[ \t]*\n\|[ \t]*(?P<id>[A-Z]+(?:-[A-Z]+)*-\d+)[ \t]*\|[ \t]*$",
    re.M,
)
_FILE_NUMBER = re.compile(r"(?P<number>\d+)(?:\.(?P<part>\d+))?-")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
_CWE = re.compile(r"\bCWE[- ](\d{1,5})\b|cwe\.mitre\.org/data/definitions/(\d{1,5})")
_CWE_ENTRY = re.compile(r"[\s*+\-\[|\d.]*CWE[- ]\d")
_RELATED = re.compile(
    r"\b(?:[A-Z]{1,4}\d{1,2}:20\d\d|WSTG-[A-Z]{4}-\d{2}|MASVS-[A-Z]+-\d+|MASTG-[A-Z]+-\d{4}"
    r"|MASWE-\d{4}|CAPEC-\d{1,4})\b"
)
_URL = re.compile(r"https?://[^\s<>()\[\]\"']+(?:\([^\s()]*\)[^\s<>()\[\]\"']*)*")
#: How a page says that another one took its content: a link definition that is a comment.
_MERGED = re.compile(r"^\[merged\]:\s*#\s*\((?P<keys>[^()\n]*)\)", re.M)
_PREVENTION = re.compile(
    r"prevent|mitiga|remedia|countermeasure|how to (?:fix|avoid)|previ?en|prevenção|évit|préven"
    r"|verhinder|vermeid|gegenmaßnahme|evitar|impedir|предотвра|対策|防止|预防|防範|방지",
    re.I,
)
#: Headings of pages and sections that are about the project and its people.
_ABOUT = re.compile(
    r"(?:about (?:the )?(?:owasp|project|this (?:project|document))|acknowledge?ments?"
    r"|contribut\w*( translations)?"
    r"|(?:copyright|licen[cs]e)( and licen[cs]e)?|notice|in the news|foreword|frontispiece|change ?log"
    r"|.* in the news|acerca de owasp|aviso|agradecimientos|colaboradores|derechos de autor.*|prólogo)",
    re.I,
)
#: Where an entry of a list, or a paragraph, begins.
_ENTRY = re.compile(r"\n+(?=[-*+] |\d+[.)] )|\n\n+(?=\S)")
_BULLET = re.compile(r"\A(?:[-*+]|\d+[.)])\s+")
#: Characters under which an entry is a lead-in or a label.
SHORTEST_ENTRY = 20


@dataclass(frozen=True)
class Identity:
    """What a page is about."""

    key: str
    name: str
    parents: tuple[str, ...] = ()


class OwaspReader(MarkdownReader):
    """Reads the pages of OWASP's projects, of any edition and language."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        yield from super().prepare(files)
        #: (folder, number of a file in it) → identifier; a part comes after its whole in order of URLs.
        self._numbered: dict[tuple[str, str], str] = {}

    def items(self, page: Page) -> Iterator[Item]:
        if _ABOUT.fullmatch(prose.clean_line(page.root.title)):
            yield Drop("about the project and its people", prose.clean_line(page.root.title))
        elif (identity := self.identify(page)) is None:
            yield from super().items(page)
        else:
            page.key = identity.key
            page.root.title = identity.name
            yield from self._identified(page, identity)

    def identify(self, page: Page) -> Identity | None:
        """The identifier that a page bears; None where it bears none."""
        title = prose.clean_line(page.root.title)
        if table := _ID_TABLE.search(page.root.own_text):
            text = page.root.own_text
            page.root.lines = (text[: table.start()] + text[table.end() :]).split("\n")
            self._numbered[_number(page)] = table["id"]
            return Identity(table["id"], title)
        number, part = _number(page), _part(page)
        if part and number in self._numbered:  # WSTG's `05.1-…`, which goes with `05-…` beside it
            whole = self._numbered[number]
            return Identity(f"{whole}.{part}", title, (whole,))
        if found := _HYPHENED.match(title):
            above = re.fullmatch(r"(MASVS-[A-Z]+)-\d+", found["id"])
            return Identity(
                found["id"], found["name"] or _statement(page) or title, (above[1],) if above else ()
            )
        found = _NUMBERED.match(title)
        if found is None or not found["name"] or not (found["year"] or found["mark"]):
            return None
        year = found["year"] or self._year(page)
        return Identity(f"{found['id']}:{year}" if year else found["id"], found["name"])

    def facts(self, page: Page, identity: Identity, whole: str) -> Facts:
        """What the page says beside its prose; `whole` is all of its text, as upstream wrote it."""
        texts = ((child.title, child.whole()) for child in page.root.children)
        links = "\n".join(text for title, text in texts if self.skipped(title) or markdown.only_links(text))
        lists = "\n".join(child.whole() for child in page.root.children if _is_cwe_list(child.whole()))
        cwe = dict.fromkeys(f"CWE-{int(one or other)}" for one, other in _CWE.findall(lists or whole))
        related = dict.fromkeys(key for key in _RELATED.findall(whole) if key != identity.key)
        references = dict.fromkeys(
            url.rstrip(".,;") for url in _URL.findall(links) if "cwe.mitre.org" not in url
        )
        return Facts(
            kind=self.source.options.get("kind", "page"), section=[page.root.title],
            parents=list(identity.parents), cwe=list(cwe), related=list(related), references=list(references),
            mitigations=[entry for part in _prevention(page.root) for entry in entries(markdown.clean(part))],
        )  # fmt: skip

    def status(self, page: Page, whole: str) -> Status:
        """Withdrawn where the page says that another took its content, or has none left."""
        text = markdown.clean(page.root.whole())
        return Status.WITHDRAWN if _MERGED.search(whole) or len(text) < markdown.SHORTEST else Status.ACTIVE

    def _identified(self, page: Page, identity: Identity) -> Iterator[Item]:
        whole = page.root.whole()
        facts, status = self.facts(page, identity, whole), self.status(page, whole)
        kept = []
        for section in page.root.children:
            if reason := self._left_out(section):
                yield Drop(reason, f"{identity.key} > {section.title}")
            else:
                kept.append(section)
        page.root.children = kept
        limit = int(self.source.options.get("whole", MAX_SECTION_CHARS))
        text, rest = take_beginning(page.root, whole=limit)
        yield self.record(
            page.file, key=self.unique(identity.key, page.lang) if status is Status.ACTIVE else identity.key,
            title=identity.name, text=markdown.clean(text), locator=page.root.title, url=self.url(page),
            lang=page.lang, facts=facts, status=status,
        )  # fmt: skip
        for section in rest:
            for piece in split_section(section, (page.root.title,), whole=limit):
                yield self.section(page, piece, status=status)

    def _left_out(self, section: Section) -> str:
        text = section.whole()
        if self.skipped(section.title) or markdown.only_links(text):
            return "a list of links"
        if _ABOUT.fullmatch(section.title):
            return "about the project and its people"
        return "a table of scores" if _is_scores(text) else ""

    def _year(self, page: Page) -> str:
        found = _YEAR.search(self.source.edition) or _YEAR.search(str(markdown.path_of(page.file)))
        return found[1] if found else ""


def _number(page: Page) -> tuple[str, str]:
    """Folder and number of a file that is numbered inside it (`05-Testing_for_SQL_Injection`)."""
    found = _FILE_NUMBER.match(page.stem)
    return str(markdown.path_of(page.file).parent), found["number"] if found else page.stem


def _part(page: Page) -> str:
    found = _FILE_NUMBER.match(page.stem)
    return (found["part"] or "") if found else ""


def _statement(page: Page) -> str:
    """The sentence under the first heading: what a control demands, where its title is its identifier."""
    own = page.root.children[0].own_text if page.root.children else page.root.own_text
    first = prose.clean_line(own.split("\n\n")[0])
    return first if len(first) <= 200 else ""


def _prevention(section: Section) -> Iterator[str]:
    for child in section.children:
        if _PREVENTION.search(child.title):
            yield child.whole()
        else:
            yield from _prevention(child)


def _is_cwe_list(text: str) -> bool:
    """Whether a section lists weaknesses, one a line: what the page maps to, and not just mentions."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return sum(bool(_CWE_ENTRY.match(line)) for line in lines) > 0.6 * len(lines)


def _is_scores(text: str) -> bool:
    """Whether a section is one table whose cells are figures. True = nothing to learn from."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 3 or not all(line.lstrip().startswith("|") for line in lines):
        return False
    cells = [cell.strip() for line in lines[2:] for cell in line.strip().strip("|").split("|")]
    return sum(cell[:1].isdigit() for cell in cells) > len(cells) / 2


def entries(text: str) -> list[str]:
    """The paragraphs and list items of clean Markdown, one entry each; code stays with what it belongs to."""
    marked = prose.map_blocks(text, lambda piece: _ENTRY.sub("\0", piece))
    plain = (_BULLET.sub("", entry.strip()) for entry in marked.split("\0"))
    return [entry for entry in plain if len(entry) >= SHORTEST_ENTRY and not entry.startswith("#")]
