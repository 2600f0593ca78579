"""Read rows of JSON, JSON Lines, CSV and TSV by a mapping from columns to fields of a Record.

The mapping is the catalog row's option `mapping`; without it columns are recognized by their names. A row
of which no column is recognized becomes a list of its columns, so that no row is lost.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from securetag.errors import SettingsError, SourceError
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item, Reader, decode_json
from securetag.extractors.text import prose
from securetag.records import Facts, JsonObject

#: Maximum bytes of one JSON document, which is decoded as a whole, or of one line.
MAX_JSON_BYTES = 256 << 20
#: Maximum characters of one cell; the longest function so far has 60,000.
csv.field_size_limit(1 << 20)

Row = dict[str, object]

_COLUMN = re.compile(r"\{([^{}]+)\}")
_CWE = re.compile(r"\bcwe[-_ ]?0*(\d{1,5})(?!\d)", re.I)
#: Suffixes of files and spellings of languages → names of the languages.
_LANGUAGE_NAMES = {
    "py": "python", "js": "javascript", "jsx": "javascript", "mjs": "javascript", "ts": "typescript",
    "tsx": "typescript", "rb": "ruby", "rs": "rust", "cc": "c++", "cpp": "c++", "cxx": "c++", "hpp": "c++",
    "h": "c", "cs": "c#", "kt": "kotlin", "sh": "shell", "pl": "perl", "m": "objective-c", "yml": "yaml",
}  # fmt: skip
#: Field → usual names of its column; the first that a row has is taken.
_COLUMN_NAMES = {
    "key": ("id", "key", "identifier", "uid", "uuid", "cve", "cve_id", "prompt_id", "commit_link"),
    "title": ("title", "name", "subject", "heading", "headline", "func_name"),
    "text": ("text", "body", "content", "markdown", "description", "summary", "html", "context"),
    "url": ("url", "link", "href", "permalink"),
    "instruction": ("instruction", "question", "prompt", "query"),
    "response": ("response", "output", "answer", "completion", "chosen"),
    "vulnerable": ("vulnerable", "vulnerable_code", "func_src_before", "code_before", "before"),
    "fixed": ("fixed", "fixed_code", "func_src_after", "code_after", "after", "patched"),
    "language": ("language", "programming_language", "file_name", "filename"),
    "cwe": ("cwe", "cwe_id", "cwes", "vul_type", "weakness"),
}


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The origin of a Record's fields: a column (`a.b` inside nested ones), or a template `{a}: {b}`."""

    key: str = ""
    title: str = ""
    text: str = ""
    url: str = ""
    instruction: str = ""
    response: str = ""
    vulnerable: str = ""
    fixed: str = ""
    language: str = ""
    cwe: str = ""
    #: A column with a list of rows; each becomes a Record with the other columns.
    each: str = ""
    kind: str = "row"
    #: Text in an instruction → template that replaces it: `"<language>": "{Language}"`.
    replace: dict[str, str] = {}


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

    def rows(self, file: FetchedFile) -> Iterator[tuple[str, Row | Failure]]:
        """Yield (locator, row) of a file, or a failure in place of a broken row."""
        return read_rows(file.path)

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        for locator, row in self.rows(file):
            if isinstance(row, Failure):
                yield row
                continue
            mapping = self.mapping or guess_mapping(row)
            for number, item_row in enumerate(_expand_row(row, mapping.each)):
                where = f"{locator}/{mapping.each}/{number}" if mapping.each else locator
                yield self._item(item_row, mapping, file, where)

    def _item(self, row: Row, mapping: Mapping, file: FetchedFile, where: str) -> Item:
        values = {name: _get_value(row, getattr(mapping, name)) for name in _COLUMN_NAMES}
        for mark, template in mapping.replace.items():
            values["instruction"] = values["instruction"].replace(mark, _get_value(row, template))
        language = _normalize_language(values["language"])
        instruction, response = (prose.clean(values[name]) or None for name in ("instruction", "response"))
        facts = Facts(
            kind=mapping.kind,
            cwe=[f"CWE-{number}" for number in dict.fromkeys(_CWE.findall(values["cwe"]))],
            language=language or None,
            vulnerable=values["vulnerable"] or None,
            fixed=values["fixed"] or None,
            instruction=instruction,
            response=response,
        )
        text = _render_text(prose.clean(values["text"]), facts) or _render_columns(row)
        if facts.vulnerable is not None and facts.vulnerable == facts.fixed:
            return Drop("a fix that changes nothing", where)
        key = " ".join(values["key"].split()) or f"{file.path.stem}/{where.strip('/')}"
        self.seen[key] += 1
        if self.seen[key] > 1:
            key = f"{key}-{self.seen[key]}"
        title = values["title"] or (facts.instruction or text).strip().split("\n")[0]
        return self.record(
            file, key=key, title=_shorten(title), text=text, locator=where, url=values["url"], facts=facts
        )


def _expand_row(row: Row, column: str) -> Iterator[Row]:
    inner = row.get(column) if column else None
    if not column:
        yield row
    elif isinstance(inner, list):
        yield from ({**row, **item} for item in inner if isinstance(item, dict))


def _get_value(row: Row, wanted: str) -> str:
    """Return the text of a column or template; empty where the row has none."""
    if not wanted:
        return ""
    if "{" in wanted:
        return _COLUMN.sub(lambda match: _to_text(_get_column(row, match[1])), wanted).strip()
    return _to_text(_get_column(row, wanted))


def _get_column(row: Row, path: str) -> object:
    value: object = row
    if path in row:
        return row[path]
    for step in path.split("."):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _to_text(value: object) -> str:
    if value is None or (isinstance(value, list | dict) and not value):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _normalize_language(name: str) -> str:
    word = name.strip().lower().rsplit(".", 1)[-1]
    return _LANGUAGE_NAMES.get(word, word) if re.fullmatch(r"[a-z0-9+#]{1,20}", word) else ""


def _render_text(text: str, facts: Facts) -> str:
    """Return the text, then the code before and after; or the instruction and its response."""
    parts = [text] if text else []
    for name, code in (("Vulnerable", facts.vulnerable), ("Fixed", facts.fixed)):
        if code:
            parts.append(f"{name}:\n\n{prose.make_code_block(code, facts.language or '')}")
    dialogue = [part for part in (facts.instruction, facts.response) if part and part != text]
    return "\n\n".join(parts + dialogue)


def _render_columns(row: Row) -> str:
    lines = [(name, prose.clean(_to_text(value))) for name, value in row.items()]
    return "\n".join(f"- **{prose.clean_line(str(name))}**: {text}" for name, text in lines if text)


def _shorten(title: str) -> str:
    title = " ".join(title.split())
    return title if len(title) <= 120 else title[:117].rsplit(" ", 1)[0] + " …"


def guess_mapping(row: Row) -> Mapping:
    """Return a mapping by the names of the columns of a row."""
    plain = {re.sub(r"\W+", "_", str(name).strip().lower()): str(name) for name in row}
    columns = {
        field: f"{{{plain[name]}}}"
        for field, names in _COLUMN_NAMES.items()
        if (name := next((name for name in names if name in plain), None))
    }
    turns = row.get("messages") or row.get("conversations")
    if isinstance(turns, list) and len(turns) >= 2 and all(isinstance(turn, dict) for turn in turns):
        column = "messages" if row.get("messages") else "conversations"
        content_key = "content" if "content" in turns[0] else "value"
        first = 1 if str(turns[0].get("role", turns[0].get("from"))) == "system" and len(turns) > 2 else 0
        columns |= {
            "instruction": f"{column}.{first}.{content_key}",
            "response": f"{column}.{first + 1}.{content_key}",
        }
    if "vulnerable" in columns and "fixed" not in columns:
        del columns["vulnerable"]  # a flag or a score, as often as code
    return msgspec.convert(columns, Mapping)


def read_rows(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    """Yield (locator, row) of a JSON, JSON Lines, CSV or TSV file, told apart by content.

    Raises SourceError.
    """
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:1] in (b"[", b"{"):
        return _read_json_lines(path) if is_json_lines(start) else _read_json(path)
    return _read_delimited(path)


def is_json_lines(head: bytes) -> bool:
    """Whether the first line is a whole JSON object that another line follows."""
    line, newline, rest = head.partition(b"\n")
    if not line.startswith(b"{") or not newline or rest.lstrip()[:1] not in (b"{", b""):
        return False
    return line.rstrip().endswith(b"}")


def _read_json(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise SourceError(
            f"a JSON document of more than {MAX_JSON_BYTES >> 20} MiB", hint="Use JSON Lines for it."
        )
    decoded = decode_json(path.read_bytes(), Any)
    for locator, row in _list_objects(decoded):
        yield locator, row if isinstance(row, dict) else {"text": row}


def _list_objects(decoded: object) -> Iterable[tuple[str, object]]:
    """Return the rows of a document: of its list, of the only list in an object, or the object itself."""
    if isinstance(decoded, list):
        return ((f"/{number}", row) for number, row in enumerate(decoded))
    if isinstance(decoded, dict):
        lists = [
            name
            for name, value in decoded.items()
            if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        if len(lists) == 1:
            return ((f"/{lists[0]}/{number}", row) for number, row in enumerate(decoded[lists[0]]))
        if decoded and all(isinstance(value, dict) for value in decoded.values()):
            return ((f"/{name}", {"id": name, **value}) for name, value in decoded.items())
        return [("", decoded)]
    raise SourceError("a JSON document that holds no rows")


def _read_json_lines(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    decoder = msgspec.json.Decoder(JsonObject)
    with path.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_JSON_BYTES), b""), 1):
            bare = line.removeprefix(codecs.BOM_UTF8).strip() if number == 1 else line.strip()
            if not bare:
                continue
            try:
                yield f"line {number}", decoder.decode(bare)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield f"line {number}", Failure(str(path), f"line {number}", f"not a JSON object: {error}")


def _read_delimited(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    with path.open(encoding=_detect_encoding(path), newline="", errors="replace") as stream:
        delimiter = _detect_delimiter(stream.readline(1 << 20))
        stream.seek(0)
        reader = csv.reader(stream, delimiter=delimiter)
        names = [name.strip().removeprefix("\ufeff") for name in next(reader, [])]
        if not any(names):
            raise SourceError("a table without a header row")
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield f"line {reader.line_num}", Failure(str(path), f"line {reader.line_num}", str(error))
                continue
            if any(cells):
                yield f"line {reader.line_num}", dict(zip(names, cells, strict=False))


def _detect_encoding(path: Path) -> str:
    """Return UTF-8 or UTF-16 by the BOM, UTF-8 where the whole file is valid, else Windows-1252."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        stream.seek(0)
        try:
            for chunk in iter(lambda: stream.read(1 << 20), b""):
                decoder.decode(chunk)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8-sig"


def read_header(path: Path) -> tuple[str, list[str]]:
    """Return the delimiter of a table and the names of its columns."""
    with path.open(encoding=_detect_encoding(path), newline="", errors="replace") as stream:
        delimiter = _detect_delimiter(stream.readline(1 << 20))
        stream.seek(0)
        return delimiter, next(csv.reader(stream, delimiter=delimiter), [])


def _detect_delimiter(header: str) -> str:
    return max(",;\t|", key=header.count)
