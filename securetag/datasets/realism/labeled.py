"""Real code: functions sampled from a folder, and snippets of its labeled findings.

Labels are a CSV with the columns `file`, `line` and `label`, and optionally `cwe`; others are ignored.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from securetag.errors import InputError
from securetag.records import SliceLine
from securetag.scanning.identity.scopes import scopes
from securetag.scanning.languages import language_of
from securetag.scanning.snippet import MAX_LINES, SourceFile
from securetag.system.hashing import hash_bytes
from securetag.triage import Profile

#: Languages whose functions are told apart.
LANGUAGES = frozenset({"python", "javascript", "typescript"})
#: Bytes of a file that is read; larger ones are bundles or data.
MAX_FILE_BYTES = 1 << 20
#: Lines of a function that is compared: a one-liner says nothing of style.
MIN_LINES = 3
#: Lines of a CSV of labels.
MAX_LABELS = 100_000


class LabeledSnippet(msgspec.Struct, frozen=True, kw_only=True):
    """The code that a reader of a finding is shown, and what somebody said of the finding."""

    file: str
    line: int
    label: Literal["true_positive", "false_positive"]
    language: str
    code: str
    #: 1-based number of the first line of `code` in the file.
    first_line: int
    cwe: str = ""
    #: What a small model reads of the finding, as a scan's findings have it.
    code_slice: list[SliceLine] = []

    @property
    def group(self) -> str:
        """The first folder of the file: findings of one project aren't independent."""
        return self.file.split("/", 1)[0]


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    line: int
    label: Literal["true_positive", "false_positive"]
    cwe: str = ""


def read_labeled(labels: Path, folder: Path) -> list[LabeledSnippet]:
    """Return the snippet of every row of `labels`, a CSV whose files are below `folder`.

    Raises InputError: a missing column, a value of another form, a file that is outside of the folder, isn't
    there or is in a language without rules, a line that the file doesn't have.
    """
    sources: dict[str, SourceFile] = {}
    snippets = []
    for number, row in _read_rows(labels):
        where = f"{labels.name}, line {number}"
        if row.file not in sources:
            sources[row.file] = _open_source(folder, row.file, where)
        source = sources[row.file]
        if not 1 <= row.line <= len(source.lines):
            raise InputError(f"{where}: {row.file} has {len(source.lines)} lines, not {row.line}")
        snippet = source.snippet(row.line, row.line)
        snippets.append(
            LabeledSnippet(
                file=row.file,
                line=row.line,
                label=row.label,
                language=source.language,
                code=snippet.text,
                first_line=snippet.line,
                cwe=row.cwe,
                code_slice=source.slice(row.line, row.line),
            )
        )
    return snippets


def _read_rows(labels: Path) -> Iterator[tuple[int, _Row]]:
    """Yield each row with its line in the CSV."""
    try:
        with labels.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = {"file", "line", "label"} - set(reader.fieldnames or ())
            if missing:
                raise InputError(
                    f"{labels.name} has no column {', '.join(sorted(missing))}",
                    hint="Labels are a CSV with the columns file, line, label, and cwe if you have it.",
                )
            for row in reader:
                if reader.line_num > MAX_LABELS:
                    raise InputError(f"{labels.name} has more than {MAX_LABELS:,} lines")
                try:
                    yield reader.line_num, msgspec.convert(row, _Row, strict=False)
                except msgspec.ValidationError as error:
                    raise InputError(f"{labels.name}, line {reader.line_num}: {error}") from error
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{labels} can't be read: {error}") from error


def _open_source(folder: Path, name: str, where: str) -> SourceFile:
    root, path = folder.resolve(), (folder / name).resolve()
    language = language_of(path.name)
    if not path.is_relative_to(root):
        raise InputError(f"{where}: {name} is outside of {folder}")
    if language not in LANGUAGES:
        raise InputError(f"{where}: {name} is in no language that our rules read")
    try:
        return SourceFile(path.read_bytes(), language)
    except OSError as error:
        raise InputError(
            f"{where}: {name}: {error.strerror}", hint="Files are named as they are below --against."
        ) from error


def sample_functions(folder: Path, count: int, profile: Profile = "full") -> list[str]:
    """Return the code of at most `count` functions of a folder, in the order of a digest of their text.

    Functions of MIN_LINES to the MAX_LINES that a finding shows; equal ones once. Files over MAX_FILE_BYTES
    and links are left out. Profile `compact` reads slices: that of a function's last line with a call stands
    for it (in the order of files), and a function without a call is left out. Raises InputError where the
    folder holds no such function.
    """
    functions: dict[str, _Function] = {}
    for path in sorted(folder.rglob("*")):
        language = language_of(path.name)
        if language not in LANGUAGES or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size > MAX_FILE_BYTES:
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        lines = text.splitlines()
        for scope in scopes(text, language):
            if scope.kind != "function" or not MIN_LINES <= scope.last - scope.first + 1 <= MAX_LINES:
                continue
            body = lines[scope.first - 1 : scope.last]
            called = max((number for number, line in enumerate(body[1:], 1) if "(" in line), default=None)
            if profile == "full" or called is not None:
                code = "\n".join(body)
                functions[hash_bytes(code.encode())] = _Function(
                    path, language, scope.first + (called or 0), code
                )
    if not functions:
        raise InputError(
            f"{folder} holds no function of Python, JavaScript or TypeScript", hint="Name a folder of code."
        )
    chosen = [functions[digest] for digest in sorted(functions)[:count]]
    return [function.code for function in chosen] if profile == "full" else _slice_all(chosen)


class _Function(NamedTuple):
    path: Path
    language: str
    #: Of the file, from 1: where its last call is.
    called: int
    code: str


def _slice_all(functions: Sequence[_Function]) -> list[str]:
    """Return the distinct slices of functions; each file is parsed once."""
    slices: dict[str, None] = {}
    for path, group in groupby(sorted(functions), key=lambda function: function.path):
        source: SourceFile | None = None
        for function in group:
            source = source or SourceFile(path.read_bytes(), function.language)
            lines = source.slice(function.called, function.called)
            if lines:
                slices["\n".join(line.text for line in lines)] = None
    return list(slices)
