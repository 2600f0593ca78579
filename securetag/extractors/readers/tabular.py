"""Rows of JSON, JSON Lines, CSV and TSV → Records, by a mapping from columns to fields.

The mapping is the catalog row's option `mapping`; without one, columns are told by their names. What no
field takes becomes the text, as a list of columns, so that no row is lost for want of a mapping.
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
from securetag.records import Facts

#: Bytes of one JSON document or of one line; a document is decoded whole.
MAX_JSON = 256 << 20
#: Characters of one cell; the longest function in the sets known has 60,000.
csv.field_size_limit(1 << 20)

Row = dict[str, Any]

_COLUMN = re.compile(r"\{([^{}]+)\}")
_CWE = re.compile(r"\bcwe[-_ ]?0*(\d{1,5})(?!\d)", re.I)
#: Endings of file names and what people call the language.
_LANGUAGES = {
    "py": "python", "js": "javascript", "jsx": "javascript", "mjs": "javascript", "ts": "typescript",
    "tsx": "typescript", "rb": "ruby", "rs": "rust", "cc": "c++", "cpp": "c++", "cxx": "c++", "hpp": "c++",
    "h": "c", "cs": "c#", "kt": "kotlin", "sh": "shell", "pl": "perl", "m": "objective-c", "yml": "yaml",
}  # fmt: skip
#: Names by which people call a column, per field; the first that a row has is taken.
_GUESSES = {
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
    """Where a Record's fields come from: a column (`a.b` inside nested ones), or a template `{a}: {b}`."""

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
    #: A column that holds a list of rows: one Record each, with the columns around it.
    each: str = ""
    kind: str = "row"
    #: Text in an instruction → template that it stands for: `"<language>": "{Language}"`.
    replace: dict[str, str] = {}


class TabularReader(Reader):
    """What readers of rows share: a row → a Record."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.seen: Counter[str] = Counter()
        given = source.options.get("mapping")
        try:
            self.mapping = msgspec.convert(given, Mapping) if given else None
        except msgspec.ValidationError as error:
            raise SettingsError(f"{source.name}: options.mapping: {error}") from error

    def rows(self, file: FetchedFile) -> Iterator[tuple[str, Row | Failure]]:
        """(locator, row) of a file, or what is broken in it."""
        return read_rows(file.path)

    def read_file(self, file: FetchedFile) -> Iterator[Item]:
        for locator, row in self.rows(file):
            if isinstance(row, Failure):
                yield row
                continue
            mapping = self.mapping or guess(row)
            for number, one in enumerate(_each(row, mapping.each)):
                where = f"{locator}/{mapping.each}/{number}" if mapping.each else locator
                yield self._item(one, mapping, file, where)

    def _item(self, row: Row, mapping: Mapping, file: FetchedFile, where: str) -> Item:
        get = {name: _value(row, getattr(mapping, name)) for name in _GUESSES}
        for mark, template in mapping.replace.items():
            get["instruction"] = get["instruction"].replace(mark, _value(row, template))
        language = _language(get["language"])
        asked, answer = (prose.clean(get[name]) or None for name in ("instruction", "response"))
        facts = Facts(
            kind=mapping.kind, cwe=[f"CWE-{number}" for number in dict.fromkeys(_CWE.findall(get["cwe"]))],
            language=language or None, vulnerable=get["vulnerable"] or None, fixed=get["fixed"] or None,
            instruction=asked, response=answer,
        )  # fmt: skip
        text = _text(prose.clean(get["text"]), facts) or _listed(row)
        if facts.vulnerable is not None and facts.vulnerable == facts.fixed:
            return Drop("a fix that changes nothing", where)
        key = " ".join(get["key"].split()) or f"{file.path.stem}/{where.strip('/')}"
        self.seen[key] += 1
        if self.seen[key] > 1:
            key = f"{key}-{self.seen[key]}"
        title = get["title"] or (facts.instruction or text).strip().split("\n")[0]
        return self.record(
            file, key=key, title=_short(title), text=text, locator=where, url=get["url"], facts=facts
        )


def _each(row: Row, column: str) -> Iterator[Row]:
    inner = row.get(column) if column else None
    if not column:
        yield row
    elif isinstance(inner, list):
        yield from ({**row, **one} for one in inner if isinstance(one, dict))


def _value(row: Row, wanted: str) -> str:
    """A column's text, or a template's; empty where the row has none."""
    if not wanted:
        return ""
    if "{" in wanted:
        return _COLUMN.sub(lambda match: _string(_column(row, match[1])), wanted).strip()
    return _string(_column(row, wanted))


def _column(row: Row, path: str) -> Any:
    value: Any = row
    if path in row:
        return row[path]
    for step in path.split("."):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _string(value: Any) -> str:
    if value is None or (isinstance(value, list | dict) and not value):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(str(one) for one in value)
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _language(name: str) -> str:
    word = name.strip().lower().rsplit(".", 1)[-1]
    return _LANGUAGES.get(word, word) if re.fullmatch(r"[a-z0-9+#]{1,20}", word) else ""


def _text(text: str, facts: Facts) -> str:
    """The text, then the code before and after; or the instruction and its answer."""
    parts = [text] if text else []
    for name, code in (("Vulnerable", facts.vulnerable), ("Fixed", facts.fixed)):
        if code:
            parts.append(f"{name}:\n\n{prose.make_code_block(code, facts.language or '')}")
    asked = [part for part in (facts.instruction, facts.response) if part and part != text]
    return "\n\n".join(parts + asked)


def _listed(row: Row) -> str:
    lines = [(name, prose.clean(_string(value))) for name, value in row.items()]
    return "\n".join(f"- **{prose.clean_line(str(name))}**: {text}" for name, text in lines if text)


def _short(title: str) -> str:
    title = " ".join(title.split())
    return title if len(title) <= 120 else title[:117].rsplit(" ", 1)[0] + " …"


def guess(row: Row) -> Mapping:
    """A mapping by the names of a row's columns."""
    plain = {re.sub(r"\W+", "_", str(name).strip().lower()): str(name) for name in row}
    found = {
        field: f"{{{plain[name]}}}"
        for field, names in _GUESSES.items()
        if (name := next((name for name in names if name in plain), None))
    }
    turns = row.get("messages") or row.get("conversations")
    if isinstance(turns, list) and len(turns) >= 2 and all(isinstance(turn, dict) for turn in turns):
        column = "messages" if row.get("messages") else "conversations"
        said = "content" if "content" in turns[0] else "value"
        first = 1 if str(turns[0].get("role", turns[0].get("from"))) == "system" and len(turns) > 2 else 0
        found |= {"instruction": f"{column}.{first}.{said}", "response": f"{column}.{first + 1}.{said}"}
    if "vulnerable" in found and "fixed" not in found:
        del found["vulnerable"]  # a flag or a score, as often as code
    return msgspec.convert(found, Mapping)


def read_rows(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    """(locator, row) of a JSON, JSON Lines, CSV or TSV file, told by its content. Raises SourceError."""
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:1] in (b"[", b"{"):
        return _json_lines(path) if is_json_lines(start) else _json(path)
    return _delimited(path)


def is_json_lines(head: bytes) -> bool:
    """True = the first line is a whole JSON object and another line follows it, or the name says so."""
    line, newline, rest = head.partition(b"\n")
    if not line.startswith(b"{") or not newline or rest.lstrip()[:1] not in (b"{", b""):
        return False
    return line.rstrip().endswith(b"}")


def _json(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    if path.stat().st_size > MAX_JSON:
        raise SourceError(f"a JSON document of more than {MAX_JSON >> 20} MiB", hint="Use JSON Lines for it.")
    decoded = decode_json(path.read_bytes(), Any)
    for locator, row in _objects(decoded):
        yield locator, row if isinstance(row, dict) else {"text": row}


def _objects(decoded: Any) -> Iterable[tuple[str, Any]]:
    """The rows of a document: a list's, those of the one list in an object, or the object itself."""
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


def _json_lines(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    with path.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_JSON), b""), 1):
            bare = line.removeprefix(codecs.BOM_UTF8).strip() if number == 1 else line.strip()
            if not bare:
                continue
            try:
                yield f"line {number}", decoder.decode(bare)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield f"line {number}", Failure(str(path), f"line {number}", f"not a JSON object: {error}")


def _delimited(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    with path.open(encoding=_encoding(path), newline="", errors="replace") as stream:
        delimiter = _delimiter(stream.readline(1 << 20))
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


def _encoding(path: Path) -> str:
    """UTF-8 or UTF-16 by BOM, UTF-8 where the whole file is that, else Windows-1252."""
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


def header_of(path: Path) -> tuple[str, list[str]]:
    """The character that separates the columns of a table, and their names."""
    with path.open(encoding=_encoding(path), newline="", errors="replace") as stream:
        delimiter = _delimiter(stream.readline(1 << 20))
        stream.seek(0)
        return delimiter, next(csv.reader(stream, delimiter=delimiter), [])


def _delimiter(header: str) -> str:
    return max(",;\t|", key=header.count)
