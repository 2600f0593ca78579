"""From a file's bytes to the code in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from securetag.records import Lang
from securetag.scanning.extraction.markup import read_scripts
from securetag.scanning.extraction.notebook import CellLine, read_notebook
from securetag.scanning.languages import SCANNED_SUFFIXES

#: Ending of the copy, by language of its code.
_SUFFIX = {"python": ".py", "javascript": ".js", "typescript": ".ts"}
#: Templates whose scripts are plain JavaScript or TypeScript, without places for values.
_COMPONENTS = frozenset({".vue", ".svelte", ".astro"})
#: Templates that have no `<script>`: they are indented.
_WITHOUT_TAGS = frozenset({".pug", ".jade"})
#: Bytes of a file in which a `#!` line is looked for.
PROGRAM_BYTES = 128
_PROGRAM = re.compile(
    rb"#!\s*(?:\S*/env\s+(?:-\S+\s+)*)?(?:\S*/)?(python|pypy|nodejs|node|deno|bun|ts-node)[\d.]*(?:\s|$)"
)
_PROGRAM_LANGUAGE = {b"python": "python", b"pypy": "python", b"ts-node": "typescript"}


@dataclass(frozen=True)
class Extract:
    """The code of one file, as a copy that has each piece on its line in the file."""

    #: Of the file, relative to the project.
    path: str
    #: Of the code; it decides the ending of the copy.
    language: str
    content: bytes
    #: Bytes at the same offsets, so that the file itself shows what was flagged.
    same_offsets: bool = True
    #: Line of the copy → cell of the notebook.
    cells: dict[int, CellLine] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """The ending under which Semgrep reads the copy."""
        return _SUFFIX[self.language]

    def describe_place(self, line: int, lang: Lang) -> str:
        """Return `cell 3, line 2` for a line of a notebook, else nothing."""
        if (place := self.cells.get(line)) is None:
            return ""
        if lang == "es":
            return f"celda {place.cell}, línea {place.line}"
        return f"cell {place.cell}, line {place.line}"


def extract(path: str, language: str, content: bytes) -> Extract | None:
    """Return the code in a file of `language`; None where it has none, or Semgrep reads the file itself.

    Raises ValueError for a notebook that can't be read, OtherLanguageError for one that isn't in Python.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if language == "template":
        if suffix in _WITHOUT_TAGS:
            return None
        scripts = read_scripts(content, is_template=suffix not in _COMPONENTS)
        return Extract(path, scripts.language, scripts.content) if scripts else None
    if language == "notebook":
        cells = read_notebook(content)
        return (
            Extract(path, "python", cells.content, same_offsets=False, cells=cells.cells) if cells else None
        )
    is_renamed = language in _SUFFIX and suffix not in SCANNED_SUFFIXES[language]
    return Extract(path, language, content) if is_renamed else None


def language_of_program(head: bytes) -> str | None:
    """Return the language of a file that begins with a `#!` line of Python or Node; None for any other."""
    match = _PROGRAM.match(head[:PROGRAM_BYTES])
    return _PROGRAM_LANGUAGE.get(match[1], "javascript") if match else None
