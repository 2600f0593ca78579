"""Tables without rules, told by how their text is aligned; and any table as Markdown. Pure.

A header row of three or more short texts, and rows below it whose texts keep to its columns: that is how
requirement lists are set. Columns of prose, lists of names and labels of a figure aren't tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from securetag.extractors.readers.pdf.pages import Line

#: Tenths of a point by which texts of one column may start apart.
_SLACK = 40
#: What a cell says of a row without words.
_MARKS = frozenset("✓✔✗✘xX•+-–—")
#: Characters of a cell beyond which two boxes side by side are the page's layout and no table.
MOST_IN_CELL = 1_200


def rows_of(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines in reading order → rows of what stands side by side, each from left to right."""
    rows: list[list[Line]] = []
    top = foot = 0
    for line in lines:
        overlap = (foot if foot < line.y1 else line.y1) - (top if top > line.y0 else line.y0)
        if (
            overlap * 2 > min(foot - top, line.y1 - line.y0)
            and not line.table
            and not any(line.x0 < other.x1 - 20 and line.x1 > other.x0 + 20 for other in rows[-1])
        ):
            rows[-1].append(line)
            continue
        rows.append([line])
        top, foot = (0, 0) if line.table else (line.y0, line.y1)
    for row in rows:
        if len(row) > 1:
            row.sort(key=lambda line: line.x0)
    return rows


def with_tables(rows: list[list[Line]]) -> Iterator[list[Line]]:
    """The same rows, with each aligned table as one line."""
    index = 0
    while index < len(rows):
        count, table = _aligned(rows, index) if len(rows[index]) >= 3 else (0, None)
        if table is not None:
            yield [table]
            index += count
        else:
            yield rows[index]
            index += 1


def _aligned(rows: list[list[Line]], start: int) -> tuple[int, Line | None]:
    """(rows taken, the table) that begins with this row as its header."""
    header = rows[start]
    if any(line.table or len(line.text) > 40 for line in header):
        return 0, None
    columns = [[line] for line in header]
    spans = [[line.x0, line.x1] for line in header]
    taken, last = 1, header[0]
    for row in rows[start + 1 :]:
        places = _places(row, spans)
        if places == [0] and row[0].x1 > spans[0][1] + row[0].size:
            break  # a heading or paragraph that stands under the first column
        height = max(1, last.y1 - last.y0)
        if places is None or row[0].y0 - last.y1 > 4 * height or row[0].y0 < last.y0:
            break
        for line, place in zip(row, places, strict=True):
            columns[place].append(line)
            spans[place] = [min(spans[place][0], line.x0), max(spans[place][1], line.x1)]
        last = row[0]
        taken += 1
    cells = _cells(columns, header)
    if not _keeps_columns(columns, cells):
        return 0, None
    x0, x1 = min(span[0] for span in spans), max(span[1] for span in spans)
    return taken, Line(x0, header[0].y0, x1, last.y1, 0, False, False, "", cells)


def _places(row: list[Line], spans: list[list[int]]) -> list[int] | None:
    """The column of each text; None where one lies over two columns, or two in one."""
    places = []
    for line in row:
        if line.table:
            return None
        over = [i for i, (x0, x1) in enumerate(spans) if line.x0 < x1 and line.x1 > x0]
        if not over:
            over = [min(range(len(spans)), key=lambda i: abs(spans[i][0] - line.x0))]
        if len(over) > 1:
            return None
        places.append(over[0])
    return places if len(set(places)) == len(places) else None


def _cells(columns: list[list[Line]], header: list[Line]) -> list[list[str]]:
    """Rows begin where the first column has a text; all else continues the row that it stands in."""
    foot = max(line.y1 for line in header)
    tops = [line.y0 - line.size // 2 for line in columns[0][1:] if line.y0 >= foot - line.size // 2]
    between = [
        line.y0 for column in columns for line in column[1:] if foot <= line.y0 < min(tops, default=foot)
    ]
    if not tops or (between and min(between) - foot > header[0].size // 2):
        tops = [foot, *tops]  # the page begins amid a row
    bounds = [-(1 << 30), *tops, 1 << 30]
    cells = []
    for above, below in pairwise(bounds):
        row = []
        for column in columns:
            inside = [line for line in column if above <= line.y0 < below]
            row.append(cell_text(sorted((line.y0, line.x0, line.y1, line.text) for line in inside)))
        cells.append(row)
    return cells


def _keeps_columns(columns: list[list[Line]], cells: list[list[str]]) -> bool:
    if not is_table(cells):
        return False
    body = [cell for row in cells[1:] for cell in row if cell]
    prose = [sum(len(row[i]) for row in cells[1:]) >= 25 * (len(cells) - 1) for i in range(len(columns))]
    if len(cells) < 3 and not (cells[1][0] and sum(map(bool, cells[1])) >= 3 and sum(prose) == 1):
        return False
    if sum(cell[0].islower() for cell in body) > 0.5 * len(body):
        return False  # words of justified lines, far apart
    told = sum(cell in _MARKS or any(letter.isdigit() for letter in cell) for cell in body)
    if not any(prose) and told < 0.2 * len(body):
        return False  # names in columns
    aligned = total = 0
    for column in columns:
        body_lines = column[1:]
        edges = (
            [f.x0 for f in body_lines],
            [(f.x0 + f.x1) // 2 for f in body_lines],
            [f.x1 for f in body_lines],
        )
        aligned += max(max(Counter(edge // _SLACK for edge in side).values(), default=0) for side in edges)
        total += len(body_lines)
    return aligned >= 0.7 * total


def markdown(rows: list[list[str]], header: list[str] | None = None) -> str:
    """A Markdown table; `header` is that of the page before, where this one goes on without its own."""
    if header is not None and rows[0] != header:
        rows = [header, *rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join(["---"] * len(rows[0])) + " |")
    return "\n".join(lines)


def is_table(rows: list[list[str]]) -> bool:
    """False = a box, a frame around text, or a page's layout in boxes."""
    width = len(rows[0]) if rows else 0
    if width < 2 or len(rows) < 2:
        return False
    filled = sum(bool(cell) for row in rows for cell in row)
    longest = max(len(cell) for row in rows for cell in row)
    several = sum(sum(map(bool, row)) > 1 for row in rows)
    return longest <= MOST_IN_CELL * (width - 1) and several >= 2 and filled >= 0.3 * len(rows) * width


def cell_text(parts: list[tuple[int, int, int, str]]) -> str:
    """Lines of a cell from top to bottom, what stands side by side from left to right."""
    rows: list[list[tuple[int, int, int, str]]] = []
    for part in parts:
        if rows and part[0] < (rows[-1][0][0] + rows[-1][0][2]) / 2:
            rows[-1].append(part)
        else:
            rows.append([part])
    text = ""
    for row in rows:
        line = " ".join(part[3] for part in sorted(row, key=lambda part: part[1]))
        broken = text.endswith("-") and text[-2:-1].isalpha() and line[:1].islower()
        text = text[:-1] + line if broken else f"{text} {line}" if text else line
    return text


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
        if last is not None and apart and (not any(last[1:]) or not any(column[1:]) or not column[0]):
            merged[-1] = [a or b for a, b in zip(last, column, strict=True)]
        else:
            merged.append(column)
    return [list(row) for row in zip(*merged, strict=True)] if merged else []


def join_continued(rows: list[list[str]]) -> list[list[str]]:
    """Shading cuts rows into their lines: one text alone that goes on in lower case joins the row above."""
    out: list[list[str]] = []
    for row in rows:
        filled = [i for i, cell in enumerate(row) if cell]
        goes_on = bool(out) and len(filled) == 1 and filled[0] > 0 and row[filled[0]][:1].islower()
        if goes_on and out[-1][filled[0]]:
            out[-1][filled[0]] += f" {row[filled[0]]}"
        else:
            out.append(list(row))
    return out
