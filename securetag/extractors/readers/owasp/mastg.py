"""Read OWASP's mobile guide (MASTG, MASWE): one Record a test, practice or article, joined by front matter.

Front matter names platform, profiles, the controls and weakness that a page belongs to, what covers a
deprecated test, and best practices; `@MASTG-…` in the text names another page. Both are resolved to
that page's title where the source holds it. https://mas.owasp.org/contributing/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers import markdown
from securetag.extractors.readers.base import Drop, Item, describe_error, read_text
from securetag.extractors.readers.markdown import Page
from securetag.extractors.readers.owasp.pages import Identity, OwaspReader
from securetag.extractors.text import prose
from securetag.records import Facts, Status

_KEY = re.compile(r"(?:MASTG|MASWE|MASVS|MSTG)-(?:[A-Z]+-)?\d{1,4}")
_MENTION = re.compile(r"@((?:MASTG|MASWE|MASVS|MSTG)-(?:[A-Z]+-)?\d{1,4})")
_TITLE = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?:.*\r?\n)*?title:[ \t]*(?P<title>.+?)[ \t]*\r?\n")
#: Fields of front matter that name other pages, or entries of other publications.
_RELATIONS = (
    "covered_by",
    "masvs_category",
    "masvs_v2_id",
    "masvs_v1_id",
    "weakness",
    "best-practices",
    "knowledge",
    "tests",
    "mappings",
)
_STATUS = {"deprecated": Status.DEPRECATED, "withdrawn": Status.WITHDRAWN, "removed": Status.WITHDRAWN}
#: Second part of an identifier → kind of page.
_KINDS = {"TEST": "test", "BEST": "practice", "KNOW": "article", "TECH": "technique", "TOOL": "tool"}


class MastgReader(OwaspReader):
    """Reads pages with an identifier of OWASP's mobile project in the front matter or file name."""

    def prepare(self, files: Sequence[FetchedFile]) -> Iterator[Failure]:
        yield from super().prepare(files)
        self._titles: dict[str, str] = {}
        for file in files:
            try:
                title = _TITLE.match(read_text(file)[:4_000])
            except SourceError as error:
                yield Failure(str(file.path), "", describe_error(error))
                continue
            if title and (key := _KEY.fullmatch(markdown.get_upstream_path(file).stem)):
                self._titles[key[0]] = prose.clean_line(title["title"].strip("\"'"))

    def body(self, text: str) -> str:
        if "@MAS" in text:
            text = prose.map_prose(text, lambda piece: _MENTION.sub(lambda m: self._named(m[1]), piece))
        return super().body(text)

    def items(self, page: Page) -> Iterator[Item]:
        if str(page.front.get("status", "")).lower() in {"placeholder", "draft"}:
            yield Drop("a placeholder for a page that isn't written", page.stem)
        else:
            yield from super().items(page)

    def identify(self, page: Page) -> Identity | None:
        for name in (str(page.front.get("id", "")), page.stem):
            if _KEY.fullmatch(name) and page.front.get("title"):
                return Identity(name, prose.clean_line(str(page.front["title"])), tuple(self._above(page)))
        return super().identify(page)

    def facts(self, page: Page, identity: Identity, whole: str) -> Facts:
        facts = super().facts(page, identity, whole)
        named = [key for field in _RELATIONS for key in _KEY.findall(" ".join(_list_words(page, field)))]
        kind = identity.key.split("-")[1] if identity.key.startswith("MASTG-") else ""
        practices = [self._named(key) for key in _list_words(page, "best-practices")]
        return msgspec.structs.replace(
            facts,
            kind=_KINDS.get(kind, facts.kind),
            platforms=_list_words(page, "platform"),
            levels=_list_words(page, "profiles") or _list_words(page, "masvs_v1_levels"),
            related=[key for key in dict.fromkeys([*named, *facts.related]) if key not in facts.parents],
            mitigations=[*practices, *facts.mitigations],
        )

    def status(self, page: Page, whole: str) -> Status:
        stated = str(page.front.get("status", "")).lower()
        return _STATUS.get(stated) or super().status(page, whole)

    def _named(self, key: str) -> str:
        return f"“{self._titles[key]}” ({key})" if key in self._titles else key

    def _above(self, page: Page) -> Iterator[str]:
        """Yield the weakness that a test looks for, or the controls that it belongs to."""
        for field in ("weakness", "masvs_v2_id", "masvs_category"):
            if keys := _list_words(page, field):
                yield from keys
                return


def _list_words(page: Page, field: str) -> list[str]:
    """Return a field of front matter as a list; `[]` without it."""
    value = page.front.get(field)
    values = value if isinstance(value, list) else [value]
    return [word for word in (str(entry).strip() for entry in values if entry is not None) if word]
