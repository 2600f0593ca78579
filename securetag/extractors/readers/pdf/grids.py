"""Find the ruled tables of a page: cells between crossing rules or in adjacent boxes.

PyMuPDF's `find_tables` finds the grid by the rules alone. Its layout model, which it would ask first,
costs eight times as much, and a model's answer may change with the machine.
"""

from __future__ import annotations

from typing import Any

from securetag.extractors.readers.pdf.pages import Line, Page
from securetag.extractors.readers.pdf.tables import is_table, join_cell, join_continued, merge_columns

#: Maximum gap between rules of one grid, and between boxes of one table, points.
TOLERANCE, APART = 3.0, 6.0
#: Maximum thickness of a filled rectangle that is a rule and not a box, points.
MAX_RULE_POINTS = 5.0
#: Maximum characters of a cell; one or two boxes with more are the layout of the page.
MAX_BOX_CHARS = 500
#: Maximum share of the lines inside that run from one cell into the next.
MAX_CROSSING_SHARE = 0.3
#: Maximum bytes of drawing operators, and drawings, of a page that is searched for rules. A page with more
#: is a picture, and the search takes minutes.
MAX_CONTENT_BYTES = 4 << 20
MAX_DRAWINGS = 20_000

Box = tuple[float, float, float, float]


def replace_ruled_tables(page: Any, target: Page) -> None:
    """Replace the lines inside each ruled table by the table."""
    if len(page.read_contents()) > MAX_CONTENT_BYTES:
        return
    ruled, boxed = _inspect_drawings(page)
    table_count = 0
    if ruled:
        table_count = sum(fill_tables(target, grid) for grid in find_grids(page, TOLERANCE, "lines_strict"))
    if boxed and not table_count:
        for grid in find_grids(page, APART, "lines"):
            fill_tables(target, grid)


def find_grids(page: Any, tolerance: float, strategy: str) -> list[list[list[Box | None]]]:
    """Return the rows of cells of each grid, in tenths of a point; cells that others span are None."""
    finder = page.find_tables(
        use_layout=False,
        strategy=strategy,
        snap_tolerance=tolerance,
        join_tolerance=tolerance,
        intersection_tolerance=tolerance,
    )
    return [
        [[tuple(10 * v for v in cell) if cell else None for cell in row.cells] for row in table.rows]
        for table in finder.tables
    ]


def _inspect_drawings(page: Any) -> tuple[bool, bool]:
    """Return whether rules cross as in a table, and whether boxes are side by side.

    Searching for a table costs ten times as much as the text of the page.
    """
    drawings = page.get_cdrawings()
    if len(drawings) > MAX_DRAWINGS:
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
                if not stroked and min(x1 - x0, y1 - y0) > MAX_RULE_POINTS:
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


def fill_tables(page: Page, grid: list[list[Box | None]]) -> int:
    """Replace the lines inside a grid by tables and return their number.

    A table is a run of rows between rows that are only the layout of the page.
    """
    run: list[list[Box | None]] = []
    table_count = 0
    for row in [*grid, []]:
        boxes = [cell for cell in row if cell]
        if boxes and not _is_page_layout(page, boxes):
            run.append(row)
        elif run:
            table_count += _fill_rows(page, run)
            run = []
    return table_count


def _is_page_layout(page: Page, boxes: list[Box]) -> bool:
    """Whether the boxes of a row hold prose, one box or two.

    A term with a long definition is a table's row.
    """
    filled = sorted(len(text) for box in boxes if (text := _get_cell_text(page.lines, box)))
    return len(filled) < 3 and bool(filled) and filled[-1] > MAX_BOX_CHARS and filled[0] > MAX_BOX_CHARS / 3


def _fill_rows(page: Page, grid: list[list[Box | None]]) -> int:
    boxes = [cell for row in grid for cell in row if cell]
    lefts, tops, rights, feet = zip(*boxes, strict=True)
    box = (min(lefts), min(tops), max(rights), max(feet))
    inside = [line for line in page.lines if not line.table and _is_within(line, box)]
    cells = [[_get_cell_text(inside, cell) for cell in row] for row in grid]
    if len(grid) > 2 and sum(map(bool, cells[0])) == 1 and _is_title_row(inside, grid[0]):
        return _fill_rows(page, grid[1:])
    rows = join_continued(merge_columns([row for row in cells if any(row)]))
    if not is_table(rows) and not _is_single_tall_row(rows, box, page):
        return 0
    if sum(_crosses_cells(line, boxes) for line in inside) > MAX_CROSSING_SHARE * len(inside):
        return 0
    x0, y0, x1, y1 = (round(v) for v in box)
    at = next(i for i, line in enumerate(page.lines) if line is inside[0])
    page.lines.insert(at, Line(x0, y0, x1, y1, 0, False, False, "", rows))
    gone = set(map(id, inside))
    page.lines = [line for line in page.lines if id(line) not in gone]
    return 1


def _is_title_row(lines: list[Line], row: list[Box | None]) -> bool:
    """Whether the row's text is larger than the text of the rows below: a heading in a box."""
    foot = max(cell[3] for cell in row if cell)
    title = [line.size for line in lines if line.y0 + line.y1 < 2 * foot]
    below = [line.size for line in lines if line.y0 + line.y1 >= 2 * foot]
    return bool(title and below) and max(title) > 1.3 * max(below, key=below.count)


def _is_single_tall_row(rows: list[list[str]], box: Box, page: Page) -> bool:
    """Whether the only row of a table fills the page; a shaded row of a table without rules is low."""
    return len(rows) == 1 and len(rows[0]) >= 3 and all(rows[0]) and box[3] - box[1] > 0.2 * page.height


def _crosses_cells(line: Line, boxes: list[Box]) -> bool:
    """Whether a line runs from one cell into the next, as text over underlines and highlights does."""
    middle, over = (line.y0 + line.y1) / 2, APART * 10
    return any(
        box[1] <= middle <= box[3] and line.x0 < box[2] - over and line.x1 > box[2] + over for box in boxes
    )


def _is_within(line: Line, box: Box) -> bool:
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _get_cell_text(lines: list[Line], box: Box | None) -> str:
    """Return the text of the lines inside a cell, row by row."""
    if box is None:
        return ""
    parts = []
    for line in lines:
        if not box[1] <= (line.y0 + line.y1) / 2 <= box[3] or line.x1 <= box[0] or line.x0 >= box[2]:
            continue
        if text := _cut_line(line, box[0], box[2]):
            parts.append((line.y0, line.x0, line.y1, text))
    return join_cell(sorted(parts))


def _cut_line(line: Line, x0: float, x1: float) -> str:
    """Return the part of a line between two rules; a line that crosses one is cut at the nearest space."""
    over = APART * 10
    if line.x0 >= x0 - over and line.x1 <= x1 + over:
        return line.text
    width = max(1, line.x1 - line.x0) / max(1, len(line.text))
    ends = [_find_cut(line.text, (edge - line.x0) / width) for edge in (x0, x1)]
    return line.text[ends[0] : ends[1]].strip()


def _find_cut(text: str, at: float) -> int:
    if at <= 0:
        return 0
    if at >= len(text):
        return len(text)
    blanks = [i for i, letter in enumerate(text) if letter == " "]
    near = min(blanks, key=lambda i: abs(i - at), default=None)
    # A single long word belongs to the cell that holds most of it.
    return near if near is not None else (0 if at < len(text) / 2 else len(text))
