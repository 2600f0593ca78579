"""Read OWASP's Markdown pages: one Record a risk, test or control, and more for the rest of a long page.

A page is recognized by its content: a title with an identifier (`A03:2021 – Injection`, `API1:2023 …`,
`C1: …`, `MASVS-STORAGE-1`), or WSTG's table `|ID|`. The key is the identifier as OWASP writes it, with the
edition's year where the title omits it. Pages without an identifier are read section by section.

The Record of a page has its beginning (`sections.take_beginning`); the last sections become facts: mapped
CWEs, references, related identifiers, mitigations. Options in addition to those of `markdown`: `kind`
(risk, test, control).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers import markdown
from securetag.extractors.readers.base import MIN_SECTION_CHARS, Drop, Item
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
#: WSTG's table with the single column ID.
_ID_TABLE = re.compile(
    r"^\|[ \t]*ID[ \t]*\|[ \t]*\n\|[ :|-]+\|[ \t]*\n\|[ \t]*(?P<id>[A-Z]+(?:-[A-Z]+)*-\d+)[ \t]*\|[ \t]*$",
    re.M,
)
_FILE_NUMBER = re.compile(r"(?P<number>\d+)(?:\.(?P<part>\d+))?-")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
_CWE_MENTION = re.compile(r"\bCWE[- ](\d{1,5})\b|cwe\.mitre\.org/data/definitions/(\d{1,5})")
_CWE_ENTRY = re.compile(r"[\s*+\-\[|\d.]*CWE[- ]\d")
_RELATED_ID = re.compile(
    r"\b(?:[A-Z]{1,4}\d{1,2}:20\d\d|WSTG-[A-Z]{4}-\d{2}|MASVS-[A-Z]+-\d+|MASTG-[A-Z]+-\d{4}"
    r"|MASWE-\d{4}|CAPEC-\d{1,4})\b"
)
#: One of them is in every related id; to look for them first spares most pages the search.
_PARTS_OF_IDS = (":20", "WSTG-", "MASVS-", "MASTG-", "MASWE-", "CAPEC-")
_URL = re.compile(r"https?://[^\s<>()\[\]\"']+(?:\([^\s()]*\)[^\s<>()\[\]\"']*)*")
#: A link definition used as a comment, which says that other pages took the content.
_MERGED = re.compile(r"^\[merged\]:\s*#\s*\((?P<keys>[^()\n]*)\)", re.M)
_PREVENTION = re.compile(
    r"prevent|mitiga|remedia|countermeasure|how to (?:fix|avoid)|previ?en|prevenção|évit|préven"
    r"|verhinder|vermeid|gegenmaßnahme|evitar|impedir|предотвра|対策|防止|预防|防範|방지",
    re.I,
)
#: Headings of pages and sections about the project and its people.
_ABOUT_PROJECT = re.compile(
    r"(?:about (?:the )?(?:owasp|project|this (?:project|document))|acknowledge?ments?"
    r"|contribut\w*( translations)?"
    r"|(?:copyright|licen[cs]e)( and licen[cs]e)?|notice|in the news|foreword|frontispiece|change ?log"
    r"|.* in the news|acerca de owasp|aviso|agradecimientos|colaboradores|derechos de autor.*|prólogo)",
    re.I,
)
#: The start of a list item or a paragraph.
_ENTRY = re.compile(r"\n+(?=[-*+] |\d+[.)] )|\n\n+(?=\S)")
_BULLET = re.compile(r"\A(?:[-*+]|\d+[.)])\s+")
#: Minimum characters of an entry; a shorter one is a lead-in or a label.
MIN_ENTRY_CHARS = 20


@dataclass(frozen=True)
class Identity:
    """The subject of a page: its identifier, name and parents."""

    key: str
    name: str
    parents: tuple[str, ...] = ()


class OwaspReader(MarkdownReader):
    """Reads the pages of OWASP's projects, of any edition and language."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        yield from super().prepare(files)
        #: (folder, number of a file in it) → identifier; a part follows its whole in the order of URLs.
        self._numbered: dict[tuple[str, str], str] = {}

    def items(self, page: Page) -> Iterator[Item]:
        if _ABOUT_PROJECT.fullmatch(prose.clean_line(page.root.title)):
            yield Drop("about the project and its people", prose.clean_line(page.root.title))
        elif (identity := self.identify(page)) is None:
            yield from super().items(page)
        else:
            page.key = identity.key
            page.root.title = identity.name
            yield from self._identified(page, identity)

    def identify(self, page: Page) -> Identity | None:
        """Return the identifier of a page; None for a page without one."""
        title = prose.clean_line(page.root.title)
        if table := _ID_TABLE.search(page.root.own_text):
            text = page.root.own_text
            page.root.lines = (text[: table.start()] + text[table.end() :]).split("\n")
            self._numbered[_get_file_number(page)] = table["id"]
            return Identity(table["id"], title)
        number, part = _get_file_number(page), _get_file_part(page)
        if part and number in self._numbered:  # WSTG's `05.1-…`, which goes with `05-…` beside it
            whole = self._numbered[number]
            return Identity(f"{whole}.{part}", title, (whole,))
        if match := _HYPHENED.match(title):
            above = re.fullmatch(r"(MASVS-[A-Z]+)-\d+", match["id"])
            return Identity(
                match["id"], match["name"] or _get_statement(page) or title, (above[1],) if above else ()
            )
        match = _NUMBERED.match(title)
        if match is None or not match["name"] or not (match["year"] or match["mark"]):
            return None
        year = match["year"] or self._year(page)
        return Identity(f"{match['id']}:{year}" if year else match["id"], match["name"])

    def facts(self, page: Page, identity: Identity, whole: str) -> Facts:
        """Return what a page has in addition to prose; `whole` is all of its text, as upstream wrote it."""
        texts = ((child.title, child.whole()) for child in page.root.children)
        links = "\n".join(
            text for title, text in texts if self.skipped(title) or markdown.has_only_links(text)
        )
        lists = "\n".join(child.whole() for child in page.root.children if _is_cwe_list(child.whole()))
        mentions = lists or whole
        cwe = dict.fromkeys(
            f"CWE-{int(number or linked_number)}"
            for number, linked_number in (_CWE_MENTION.findall(mentions) if _has_cwe(mentions) else ())
        )
        has_ids = any(part in whole for part in _PARTS_OF_IDS)
        related = dict.fromkeys(
            key for key in (_RELATED_ID.findall(whole) if has_ids else ()) if key != identity.key
        )
        references = dict.fromkeys(
            url.rstrip(".,;") for url in _URL.findall(links) if "cwe.mitre.org" not in url
        )
        return Facts(
            kind=self.source.options.get("kind", "page"),
            section=[page.root.title],
            parents=list(identity.parents),
            cwe=list(cwe),
            related=list(related),
            references=list(references),
            mitigations=[
                entry
                for part in _iter_prevention_texts(page.root)
                for entry in split_entries(markdown.clean_section(part))
            ],
        )

    def status(self, page: Page, whole: str) -> Status:
        """Return `withdrawn` where the page says that another took its content, or has no text left."""
        texts = (page.root.own_text, *(child.whole() for child in page.root.children))
        has_text = any(len(markdown.clean_section(text)) >= MIN_SECTION_CHARS for text in texts)
        return Status.ACTIVE if has_text and not _MERGED.search(whole) else Status.WITHDRAWN

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
            page.file,
            key=self.unique(identity.key, page.lang) if status is Status.ACTIVE else identity.key,
            title=identity.name,
            text=markdown.clean_section(text),
            locator=page.root.title,
            url=self.url(page),
            lang=page.lang,
            facts=facts,
            status=status,
        )
        for section in rest:
            for piece in split_section(section, (page.root.title,), whole=limit):
                yield self.section(page, piece, status=status)

    def _left_out(self, section: Section) -> str:
        text = section.whole()
        if self.skipped(section.title) or markdown.has_only_links(text):
            return "a list of links"
        if _ABOUT_PROJECT.fullmatch(section.title):
            return "about the project and its people"
        return "a table of scores" if _is_score_table(text) else ""

    def _year(self, page: Page) -> str:
        match = _YEAR.search(self.source.edition) or _YEAR.search(str(markdown.get_upstream_path(page.file)))
        return match[1] if match else ""


def _get_file_number(page: Page) -> tuple[str, str]:
    """Return the folder and the number of a file that is numbered (`05-Testing_for_SQL_Injection`)."""
    match = _FILE_NUMBER.match(page.stem)
    return str(markdown.get_upstream_path(page.file).parent), match["number"] if match else page.stem


def _get_file_part(page: Page) -> str:
    match = _FILE_NUMBER.match(page.stem)
    return (match["part"] or "") if match else ""


def _get_statement(page: Page) -> str:
    """Return the sentence under the first heading: what a control whose title is its identifier demands."""
    own_text = page.root.children[0].own_text if page.root.children else page.root.own_text
    first = prose.clean_line(own_text.split("\n\n")[0])
    return first if len(first) <= 200 else ""


def _iter_prevention_texts(section: Section) -> Iterator[str]:
    for child in section.children:
        if _PREVENTION.search(child.title):
            yield child.whole()
        else:
            yield from _iter_prevention_texts(child)


def _has_cwe(text: str) -> bool:
    return "CWE" in text or "cwe.mitre.org" in text


def _is_cwe_list(text: str) -> bool:
    """Whether a section lists the weaknesses that the page maps to, one a line, and doesn't only mention
    some.
    """
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return sum(bool(_CWE_ENTRY.match(line)) for line in lines) > 0.6 * len(lines)


def _is_score_table(text: str) -> bool:
    """Whether a section is one table whose cells are figures, so that it holds no prose."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 3 or not all(line.lstrip().startswith("|") for line in lines):
        return False
    cells = [cell.strip() for line in lines[2:] for cell in line.strip().strip("|").split("|")]
    return sum(cell[:1].isdigit() for cell in cells) > len(cells) / 2


def split_entries(text: str) -> list[str]:
    """Return the paragraphs and list items of clean Markdown; code stays with its entry."""
    marked = prose.map_blocks(text, lambda piece: _ENTRY.sub("\0", piece))
    plain = (_BULLET.sub("", entry.strip()) for entry in marked.split("\0"))
    return [entry for entry in plain if len(entry) >= MIN_ENTRY_CHARS and not entry.startswith("#")]
