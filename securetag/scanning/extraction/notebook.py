"""Code cells of a Jupyter notebook, as Python on the lines that they have in the notebook's file.

Format: https://nbformat.readthedocs.io/en/latest/format_description.html. Jupyter writes a line of code on a
line of the file, as a string in the list `source`. A file that holds a cell on fewer lines has no such lines:
its cells are written one after the other, and so numbered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Cell magics whose cell is Python all the same; the others name another language.
_PYTHON_CELLS = frozenset({"time", "timeit", "capture", "prun", "python", "python3", "py"})
_SOURCE = re.compile(r'^\s*"source":\s*\[\s*$')
#: `% name` on a line of its own is the rest of an expression, `%name` is a command.
_MAGIC = re.compile(r"(\s*)(?:%{1,2}[A-Za-z]|![^=]|\?\w|[\w.]+\?{1,2}\s*$)")
_ASSIGNED_MAGIC = re.compile(r"(\s*[\w., ]+=\s*)[%!]")


class OtherLanguageError(ValueError):
    """The notebook's cells are in a language that no rule reads in notebooks."""

    def __init__(self, language: str) -> None:
        super().__init__(f"the notebook is in {language}")
        self.language = language


@dataclass(frozen=True)
class CellLine:
    """A line of a code cell; both from 1, cells of all kinds counted."""

    cell: int
    line: int


@dataclass(frozen=True)
class Notebook:
    """The code of a notebook."""

    content: bytes
    #: Line of `content` → cell and line in it.
    cells: dict[int, CellLine]


def read_notebook(content: bytes) -> Notebook | None:
    """Return the Python of a notebook; None where it has no code.

    Raises ValueError for what is no notebook, OtherLanguageError for one in another language.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the notebook is not JSON: {error}") from error
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise ValueError("the notebook has no list of cells (nbformat 4)")
    if (language := _language(document)) != "python":
        raise OtherLanguageError(language)
    code = {
        number: lines
        for number, cell in enumerate(cells, 1)
        if cell.get("cell_type") == "code" and (lines := _lines(cell.get("source")))
    }
    if not code:
        return None
    starts = _find_lines(content.decode("utf-8", errors="replace").split("\n"), list(code.values()))
    placed: dict[int, str] = {}
    places: dict[int, CellLine] = {}
    following = 1
    for index, (number, source) in enumerate(code.items()):
        first = following + 1 if starts is None else starts[index]
        # The line before is that of `"source": [`.
        placed[first - 1] = f"# cell {number}"
        for offset, line in enumerate(_as_python(source)):
            placed[first + offset] = line
            places[first + offset] = CellLine(number, offset + 1)
        following = first + len(source)
    text = "\n".join(placed.get(line, "") for line in range(1, max(placed) + 1)) + "\n"
    return Notebook(text.encode("utf-8", errors="replace"), places)


def _language(document: dict[str, object]) -> str:
    """Return the language that the notebook names, lower case; Python where it names none."""
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        for table, key in (("language_info", "name"), ("kernelspec", "language")):
            named = metadata.get(table)
            if isinstance(named, dict) and isinstance(value := named.get(key), str) and value:
                return "python" if value.lower() in {"python", "ipython", "python3"} else value.lower()[:40]
    return "python"


def _lines(source: object) -> list[str]:
    """Return the lines of a cell, which are a list of strings or one string, without their ends."""
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return source.rstrip("\n").split("\n") if isinstance(source, str) and source.strip() else []


def _find_lines(raw: list[str], sources: list[list[str]]) -> list[int] | None:
    """Return the file's line of each cell's first line; None unless every line of code has one of its own."""
    starts: list[int] = []
    candidates = iter([number for number, line in enumerate(raw) if _SOURCE.match(line)])
    for source in sources:
        first = next((number + 1 for number in candidates if _is_at(raw, number + 1, source)), None)
        if first is None:
            return None
        starts.append(first + 1)  # counted from 1
    return starts


def _is_at(raw: list[str], first: int, source: list[str]) -> bool:
    return all(
        line == expected
        for line, expected in zip(_strings(raw[first : first + len(source)]), source, strict=False)
    ) and len(raw) >= first + len(source)


def _strings(raw: list[str]) -> Iterator[str | None]:
    for line in raw:
        try:
            value = json.loads(line.strip().removesuffix(","))
        except ValueError:
            value = None
        yield value.rstrip("\r\n") if isinstance(value, str) else None


def _as_python(source: list[str]) -> list[str]:
    """Return the lines with commands of IPython and of the shell replaced."""
    first = source[0].strip()
    if first.startswith("%%") and first[2:].split(" ")[0] not in _PYTHON_CELLS:
        return ["" for _ in source]
    lines = []
    for line in source:
        if assigned := _ASSIGNED_MAGIC.match(line):
            lines.append(f"{assigned[1]}None")
        elif magic := _MAGIC.match(line):
            lines.append(f"{magic[1]}pass")
        else:
            lines.append(line)
    return lines
