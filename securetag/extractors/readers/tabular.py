"""Make Records of rows of JSON, JSON Lines, CSV and TSV by a mapping from columns to fields.

The mapping is the catalog row's option `mapping`; without it columns are recognized by their names. What no
field takes is kept at the end of the text, so that no column is lost; with a mapping that is `rest: true`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import msgspec

from securetag.errors import SettingsError
from securetag.extractors.catalog import Source
from securetag.extractors.catalog.licences import UNKNOWN_LICENCE
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader
from securetag.extractors.readers.columns import (
    COLUMN_NAMES,
    REJECTED,
    Mapping,
    expand_row,
    get_dialogue,
    get_value,
    guess_mapping,
    to_text,
)
from securetag.extractors.readers.table_rows import Row, read_rows
from securetag.extractors.text import prose
from securetag.extractors.text.prose_check import MIN_PROSE_SHARE, measure_prose_share
from securetag.records import Facts

_CWE = re.compile(r"\bcwe[-_ ]?0*(\d{1,5})(?!\d)", re.I)
#: Suffixes of files and spellings of languages → names of the languages.
_LANGUAGE_NAMES = {
    "py": "python", "js": "javascript", "jsx": "javascript", "mjs": "javascript", "ts": "typescript",
    "tsx": "typescript", "rb": "ruby", "rs": "rust", "cc": "c++", "cpp": "c++", "cxx": "c++", "hpp": "c++",
    "h": "c", "cs": "c#", "kt": "kotlin", "sh": "shell", "pl": "perl", "m": "objective-c", "yml": "yaml",
}  # fmt: skip


class TabularReader(Reader):
    """Base of the readers of rows, and the reader of plain tables."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.seen: Counter[str] = Counter()
        given = source.options.get("mapping")
        try:
            self.mapping = msgspec.convert(given, Mapping) if given else None
        except msgspec.ValidationError as error:
            raise SettingsError(f"{source.name}: options.mapping: {error}") from error
        try:
            #: Address of a repository → license of the rows that were taken from it; None: that of the file.
            self.licences = msgspec.convert(source.options.get("licences"), dict[str, str] | None)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{source.name}: options.licences: {error}") from error

    def rows(self, file: FetchedFile) -> Iterator[tuple[str, Row | Failure]]:
        """Yield (locator, row) of a file, or a failure in place of a broken row."""
        return read_rows(file.path)

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        for locator, row in self.rows(file):
            if isinstance(row, Failure):
                yield row
                continue
            mapping = self.mapping or guess_mapping(row)
            for number, item_row in enumerate(expand_row(row, mapping.each)):
                where = f"{locator}/{mapping.each}/{number}" if mapping.each else locator
                yield from self._items(item_row, mapping, file, where)

    def _items(self, row: Row, mapping: Mapping, file: FetchedFile, where: str) -> Iterator[Item]:
        values = {name: get_value(row, getattr(mapping, name)) for name in COLUMN_NAMES}
        for mark, template in mapping.replace.items():
            values["instruction"] = values["instruction"].replace(mark, get_value(row, template))
        later = ""
        if mapping.conversation:
            values["instruction"], values["response"], later = get_dialogue(row, mapping.conversation)
        language = _normalize_language(values["language"])
        instruction, response = (prose.clean(values[name]) or None for name in ("instruction", "response"))
        if subject := get_value(row, mapping.subject).replace("\0", "").strip("\n"):
            instruction = f"{instruction}\n\n{subject}" if instruction else subject
        facts = Facts(
            kind=mapping.kind,
            cwe=[f"CWE-{number}" for number in dict.fromkeys(_CWE.findall(values["cwe"]))],
            language=language or None,
            vulnerable=values["vulnerable"] or None,
            fixed=values["fixed"] or None,
            instruction=instruction,
            response=response,
        )
        if facts.vulnerable is not None and facts.vulnerable == facts.fixed:
            yield Drop("a fix that changes nothing", where)
            return
        rest = {name: row[name] for name in mapping.list_unmapped(row)}
        self.unmapped_columns.update(list(rest))
        for name in [name for name in rest if mapping.rest and name.lower() in REJECTED]:
            del rest[name]
            yield Drop("a rejected answer, which is not to be learned", where)
        text = _render_text(prose.clean(values["text"]), facts)
        if mapping.rest and not (text or values["title"] or later) and not _is_prose(rest):
            yield Drop("a row without prose: settings or data", where)
            return
        if mapping.rest:
            whole_title = (
                values["title"] if _shorten(values["title"]) != " ".join(values["title"].split()) else ""
            )
            parts = [prose.clean(whole_title), text, prose.clean(later), _render_columns(rest)]
            text = "\n\n".join(part for part in parts if part)
        text = text or _render_columns(row)
        key = " ".join(values["key"].split()) or f"{file.path.stem}/{where.strip('/')}"
        self.seen[key] += 1
        if self.seen[key] > 1:
            key = f"{key}-{self.seen[key]}"
        # Before the instruction, which may be the same in all rows.
        named = values["title"] or prose.clean(values["text"]) or facts.instruction or text
        title = named.strip().split("\n")[0]
        yield self.record(
            file,
            key=key,
            title=_shorten(title),
            text=text,
            locator=where,
            url=values["url"],
            facts=facts,
            licence=self._find_licence(values["url"]),
        )

    def _find_licence(self, url: str) -> str:
        """Return the license of the repository that a row's address is in; empty for the file's."""
        if self.licences is None:
            return ""
        repositories = [name for name in self.licences if url == name or url.startswith(f"{name}/")]
        return self.licences[max(repositories, key=len)] if repositories else UNKNOWN_LICENCE


def _normalize_language(name: str) -> str:
    word = name.strip().lower().rsplit(".", 1)[-1]
    return _LANGUAGE_NAMES.get(word, word) if re.fullmatch(r"[a-z0-9+#]{1,20}", word) else ""


def _render_text(text: str, facts: Facts) -> str:
    """Return the text, then the code before and after; or the instruction and its response."""
    is_repeated = any(_contains(part, text) for part in (facts.instruction, facts.response))
    parts = [text] if text and not is_repeated else []
    for name, code in (("Vulnerable", facts.vulnerable), ("Fixed", facts.fixed)):
        if code:
            parts.append(f"{name}:\n\n{prose.make_code_block(code, facts.language or '')}")
    return "\n\n".join([*parts, *filter(None, (facts.instruction, facts.response))])


def _contains(whole: str | None, text: str) -> bool:
    """Whether `whole` has all of a text, whatever the line breaks: a question may quote what it is about."""
    return bool(whole) and " ".join(text.split()) in " ".join(str(whole).split())


def _is_prose(row: Row) -> bool:
    return measure_prose_share("\n".join(to_text(value) for value in row.values())) >= MIN_PROSE_SHARE


def _render_columns(row: Row) -> str:
    lines = [(name, prose.clean(to_text(value))) for name, value in row.items()]
    return "\n".join(f"- **{prose.clean_line(str(name))}**: {text}" for name, text in lines if text)


def _shorten(title: str) -> str:
    title = " ".join(title.split())
    return title if len(title) <= 120 else title[:117].rsplit(" ", 1)[0] + " …"
