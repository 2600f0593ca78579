"""Evaluation suites as texts: what training must not have seen.

A suite is a JSONL file of any shape, our own Examples among them, or the folder of a vulnerable
application that brings its `ground_truth.csv` (columns id, path, scope): each judged function is a row.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from securetag.datasets.dedup.forms import Passage, iter_texts, split_into_passages, split_text
from securetag.errors import InputError
from securetag.records import Example, content_id

TRUTH = "ground_truth.csv"
#: A text of fewer words in a foreign row is an option or a label (`None of the above.`), not a question.
_MIN_WORDS = 5
#: Bytes of a suite; the largest that anyone publishes for code are below a tenth of it.
MAX_BYTES = 1 << 30


class SuiteRow(msgspec.Struct, frozen=True):
    """One question of an evaluation."""

    id: str
    passages: list[Passage]


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is scored on, as far as a training row could give it away."""

    name: str
    rows: list[SuiteRow]

    @property
    def digest(self) -> str:
        """Of the content, for a release's inputs."""
        return content_id(msgspec.to_builtins(self.rows))


def suite_of(name: str, examples: Iterable[Example]) -> Suite:
    """Examples as a suite: another release's test split, for one."""
    rows = sorted(
        (SuiteRow(example.id, split_into_passages(example)) for example in examples), key=lambda row: row.id
    )
    return Suite(name=name, rows=rows)


def read_suite(path: Path) -> Suite:
    """A JSONL file, or an application's folder with its ground truth.

    Raises InputError for what can't be read, naming the line.
    """
    if path.is_dir():
        return _judged(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB", hint="Split the suite.")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"the evaluation suite {path} can't be read: {error.strerror}",
            hint="Name a JSONL file, or an application's folder that holds ground_truth.csv.",
        ) from error
    rows = [_row(number, line, path.name) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InputError(f"the evaluation suite {path.name} is empty", hint="Give one JSON value a line.")
    return Suite(name=path.stem, rows=rows)


def _row(number: int, line: bytes, name: str) -> SuiteRow:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{name}, line {number}: {error}", hint="A suite has one JSON value a line."
        ) from error
    if isinstance(value, dict) and {"task", "messages"} <= value.keys():
        try:
            example = msgspec.convert(value, Example)
        except msgspec.ValidationError:
            pass  # another project's chat rows have the same two fields
        else:
            return SuiteRow(example.id, split_into_passages(example))
    identity = value.get("id") if isinstance(value, dict) else None
    texts = [text for text in iter_texts(value) if len(text.split()) >= _MIN_WORDS]
    all_passages = [part for text in texts for part in split_text(text, question=True)]
    return SuiteRow(str(identity) if isinstance(identity, str | int) else f"line {number}", all_passages)


def _judged(folder: Path) -> Suite:
    """The functions that an application's ground truth judges; the whole file where a scope isn't found."""
    try:
        with (folder / TRUTH).open(encoding="utf-8", newline="") as handle:
            entries = list(csv.DictReader(handle))
        rows = [
            SuiteRow(
                entry["id"],
                [Passage(_scope(folder, entry["path"], entry.get("scope") or ""), code=True, question=True)],
            )
            for entry in entries
        ]
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"the ground truth in {folder} can't be read: {error}",
            hint=f"The folder holds {TRUTH} with the columns id, path and scope, and the files it names.",
        ) from error
    return Suite(name=folder.resolve().name, rows=rows)


def _scope(folder: Path, name: str, scope: str) -> str:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"the ground truth in {folder} names a file outside of it: {name}")
    code = path.read_text(encoding="utf-8")
    if path.suffix != ".py" or not scope:
        return code
    try:
        return _function(ast.parse(code).body, scope.split("."), code) or code
    except (SyntaxError, ValueError, RecursionError):
        return code


def _function(body: Sequence[ast.stmt], names: list[str], code: str) -> str | None:
    """Source of the function or class at a qualified name."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == names[0]:
            if len(names) == 1:
                return ast.get_source_segment(code, node)
            return _function(node.body, names[1:], code)
    return None
