"""Read the rows of JSON, JSON Lines, CSV and TSV files, told apart by content.

A broken row costs itself: it becomes a failure with its line, and cells are never shifted. In a table a row
has as many cells as the header; where a quote is opened and not closed, reading goes on with the line below.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import msgspec

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.base import decode_json
from securetag.records import JsonObject

#: Maximum bytes of one JSON document, which is decoded as a whole, or of one line.
MAX_JSON_BYTES = 256 << 20
#: Lines of one row of a table, so that an open quote costs no more.
MAX_ROW_LINES = 2_000
#: Rows that an unbalanced quote may break; after more the rest of the file is left out.
MAX_BROKEN_QUOTES = 500
#: Maximum characters of one cell; the longest function so far has 60,000.
csv.field_size_limit(1 << 20)

Row = dict[str, object]


def read_rows(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    """Yield (locator, row) of a file, or a failure in place of a broken row. Raises SourceError."""
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
    data = path.read_bytes()
    decoded: object
    try:
        decoded = decode_json(data, Any)
    except SourceError:
        if b"NaN" not in data and b"Infinity" not in data and not re.search(rb"[\x00-\x1f]", data):
            raise
        decoded = _decode_leniently(data)
    for locator, row in _list_objects(decoded):
        if fault := _find_fault(row):
            yield locator, Failure(str(path), locator, fault)
        else:
            yield locator, row if isinstance(row, dict) else {"text": row}


#: Stands for NaN or an infinity, which JSON doesn't have.
_NO_NUMBER = object()


def _decode_leniently(data: bytes) -> object:
    """Return JSON with NaN, infinities or control characters as values. Raises SourceError."""
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, parse_constant=lambda _: _NO_NUMBER, strict=False)
    except RecursionError as error:
        raise SourceError("nested too deeply") from error
    except ValueError as error:
        raise SourceError(f"not the JSON that was expected: {error}") from error


def _find_fault(row: object) -> str:
    """Return why a row can't be kept; empty for a sound one."""
    waiting = [row]
    while waiting:
        part = waiting.pop()
        if part is _NO_NUMBER:
            return "not JSON: a number that is NaN or infinite"
        if isinstance(part, str) and "\0" in part:
            return "a NUL character in a text"
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return ""


def _list_objects(decoded: object) -> Iterable[tuple[str, object]]:
    """Return the rows of a document: of its list, of the only list in an object, or the object itself."""
    if isinstance(decoded, list):
        return ((f"/{number}", row) for number, row in enumerate(decoded))
    if isinstance(decoded, dict):
        if is_conversation(decoded.get("messages")) or is_conversation(decoded.get("conversations")):
            return [("", decoded)]
        lists = [
            name
            for name, value in decoded.items()
            if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        if len(lists) == 1:
            rest = {name: value for name, value in decoded.items() if name != lists[0]}
            rows = ((f"/{lists[0]}/{number}", row) for number, row in enumerate(decoded[lists[0]]))
            return chain(rows, [("", rest)] if _find_fault(rest) else [])
        if decoded and all(isinstance(value, dict) for value in decoded.values()):
            return ((f"/{name}", {"id": name, **value}) for name, value in decoded.items())
        return [("", decoded)]
    raise SourceError("a JSON document that holds no rows")


def is_conversation(value: object) -> bool:
    """Whether a value is a list of turns: objects with a role (`role`, `from`) and a text."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(turn, dict) and not {"role", "from"}.isdisjoint(turn) and not _TEXTS.isdisjoint(turn)
            for turn in value
        )
    )


_TEXTS = frozenset({"content", "value", "text", "tool_calls"})


def _read_json_lines(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    decoder = msgspec.json.Decoder(JsonObject)
    with path.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_JSON_BYTES), b""), 1):
            bare = line.removeprefix(codecs.BOM_UTF8).strip() if number == 1 else line.strip()
            if not bare:
                continue
            where = f"line {number}"
            try:
                row = decoder.decode(bare)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield where, Failure(str(path), where, f"not a JSON object: {error}")
                continue
            fault = _find_fault(row) if b"\\u0000" in bare else ""
            yield where, Failure(str(path), where, fault) if fault else row


@dataclass
class _Lines:
    """The lines of a table, of which the last ones can be read again."""

    stream: TextIO
    #: Number of the line that was read last, from 1.
    number: int = 0
    #: Lines to be read again, the next one last.
    pending: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.pending.pop() if self.pending else self.stream.readline()
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        if len(self.taken) > MAX_ROW_LINES:
            raise csv.Error(f"a row of more than {MAX_ROW_LINES:,} lines")
        return line

    #: Lines of the row that is being read.
    taken: list[str] = field(default_factory=list)

    def return_to(self, number: int) -> None:
        """Go back so that the line `number` + 1 is next; it is one of the row that was just read."""
        while self.number > number:
            self.pending.append(self.taken.pop())
            self.number -= 1


def _read_delimited(path: Path) -> Iterator[tuple[str, Row | Failure]]:
    with path.open(encoding=_detect_encoding(path), newline="", errors="replace") as stream:
        delimiter = _detect_delimiter(stream.readline(1 << 20))
        stream.seek(0)
        lines = _Lines(stream)
        names = _name_columns(next(csv.reader(lines, delimiter=delimiter), []))
        broken_quotes = 0
        while broken_quotes <= MAX_BROKEN_QUOTES:
            first = lines.number + 1
            lines.taken.clear()
            try:
                cells = next(csv.reader(lines, delimiter=delimiter, strict=True))
                while len(cells) > len(names) and not cells[-1]:
                    cells.pop()  # a delimiter at the end of the line
                fault = _find_table_fault(cells, len(names))
            except StopIteration:
                return
            except csv.Error as error:
                cells, fault = [], f"not a row: {error}"
            where = f"line {first}"
            if fault and lines.number > first:  # an open quote took the lines below into its cell
                fault = (
                    f"{fault}; a quote on this line isn't closed, or a line breaks in a cell without quotes"
                )
                lines.return_to(first)
                broken_quotes += 1
            if fault:
                yield where, Failure(str(path), where, fault)
            elif any(cells):
                yield f"line {lines.number}", dict(zip(names, cells, strict=True))
        yield where, Failure(str(path), where, f"left out from here on: {MAX_BROKEN_QUOTES} rows are broken")


def _name_columns(header: list[str]) -> list[str]:
    """Return the names of a table's columns, each once. Raises SourceError for a table without a header."""
    names: list[str] = []
    for number, cell in enumerate(header, 1):
        name = cell.strip().removeprefix("\ufeff") or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    if not any(cell.strip() for cell in header):
        raise SourceError("a table without a header row")
    return names


def _find_table_fault(cells: list[str], columns: int) -> str:
    """Return what is wrong with the cells of a row; empty for a sound one, or a blank line."""
    if cells and len(cells) != columns:
        return f"{len(cells)} cells, and the header has {columns}"
    return "a NUL character in a cell" if any("\0" in cell for cell in cells) else ""


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


def _detect_delimiter(header: str) -> str:
    return max(",;\t|", key=header.count)
