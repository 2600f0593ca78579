"""Recognize tables without rules by the alignment of their text, and render any table as Markdown. Pure.

A header row of three or more short texts, and rows below it whose texts keep to its columns: that is how
requirement lists are set. Columns of prose, lists of names and labels of a figure aren't tables.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from securetag.extractors.readers.pdf.pages import Line

#: Maximum offset between the starts of texts in one column, tenths of a point.
_MAX_OFFSET = 40
#: Maximum characters of a text that may be a part of a formula, over or under others.
MAX_FORMULA_PART_CHARS = 8
#: Cells that are a mark instead of words.
_MARK_CELLS = frozenset("✓✔✗✘xX•+-–—")
#: Maximum characters of a cell; two adjacent boxes with more are the layout of the page.
MAX_CELL_CHARS = 1_200


def group_rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Group lines in reading order into rows of adjacent texts, each from left to right."""
    rows: list[list[Line]] = []
    top = foot = 0
    for line in lines:
        overlap = (foot if foot < line.y1 else line.y1) - (top if top > line.y0 else line.y0)
        if overlap * 2 > min(foot - top, line.y1 - line.y0) and not line.table:
            covered = [other for other in rows[-1] if _covers(line, other)]
            if not covered or _is_formula_part(line) or all(map(_is_formula_part, covered)):
                rows[-1].append(line)
                if line.y1 - line.y0 > foot - top:  # a raised sign came before the text that it belongs to
                    top, foot = line.y0, line.y1
                continue
        rows.append([line])
        top, foot = (0, 0) if line.table else (line.y0, line.y1)
    return [sorted(_split_covered(row), key=lambda line: line.x0) if len(row) > 1 else row for row in rows]


def _covers(line: Line, other: Line) -> bool:
    return line.x0 < other.x1 - 20 and line.x1 > other.x0 + 20


def _is_formula_part(line: Line) -> bool:
    """Whether a text is a sign or a short name, as those are that formulas are set from."""
    return len(line.text) <= MAX_FORMULA_PART_CHARS and not line.mono


def _split_covered(row: list[Line]) -> list[Line]:
    """Return the row with texts that cover each other split at spaces: `( )` around the X of `len X`."""
    if not any(_covers(line, other) for line, other in pairwise(sorted(row, key=lambda line: line.x0))):
        return row
    parts: list[Line] = []
    for line in row:
        is_covered = any(other is not line and _covers(line, other) for other in row)
        parts.extend(_split_at_spaces(line) if is_covered and _is_formula_part(line) else [line])
    return parts


def _split_at_spaces(line: Line) -> Iterator[Line]:
    """Yield the words of a line as lines, placed by their share of its characters."""
    if " " not in line.text.strip():
        yield line
        return
    width = (line.x1 - line.x0) / len(line.text)
    for word in re.finditer(r"\S+", line.text):
        x0, x1 = line.x0 + round(word.start() * width), line.x0 + round(word.end() * width)
        yield Line(x0, line.y0, x1, line.y1, line.size, line.bold, line.mono, word[0], [], line.italic)


def join_tables(rows: list[list[Line]]) -> Iterator[list[Line]]:
    """Yield the same rows, with each aligned table as one line."""
    index = 0
    while index < len(rows):
        count, table = _find_aligned_table(rows, index) if len(rows[index]) >= 3 else (0, None)
        if table is not None:
            yield [table]
            index += count
        else:
            yield rows[index]
            index += 1


def _find_aligned_table(rows: list[list[Line]], start: int) -> tuple[int, Line | None]:
    """Return (number of rows, the table) that begins with this row as its header; (0, None) without one."""
    header = rows[start]
    if any(line.table or len(line.text) > 40 for line in header):
        return 0, None
    columns = [[line] for line in header]
    spans = [[line.x0, line.x1] for line in header]
    taken, last = 1, header[0]
    for row in rows[start + 1 :]:
        places = _assign_columns(row, spans)
        if places == [0] and row[0].x1 > spans[0][1] + row[0].size:
            break  # a heading or paragraph that stands under the first column
        if any(line.size * 10 > header[0].size * 12 for line in row):
            break  # a heading below the table
        height = max(1, last.y1 - last.y0)
        if places is None or row[0].y0 - last.y1 > 4 * height or row[0].y0 < last.y0:
            break
        for line, place in zip(row, places, strict=True):
            columns[place].append(line)
            spans[place] = [min(spans[place][0], line.x0), max(spans[place][1], line.x1)]
        last = row[0]
        taken += 1
    cells = _make_cells(columns, header)
    if not _is_aligned_table(columns, cells):
        return 0, None
    x0, x1 = min(span[0] for span in spans), max(span[1] for span in spans)
    return taken, Line(x0, header[0].y0, x1, last.y1, 0, False, False, "", cells)


def _assign_columns(row: list[Line], spans: list[list[int]]) -> list[int] | None:
    """Return the column of each text; None where a text covers two columns, or two share one."""
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


def _make_cells(columns: list[list[Line]], header: list[Line]) -> list[list[str]]:
    """Return the rows of cells; a text in the first column begins a row, other texts continue it."""
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
            row.append(join_cell(sorted((line.y0, line.x0, line.y1, line.text) for line in inside)))
        cells.append(row)
    return cells


def _is_aligned_table(columns: list[list[Line]], cells: list[list[str]]) -> bool:
    if not is_table(cells):
        return False
    body = [cell for row in cells[1:] for cell in row if cell]
    prose = [sum(len(row[i]) for row in cells[1:]) >= 25 * (len(cells) - 1) for i in range(len(columns))]
    if len(cells) < 3 and not (cells[1][0] and sum(map(bool, cells[1])) >= 3 and sum(prose) == 1):
        return False
    if sum(cell[0].islower() for cell in body) > 0.5 * len(body):
        return False  # words of justified lines, far apart
    marked_cells = sum(cell in _MARK_CELLS or any(letter.isdigit() for letter in cell) for cell in body)
    if not any(prose) and marked_cells < 0.2 * len(body):
        return False  # names in columns
    aligned = total = 0
    for column in columns:
        body_lines = column[1:]
        edges = (
            [f.x0 for f in body_lines],
            [(f.x0 + f.x1) // 2 for f in body_lines],
            [f.x1 for f in body_lines],
        )
        aligned += max(
            max(Counter(edge // _MAX_OFFSET for edge in side).values(), default=0) for side in edges
        )
        total += len(body_lines)
    return aligned >= 0.7 * total


def render_table(rows: list[list[str]], header: list[str] | None = None) -> str:
    """Return a Markdown table; `header` is that of the previous page, which this table continues."""
    if header is not None and rows[0] != header:
        rows = [header, *rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join(["---"] * len(rows[0])) + " |")
    return "\n".join(lines)


def is_table(rows: list[list[str]]) -> bool:
    """Whether the rows are a table, and neither a box around text nor the layout of a page."""
    width = len(rows[0]) if rows else 0
    if width < 2 or len(rows) < 2:
        return False
    filled = sum(bool(cell) for row in rows for cell in row)
    longest = max(len(cell) for row in rows for cell in row)
    several = sum(sum(map(bool, row)) > 1 for row in rows)
    return longest <= MAX_CELL_CHARS * (width - 1) and several >= 2 and filled >= 0.3 * len(rows) * width


def join_cell(parts: list[tuple[int, int, int, str]]) -> str:
    """Return the text of a cell: lines from top to bottom, adjacent texts from left to right."""
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
    """Return rows of one width without empty columns.

    A heading next to its column (thick rules shift it) moves over it.
    """
    width = max(map(len, rows), default=0)
    columns = [[row[i] if i < len(row) else "" for row in rows] for i in range(width)]
    merged: list[list[str]] = []
    for column in columns:
        if not any(column):
            continue
        last = merged[-1] if merged else None
        is_disjoint = last is not None and not any(a and b for a, b in zip(last, column, strict=True))
        if last is not None and is_disjoint and (not any(last[1:]) or not any(column[1:]) or not column[0]):
            merged[-1] = [a or b for a, b in zip(last, column, strict=True)]
        else:
            merged.append(column)
    return [list(row) for row in zip(*merged, strict=True)] if merged else []


def join_continued(rows: list[list[str]]) -> list[list[str]]:
    """Join a row of one text in lower case to the row above: shading cuts rows into their lines."""
    joined_rows: list[list[str]] = []
    for row in rows:
        filled = [i for i, cell in enumerate(row) if cell]
        goes_on = bool(joined_rows) and len(filled) == 1 and filled[0] > 0 and row[filled[0]][:1].islower()
        if goes_on and joined_rows[-1][filled[0]]:
            joined_rows[-1][filled[0]] += f" {row[filled[0]]}"
        else:
            joined_rows.append(list(row))
    return joined_rows
