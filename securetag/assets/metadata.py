"""Tables, texts and pictures as Dagster metadata."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

#: Characters of a table's cell.
MAX_CELL = 400
Cell = str | int | float | bool


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.TableMetadataValue:
    """Return a table, which the UI sorts and copies. Numbers stay numbers."""
    records = [dg.TableRecord(dict(zip(columns, map(_cell, row), strict=True))) for row in rows]
    kinds = [_kind([record.data[name] for record in records]) for name in columns]
    shown = [dg.TableColumn(name, kind) for name, kind in zip(columns, kinds, strict=True)]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(shown))


def counts(values: Mapping[str, object], *, name: str, value: str = "rows") -> dg.TableMetadataValue:
    """Return a two-column table of a mapping."""
    return table([name, value], values.items())


def texts(rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """Return texts with their line ends, each below its heading: all but the last element of a row."""
    parts = []
    for *heading, text in rows:
        fence = "```"
        while fence in str(text):
            fence += "`"
        words = " · ".join(str(word).replace("\n", " ") for word in heading if str(word))
        parts.append(f"**{words}**\n\n{fence}text\n{text}\n{fence}")
    return dg.MetadataValue.md("\n\n".join(parts))


def picture(png: bytes, *, alt: str) -> dg.MarkdownMetadataValue:
    """Return a PNG, inlined, so that the UI shows it without reading files."""
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")


def _cell(value: object) -> Cell:
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= MAX_CELL else text[:MAX_CELL] + " …"


def _kind(cells: Sequence[object]) -> str:
    """Return the type that all cells of a column have; `string` where they differ."""
    kinds = {type(cell) for cell in cells}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int"
    return "float" if kinds and kinds <= {int, float} else "string"
