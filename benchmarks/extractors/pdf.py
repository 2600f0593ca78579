"""PDF → headings and paragraphs beside PyMuPDF's bare `page.get_text("dict")`, over all PDFs of the mirror.

Both sides run in processes of their own and count all of their CPU-seconds, start included. Ours has
margins, columns, headings, listings and hyphens handled; tables are `pdf_tables`', and what a Record costs
on top (clean Markdown, its language, its id) is a figure of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.measure import repeat_rounds
from securetag.extractors.catalog import FolderMethod, Source
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.pdf import pages as pdf_pages
from securetag.extractors.readers.pdf.headings import find_headings
from securetag.extractors.readers.pdf.layout import measure_body_size
from securetag.extractors.readers.pdf.lines import Flow
from securetag.extractors.readers.pdf.reader import PdfReader, clean_pages
from securetag.records import Record

#: Rounds of which the best counts, and the wall seconds after which no other begins.
ROUNDS, MAX_WALL_S = 3, 300.0
#: Bytes of parent and child together.
MOST_MEMORY = 1.5 * 2**30
_BARE = """
import sys
sys.modules["pymupdf.layout"] = None
import pymupdf
pymupdf.no_recommend_layout()
pages, flags = 0, pymupdf.TEXTFLAGS_DICT & ~pymupdf.TEXT_PRESERVE_IMAGES
for path in sys.argv[2:]:
    for page in pymupdf.open(path):
        pages += bool(page.get_text("dict", flags=flags) if sys.argv[1] == "text" else page.get_text("dict"))
print(pages)
"""
_OURS = """
import sys
from benchmarks.extractors.pdf import blocks, records
print((records if sys.argv[1] == "records" else blocks)(sys.argv[2:]))
"""


def publications() -> list[Path]:
    """The mirror's PDFs, by name; none without a mirror."""
    mirror = os.environ.get("SECURETAG_MIRROR")
    return sorted(Path(mirror).rglob("*.pdf")) if mirror else []


def blocks(paths: list[str]) -> int:
    """The number of headings and paragraphs."""
    count = 0
    for path in paths:
        document = pdf_pages.load_document(Path(path), tables=False)
        body = measure_body_size(document.pages)
        pages = [lines for lines, _ in clean_pages(document, body, tables=False)]
        count += sum(1 for _ in Flow(pages, find_headings(document, pages, body), body).items())
    pdf_pages.stop()
    return count


def records(paths: list[str]) -> int:
    """The number of Records."""
    row = Source(
        name="pdf",
        tier="extended",
        publisher="x",
        dataset="x",
        title="x",
        edition="1",
        url="https://example.org",
        licence="CC0-1.0",
        reader="pdf",
        options={"tables": False},
        folder=FolderMethod("/"),
    )
    files = [FetchedFile(Path(path), "https://example.org/a.pdf", "", "1", "CC0-1.0") for path in paths]
    count = sum(isinstance(item, Record) for item in PdfReader(row).read(files))
    pdf_pages.stop()
    return count


def run(program: str, *arguments: str) -> tuple[float, float, int]:
    """(CPU-seconds, MiB of the largest process, the number that it prints)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, after.ru_maxrss / 1024, int(done.stdout)


def measure() -> Iterator[Figure]:
    """Pages a CPU-second, ratios to bare PyMuPDF, and the memory of the largest process."""
    paths = [str(path) for path in publications()]
    if not paths:
        print("pdf: no SECURETAG_MIRROR, nothing measured", file=sys.stderr)
        return
    # In turns, and the best of each: a busy machine may double any one.
    sides = [(_BARE, "all"), (_BARE, "text"), (_OURS, "blocks"), (_OURS, "records")]
    rounds = repeat_rounds(
        lambda: [run(program, what, *paths) for program, what in sides], rounds=ROUNDS, max_wall_s=MAX_WALL_S
    )
    bare_s, text_s, ours_s, records_s = (min(one[side][0] for one in rounds) for side in range(len(sides)))
    pages, found, peak = rounds[0][0][2], rounds[0][3][2], max(one[3][1] for one in rounds)
    yield Figure(
        figure="PDF: pages a CPU-second to headings and paragraphs",
        value=round(pages / ours_s, 1),
        unit="pages/CPU-s",
        peer=f'get_text("dict"): {pages / bare_s:.1f}',
        bar="≥ 0.9x",
        ok=bare_s / ours_s >= 0.9,
    )
    yield Figure(
        figure="PDF: the same beside get_text without images",
        value=round(text_s / ours_s, 2),
        unit="ratio",
        peer=f"{pages / text_s:.1f} pages/CPU-s",
    )
    yield Figure(
        figure="PDF: pages a CPU-second to Records",
        value=round(pages / records_s, 1),
        unit="pages/CPU-s",
        peer=f"{found} Records",
    )
    yield Figure(
        figure="PDF: largest process without tables",
        value=round(peak, 1),
        unit="MiB",
        bar="≤ 768 (half of 1.5 GiB)",
        ok=2 * peak * 2**20 <= MOST_MEMORY,
    )
