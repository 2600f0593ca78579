"""Ruled tables of a page: cells between crossing rules or in boxes side by side, filled from its lines.

PyMuPDF's `find_tables` finds the grid by the rules alone. Its layout model, which it would ask first,
costs eight times as much, and a model's answer may change with the machine.
"""

from __future__ import annotations

from typing import Any

from securetag.extractors.readers.pdf_pages import Line, Page
from securetag.extractors.readers.pdf_tables import cell_text, is_table, merge_columns

#: Points by which rules of one grid may miss each other; boxes of one table stand up to 6 apart.
TOLERANCE = 6
#: Drawings beyond which a page is a picture, and looking for rules in it takes minutes.
MOST_DRAWINGS = 20_000

Box = tuple[float, float, float, float]


def find(page: Any, into: Page, pymupdf: Any) -> None:
    """Replaces the lines inside each ruled table by the table."""
    upright = _upright(page, pymupdf)
    if not _ruled(upright):
        return
    found = upright.find_tables(
        use_layout=False, snap_tolerance=TOLERANCE, join_tolerance=TOLERANCE, intersection_tolerance=TOLERANCE
    )
    for table in found.tables:
        grid = [[tuple(10 * v for v in cell) if cell else None for cell in row.cells] for row in table.rows]
        _fill(into, grid, tuple(10 * v for v in table.bbox))  # type: ignore[arg-type]


def _upright(page: Any, pymupdf: Any) -> Any:
    """The page, or a copy of a turned one that isn't: `find_tables` knows no rotation."""
    if page.rotation == 0:
        return page
    copy = pymupdf.open().new_page(width=page.rect.width, height=page.rect.height)
    copy.show_pdf_page(copy.rect, page.parent, page.number, rotate=-page.rotation)
    return copy


def _ruled(page: Any) -> bool:
    """True = rules cross as in a table; looking for one costs ten times what the page's text does."""
    columns: set[int] = set()
    rows: set[int] = set()
    drawings = page.get_cdrawings()
    if len(drawings) > MOST_DRAWINGS:
        return False
    for path in drawings:
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


def _fill(page: Page, grid: list[list[Box | None]], box: Box) -> None:
    inside = [line for line in page.lines if not line.table and _within(line, box)]
    cells = [[_cell(inside, cell) for cell in row] for row in grid]
    rows = merge_columns([row for row in cells if any(row)])
    if not is_table(rows):
        return
    x0, y0, x1, y1 = (round(v) for v in box)
    at = next(i for i, line in enumerate(page.lines) if line is inside[0])
    page.lines.insert(at, Line(x0, y0, x1, y1, 0, False, False, "", rows))
    gone = set(map(id, inside))
    page.lines = [line for line in page.lines if id(line) not in gone]


def _within(line: Line, box: Box) -> bool:
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _cell(lines: list[Line], box: Box | None) -> str:
    """The text of the lines inside, row by row."""
    if box is None:
        return ""
    parts = []
    for line in lines:
        if not box[1] <= (line.y0 + line.y1) / 2 <= box[3] or line.x1 <= box[0] or line.x0 >= box[2]:
            continue
        if text := _cut(line, box[0], box[2]):
            parts.append((line.y0, line.x0, line.y1, text))
    return cell_text(sorted(parts))


def _cut(line: Line, x0: float, x1: float) -> str:
    """The part of a line between two rules; a line that runs over one is cut at the blank next to it."""
    over = TOLERANCE * 10
    if line.x0 >= x0 - over and line.x1 <= x1 + over:
        return line.text
    width = max(1, line.x1 - line.x0) / max(1, len(line.text))
    ends = [_blank(line.text, (edge - line.x0) / width) for edge in (x0, x1)]
    return line.text[ends[0] : ends[1]].strip()


def _blank(text: str, at: float) -> int:
    if at <= 0:
        return 0
    if at >= len(text):
        return len(text)
    blanks = [i for i, letter in enumerate(text) if letter == " "]
    near = min(blanks, key=lambda i: abs(i - at), default=None)
    # A single long word belongs to the cell that holds most of it.
    return near if near is not None else (0 if at < len(text) / 2 else len(text))
