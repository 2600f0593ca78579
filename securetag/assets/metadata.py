"""Tables and pictures as Dagster metadata."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """A Markdown table; pipes and line ends in cells are escaped."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def counts(values: Mapping[str, object], *, name: str, value: str = "rows") -> dg.MarkdownMetadataValue:
    """A two-column table of a mapping."""
    return table([name, value], values.items())


def picture(png: bytes, *, alt: str) -> dg.MarkdownMetadataValue:
    """A PNG, inlined, so that the UI shows it without reading files."""
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})")


def _cell(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    text = text.replace("|", "\\|").replace("\n", "<br>")
    return text if len(text) <= 400 else text[:400] + " …"
