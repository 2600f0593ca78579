"""A PDF's pages as lines with places and sizes: the only module that knows PyMuPDF (AGPL-3.0).

It runs as a process of its own, `python -m securetag.extractors.readers.pdf_pages FILE [--tables]`,
with limits on memory and time, because a hostile PDF may loop or grow inside native code. Its
standard output is one JSON object, `PdfDocument`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from securetag.errors import SourceError

#: Address space of the process, bytes; MuPDF needs 0.2 GiB for the largest publication known.
MEMORY = 1 << 30
#: Seconds that a document may take before its first page, and per page after it.
BASE_S, PAGE_S = 10.0, 2.0
#: Characters beyond which a page's text is no text.
MAX_LINE = 10_000


class Line(msgspec.Struct, array_like=True):
    """A horizontal line of text, in points from the top left."""

    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool
    text: str
    #: Markdown of a table that stands here, its text included.
    table: bool = False


class Page(msgspec.Struct):
    """One page; `images` tells a page of pictures from an empty one."""

    width: float
    height: float
    lines: list[Line]
    images: int = 0


class PdfDocument(msgspec.Struct):
    """What the reader makes sections of."""

    title: str
    #: (level, title, page) from the outline, pages from 1.
    toc: list[tuple[int, str, int]]
    pages: list[Page]


def load(path: Path, *, tables: bool, timeout_s: float | None = None) -> PdfDocument:
    """The document, read in a process of its own.

    Raises SourceError when it is encrypted, damaged, too slow or too large.
    """
    command = [sys.executable, "-m", __name__, str(path), *(["--tables"] if tables else [])]
    # The size bounds the pages, roughly: the smallest page of text known takes 1 kB.
    limit = timeout_s or BASE_S + min(600.0, PAGE_S * path.stat().st_size / 20_000)
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceError(
            f"a PDF that takes more than {limit:.0f} s", hint="Is it damaged, or made to?"
        ) from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"PyMuPDF ended with {done.returncode}"
        raise SourceError(f"not a readable PDF: {reason}")
    return msgspec.json.decode(done.stdout, type=PdfDocument)


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _line(line: dict[str, Any]) -> Line | None:
    """One line of PyMuPDF's dict, without footnote marks; None for blank and turned ones."""
    if abs(line["dir"][0] - 1.0) > 0.01:
        return None
    spans = [s for s in line["spans"] if not (s["flags"] & 1 and s["text"].strip().isdigit())]
    text = "".join(s["text"] for s in spans)[:MAX_LINE]
    if not text.strip():
        return None
    longest = max(spans, key=lambda s: len(s["text"].strip()))
    bold = all(s["flags"] & 16 or "bold" in s["font"].lower() for s in spans if s["text"].strip())
    x0, y0, x1, y1 = (round(v, 1) for v in line["bbox"])
    return Line(x0, y0, x1, y1, round(longest["size"], 1), bold, " ".join(text.split()))


def _ruled(page: Any) -> bool:
    """True = enough lines or boxes are drawn for a table, which costs a second a page to look for."""
    rules = 0
    for path in page.get_cdrawings():
        rules += sum(1 for item in path["items"] if item[0] in {"l", "re"})
        if rules >= 8:
            return True
    return False


def _tables(page: Any) -> list[Line]:
    found = []
    for table in page.find_tables().tables:
        rows = [[" ".join((cell or "").split()) for cell in row] for row in table.extract()]
        rows = [row for row in rows if any(row)]
        if len(rows) < 2 or max(map(len, rows)) < 2:
            continue
        cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        lines = ["| " + " | ".join(row) + " |" for row in cells]
        lines.insert(1, "| " + " | ".join(["---"] * len(cells[0])) + " |")
        x0, y0, x1, y1 = (round(v, 1) for v in table.bbox)
        found.append(Line(x0, y0, x1, y1, 0.0, False, "\n".join(lines), True))
    return found


def _page(page: Any, *, tables: bool) -> Page:
    import pymupdf

    content = page.get_text("dict", flags=pymupdf.TEXTFLAGS_DICT & ~pymupdf.TEXT_PRESERVE_IMAGES)
    lines = [kept for block in content["blocks"] for raw in block.get("lines", []) if (kept := _line(raw))]
    if tables and lines and _ruled(page):
        for table in _tables(page):
            inside = [i for i, line in enumerate(lines) if _within(line, table)]
            if inside:
                lines = [line for line in lines if not _within(line, table)]
                lines.insert(inside[0], table)
    images = 0 if lines else len(page.get_images())
    return Page(round(page.rect.width, 1), round(page.rect.height, 1), lines, images)


def _within(line: Line, table: Line) -> bool:
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return not line.table and table.x0 <= x <= table.x1 and table.y0 <= y <= table.y1


def main(arguments: list[str]) -> int:
    """Print the document; 1 and a reason on standard error when it can't be read."""
    _limit()
    import pymupdf as untyped

    pymupdf: Any = untyped  # its stubs lack half of what its documentation names
    pymupdf.TOOLS.mupdf_display_errors(False)
    try:
        document = pymupdf.open(arguments[0], filetype="pdf")
        if document.needs_pass and not document.authenticate(""):
            print("it is encrypted and asks for a password", file=sys.stderr)
            return 1
        pages = [_page(page, tables="--tables" in arguments) for page in document]
        toc = [(level, title, page) for level, title, page in document.get_toc()]
    except (RuntimeError, ValueError, MemoryError) as error:  # MuPDF's own errors derive from these
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    title = (document.metadata or {}).get("title") or ""
    sys.stdout.buffer.write(msgspec.json.encode(PdfDocument(title, toc, pages)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
