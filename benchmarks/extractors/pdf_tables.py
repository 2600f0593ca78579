"""Tables of PDFs against labels that a person gave pages by looking at them.

`pdf_table_labels.json` holds pages of the mirror's PDFs, told by the sha256 of their file: for each table
its rows and columns, an empty list where what looks like a table is none. A table is found when one with
as many columns is, and as many rows within one in ten (at least one): continued cells are a matter of taste.
"""

from __future__ import annotations

import hashlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.extractors.pdf import publications
from benchmarks.figure import Figure
from securetag.extractors.readers.pdf import pages as pdf_pages
from securetag.extractors.readers.pdf.layout import measure_body_size
from securetag.extractors.readers.pdf.reader import clean_pages

LABELS = Path(__file__).with_name("pdf_table_labels.json")
#: CPU-seconds in which all PDFs of the mirror should be read, tables included.
MOST_CPU_S = 200.0
Shape = tuple[int, int]


class Label(msgspec.Struct, frozen=True):
    """One page. `tables` are (rows, columns), the header row counted."""

    sha256: str
    page: int
    tables: list[Shape]


def matches(found: list[Shape], labelled: list[Shape], *, shape: bool) -> int:
    """How many of the tables found are labeled: any one, or (`shape`) one of as many rows and columns."""
    left, right = list(labelled), 0
    for rows, columns in found:
        fits = [t for t in left if not shape or (t[1] == columns and abs(t[0] - rows) <= max(1, t[0] // 10))]
        if fits:
            left.remove(min(fits, key=lambda t: abs(t[0] - rows)))
            right += 1
    return right


def shapes(path: Path) -> list[list[Shape]]:
    """Rows and columns of the tables of each page, the way that Records get them."""
    document = pdf_pages.load_document(path, tables=True)
    pages = clean_pages(document, measure_body_size(document.pages), tables=True)
    return [[(len(line.table), len(line.table[0])) for line in lines if line.table] for lines, _ in pages]


def measure() -> Iterator[Figure]:
    """Recall and precision over the labeled pages, and CPU-seconds of all PDFs with tables."""
    paths = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in publications()}
    if not paths:
        print("pdf_tables: no SECURETAG_MIRROR, nothing measured", file=sys.stderr)
        return
    labels = msgspec.json.decode(LABELS.read_bytes(), type=list[Label])
    before = _cpu_s()
    found = {sha256: shapes(path) for sha256, path in paths.items()}
    pdf_pages.stop()
    cpu_s = _cpu_s() - before
    pairs = []
    for label in labels:
        for sha256, pages in found.items():
            if sha256.startswith(label.sha256):
                pairs.append((label, pages[label.page - 1]))
    for label, page in pairs:
        if matches(page, label.tables, shape=True) < max(len(page), len(label.tables)):
            print(f"{label.sha256} page {label.page}: labelled {label.tables}, found {page}", file=sys.stderr)
    there, said = sum(len(label.tables) for label, _ in pairs), sum(len(page) for _, page in pairs)
    for name, shape in (("found", False), ("of the labelled shape", True)):
        right = sum(matches(page, label.tables, shape=shape) for label, page in pairs)
        for figure, of in (("recall", there), ("precision", said)):
            yield Figure(
                figure=f"PDF tables {name}: {figure}",
                value=round(right / max(1, of), 3),
                unit="",
                peer=f"{right} of {of}, {len(pairs)} pages labelled by hand",
            )
    yield Figure(
        figure="all PDFs of the mirror with tables",
        value=round(cpu_s, 1),
        unit="CPU-s",
        peer=f"{sum(map(len, found.values()))} pages",
        bar=f"≤ {MOST_CPU_S:g}",
        ok=cpu_s <= MOST_CPU_S,
    )


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
