"""A PDF's pages as lines with places and sizes: the only module that knows PyMuPDF (AGPL-3.0).

It runs as a process of its own, `python -m securetag.extractors.readers.pdf_pages FILE [--tables]`,
with limits on memory and time, because a hostile PDF may loop or grow inside native code. Its
standard output is one JSON object, `PdfDocument`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from securetag.errors import SourceError

#: Address space of the process, bytes; MuPDF needs 0.2 GiB for the largest publication known.
MEMORY = 1 << 30
#: CPU-seconds that opening the document, or any one page, may take; a page with tables takes 0.7.
STEP_S = 8.0
#: CPU-seconds of the whole document: at most so many and so many a page.
BASE_S, PAGE_S = 8.0, 1.0
#: Wall seconds after which nobody waits any more, however busy the machine.
PATIENCE_S = 900.0
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


def load(path: Path, *, tables: bool, step_s: float = STEP_S) -> PdfDocument:
    """The document, read in a process of its own.

    Raises SourceError when it is encrypted, damaged, too slow or too large.
    """
    command = [sys.executable, "-m", __name__, str(path), str(step_s), *(["--tables"] if tables else [])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"a PDF that takes more than {PATIENCE_S:.0f} s") from error
    if done.returncode == -signal.SIGPROF:
        raise SourceError(
            f"a PDF of which one page takes more than {step_s:g} CPU-seconds",
            hint="Is it damaged, or made to?",
        )
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"PyMuPDF ended with {done.returncode}"
        raise SourceError(f"not a readable PDF: {reason}")
    return msgspec.json.decode(done.stdout, type=PdfDocument)


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _step(seconds: float) -> None:
    """The process ends unless this is called again within so many CPU-seconds: native code hears no
    exception, but the default action of SIGPROF stops it anywhere."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _pages(document: Any, step_s: float, *, tables: bool) -> Iterator[Page]:
    allowed = BASE_S + PAGE_S * document.page_count
    for page in document:
        _step(step_s)
        yield _page(page, tables=tables)
        if time.process_time() > allowed:
            raise ValueError(f"it takes more than {allowed:.0f} CPU-seconds")


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
    """True = rules cross as in a table; looking for one costs ten times what the page's text does."""
    columns: set[int] = set()
    rows: set[int] = set()
    for path in page.get_cdrawings():
        for item in path["items"]:
            if item[0] == "l":
                (x0, y0), (x1, y1) = item[1], item[2]
            elif item[0] == "re":
                x0, y0, x1, y1 = item[1]
            else:
                continue
            # In steps of 3 points, so that the two edges of one thick rule count once.
            if abs(y1 - y0) > 8:
                columns.update((int(x0 / 3), int(x1 / 3)))
            if abs(x1 - x0) > 20:
                rows.update((int(y0 / 3), int(y1 / 3)))
        if len(columns) >= 3 and len(rows) >= 3:
            return True
    return False


def _tables(page: Any) -> list[Line]:
    """Tables by their rules alone. PyMuPDF's layout model, its default gate, costs eight times as much,
    and a model's answer may change with the machine."""
    words = page.get_text("words")
    found = []
    for table in page.find_tables(use_layout=False).tables:
        rows = [[_cell(words, cell) for cell in row.cells] for row in table.rows]
        rows = merge_columns([row for row in rows if any(row)])
        if len(rows) < 2 or len(rows[0]) < 2:
            continue
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "| " + " | ".join(["---"] * len(rows[0])) + " |")
        x0, y0, x1, y1 = (round(v, 1) for v in table.bbox)
        found.append(Line(x0, y0, x1, y1, 0.0, False, "\n".join(lines), True))
    return found


def _cell(words: list[Any], box: tuple[float, float, float, float] | None) -> str:
    """Words whose centre lies in the box. PyMuPDF's own text of a cell loses the blanks between them."""
    if box is None:
        return ""
    x0, y0, x1, y1 = box
    inside = [w[4] for w in words if x0 <= (w[0] + w[2]) / 2 <= x1 and y0 <= (w[1] + w[3]) / 2 <= y1]
    return " ".join(inside).replace("|", "\\|")


def merge_columns(rows: list[list[str]]) -> list[list[str]]:
    """Rows of one width without empty columns; a heading beside its column (thick rules) moves over it."""
    width = max(map(len, rows), default=0)
    columns = [[row[i] if i < len(row) else "" for row in rows] for i in range(width)]
    merged: list[list[str]] = []
    for column in columns:
        if not any(column):
            continue
        last = merged[-1] if merged else None
        apart = last is not None and not any(a and b for a, b in zip(last, column, strict=True))
        if last is not None and apart and (not any(last[1:]) or not any(column[1:])):
            merged[-1] = [a or b for a, b in zip(last, column, strict=True)]
        else:
            merged.append(column)
    return [list(row) for row in zip(*merged, strict=True)] if merged else []


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
    # The layout model that PyMuPDF imports by itself costs 0.3 CPU-seconds and 250 MB of address space
    # at every start, and isn't used here.
    sys.modules["pymupdf.layout"] = None  # type: ignore[assignment]
    import pymupdf as untyped

    pymupdf: Any = untyped  # its stubs lack half of what its documentation names
    pymupdf.no_recommend_layout()  # it would advertise on standard output
    pymupdf.TOOLS.mupdf_display_errors(False)
    step_s = float(arguments[1])
    _step(step_s)
    try:
        document = pymupdf.open(arguments[0], filetype="pdf")
        if document.needs_pass and not document.authenticate(""):
            print("it is encrypted and asks for a password", file=sys.stderr)
            return 1
        pages = list(_pages(document, step_s, tables="--tables" in arguments))
        toc = [(level, title, page) for level, title, page in document.get_toc()]
    except (RuntimeError, ValueError, MemoryError) as error:  # MuPDF's own errors derive from these
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    title = (document.metadata or {}).get("title") or ""
    sys.stdout.buffer.write(msgspec.json.encode(PdfDocument(title, toc, pages)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
