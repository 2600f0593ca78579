"""Ruled tables of a page: cells between crossing rules or in boxes side by side, filled from its lines.

PyMuPDF's `find_tables` finds the grid by the rules alone. Its layout model, which it would ask first,
costs eight times as much, and a model's answer may change with the machine.
"""

from __future__ import annotations

from typing import Any

from securetag.extractors.readers.pdf.pages import Line, Page
from securetag.extractors.readers.pdf.tables import cell_text, is_table, join_continued, merge_columns

#: Points by which rules of one grid may miss each other, and boxes of one table may stand apart.
TOLERANCE, APART = 3.0, 6.0
#: Points up to which a filled rectangle is a rule and no box.
THICK = 5.0
#: Characters of a cell beyond which one or two boxes are a page's layout.
MOST_IN_BOX = 500
#: Share of the lines inside that may run from one cell into the next.
MOST_CUT = 0.3
#: Bytes of drawing operators, and drawings, beyond which a page is a picture, and looking for rules in it
#: takes minutes.
MOST_CONTENT = 4 << 20
MOST_DRAWINGS = 20_000

Box = tuple[float, float, float, float]


def find(page: Any, into: Page) -> None:
    """Replaces the lines inside each ruled table by the table."""
    if len(page.read_contents()) > MOST_CONTENT:
        return
    ruled, boxed = _drawn(page)
    made = 0
    if ruled:
        made = sum(fill(into, grid) for grid in grids(page, TOLERANCE, "lines_strict"))
    if boxed and not made:
        for grid in grids(page, APART, "lines"):
            fill(into, grid)


def grids(page: Any, tolerance: float, strategy: str) -> list[list[list[Box | None]]]:
    """Rows of cells of each grid, in tenths of a point; cells that others span are None."""
    found = page.find_tables(
        use_layout=False, strategy=strategy,
        snap_tolerance=tolerance, join_tolerance=tolerance, intersection_tolerance=tolerance,
    )  # fmt: skip
    return [
        [[tuple(10 * v for v in cell) if cell else None for cell in row.cells] for row in table.rows]
        for table in found.tables
    ]


def _drawn(page: Any) -> tuple[bool, bool]:
    """(rules cross as in a table, boxes stand side by side): looking for a table costs ten times what the
    page's text does."""
    drawings = page.get_cdrawings()
    if len(drawings) > MOST_DRAWINGS:
        return False, False
    columns: set[int] = set()
    rows: set[int] = set()
    tall: set[int] = set()
    boxes: set[tuple[int, int]] = set()
    for path in drawings:
        stroked = "s" in path["type"]
        for item in path["items"]:
            if item[0] == "l":
                (x0, y0), (x1, y1) = item[1], item[2]
            elif item[0] == "re":
                x0, y0, x1, y1 = item[1]
                if not stroked and min(x1 - x0, y1 - y0) > THICK:
                    boxes.add((int(x0 / 3), int(y0 / 3)))
                    continue
            else:
                continue
            # In steps of 3 points, so that the two edges of one thick rule count once.
            if abs(y1 - y0) > 8:
                columns.update((int(x0 / 3), int(x1 / 3)))
                if abs(y1 - y0) > 72:
                    tall.add(int(x0 / 3))
            if abs(x1 - x0) > 20:
                rows.update((int(y0 / 3), int(y1 / 3)))
    # A table that fills the page may have no rule at its head.
    ruled = len(columns) >= 3 and (len(rows) >= 3 or (bool(rows) and len(tall) >= 4))
    boxed = len(boxes) >= 4 and len({x for x, _ in boxes}) >= 2 and len({y for _, y in boxes}) >= 2
    return ruled, boxed


def fill(page: Page, grid: list[list[Box | None]]) -> int:
    """Replaces the lines inside by tables: runs of rows between those that are a page's layout."""
    run: list[list[Box | None]] = []
    made = 0
    for row in [*grid, []]:
        boxes = [cell for cell in row if cell]
        if boxes and not _is_layout(page, boxes):
            run.append(row)
        elif run:
            made += _fill_run(page, run)
            run = []
    return made


def _is_layout(page: Page, boxes: list[Box]) -> bool:
    """True = a box of prose, or two beside each other; a term with its long definition is a table's row."""
    filled = sorted(len(text) for box in boxes if (text := _cell(page.lines, box)))
    return len(filled) < 3 and bool(filled) and filled[-1] > MOST_IN_BOX and filled[0] > MOST_IN_BOX / 3


def _fill_run(page: Page, grid: list[list[Box | None]]) -> int:
    boxes = [cell for row in grid for cell in row if cell]
    left, top, right, foot = zip(*boxes, strict=True)
    box = (min(left), min(top), max(right), max(foot))
    inside = [line for line in page.lines if not line.table and _within(line, box)]
    cells = [[_cell(inside, cell) for cell in row] for row in grid]
    if len(grid) > 2 and sum(map(bool, cells[0])) == 1 and _is_title(inside, grid[0]):
        return _fill_run(page, grid[1:])
    rows = join_continued(merge_columns([row for row in cells if any(row)]))
    if not is_table(rows) and not _one_tall_row(rows, box, page):
        return 0
    if sum(_is_cut(line, boxes) for line in inside) > MOST_CUT * len(inside):
        return 0
    x0, y0, x1, y1 = (round(v) for v in box)
    at = next(i for i, line in enumerate(page.lines) if line is inside[0])
    page.lines.insert(at, Line(x0, y0, x1, y1, 0, False, False, "", rows))
    gone = set(map(id, inside))
    page.lines = [line for line in page.lines if id(line) not in gone]
    return 1


def _is_title(lines: list[Line], row: list[Box | None]) -> bool:
    """True = the row's text is larger than that of the rows below: a heading in a box on top."""
    foot = max(cell[3] for cell in row if cell)
    title = [line.size for line in lines if line.y0 + line.y1 < 2 * foot]
    below = [line.size for line in lines if line.y0 + line.y1 >= 2 * foot]
    return bool(title and below) and max(title) > 1.3 * max(below, key=below.count)


def _one_tall_row(rows: list[list[str]], box: Box, page: Page) -> bool:
    """True = a row of a table that fills the page; a shaded row of one without rules is low."""
    return len(rows) == 1 and len(rows[0]) >= 3 and all(rows[0]) and box[3] - box[1] > 0.2 * page.height


def _is_cut(line: Line, boxes: list[Box]) -> bool:
    """True = the line runs from one cell into the next, as text over underlines and highlights does."""
    middle, over = (line.y0 + line.y1) / 2, APART * 10
    return any(
        box[1] <= middle <= box[3] and line.x0 < box[2] - over and line.x1 > box[2] + over for box in boxes
    )


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
    over = APART * 10
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
