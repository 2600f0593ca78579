"""Recommendations that carry code, put into the file that they are about.

What a model recommends may hold fenced code: a function, which takes the place of the one of its name, or
statements, which take the place of the flagged ones. Whether the finding is gone then, and the function is
safe and works, is seen by running scanner and oracle (`securetag.pipeline.fixes`).
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from securetag import triage
from securetag.errors import TriageError
from securetag.evaluation.suites import Row
from securetag.records import Example

__all__ = ["FixCheck", "FixFigures", "Suggestion", "apply_code", "count_fixes", "find_suggestions"]

_FENCE = re.compile(r"(?s)(```|~~~)[ \t]*([\w+#.-]*)[ \t]*\n(.*?)(?:\1|\Z)")
_PYTHON = frozenset({"", "py", "python", "python3"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """Code in the recommendation about one vulnerable row, and the file with it."""

    row: str
    flagged: triage.Flagged
    #: The file with the code in it; None where it can't be put there, with the reason.
    after: str | None = None
    reason: str = ""


class FixCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one suggestion; None is what couldn't be seen."""

    row: str
    #: Was the code put into the file?
    is_applied: bool = False
    #: Is the finding gone that the scanner reports without it?
    is_gone: bool | None = None
    #: Does no attack do harm any more, and do honest requests what they did?
    is_safe: bool | None = None
    works: bool | None = None
    #: Why something couldn't be seen.
    reason: str = ""

    @property
    def is_correct(self) -> bool:
        return bool(self.is_gone and self.is_safe and self.works)


class FixFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One model's recommendations about vulnerable code."""

    #: Whole answers about vulnerable code that parse, and those whose recommendation carries code.
    answers: int
    with_code: int
    #: Of these: put into the file; scanned, and the finding gone; run, and safe, and working; all three.
    applied: int = 0
    scanned: int = 0
    gone: int = 0
    executed: int = 0
    safe: int = 0
    working: int = 0
    correct: int = 0
    #: Why something couldn't be seen → suggestions.
    reasons: dict[str, int] = {}

    def describe(self) -> str:
        """Return the figures as a sentence."""
        if not self.with_code:
            return f"none of {self.answers} answers about vulnerable code carries code"
        return (
            f"{self.with_code} of {self.answers} answers about vulnerable code carry code: {self.applied} "
            f"fit into the file; the finding is gone in {self.gone} of {self.scanned} that were scanned; of "
            f"{self.executed} that were run {self.safe} are safe and {self.working} work; {self.correct} are "
            "right in all three"
        )


def find_suggestions(rows: Iterable[Row], examples: Sequence[Example]) -> tuple[int, list[Suggestion]]:
    """Return the number of whole answers about vulnerable rows, and the code that they carry."""
    by_id = {example.id: example for example in examples}
    answers = 0
    suggestions = []
    for row in rows:
        example = by_id.get(row.id)
        if example is None or row.label != "true_positive" or not row.served_text:
            continue
        try:
            prompt = triage.read_prompt(example.messages, example.prompt_version, example.lang)
            answer = triage.parse(row.served_text, prompt)
        except TriageError:
            continue
        answers += 1
        blocks = _FENCE.findall(answer.recommendation)
        if not blocks:
            continue
        flagged = triage.read_flagged(prompt)
        if flagged is not None:
            suggestions.append(_suggest(row.id, flagged, blocks))
    return answers, suggestions


def count_fixes(answers: int, checks: Sequence[FixCheck]) -> FixFigures:
    """Count what became of the suggestions among `answers` whole answers."""
    return FixFigures(
        answers=answers,
        with_code=len(checks),
        applied=sum(check.is_applied for check in checks),
        scanned=sum(check.is_gone is not None for check in checks),
        gone=sum(bool(check.is_gone) for check in checks),
        executed=sum(check.is_safe is not None for check in checks),
        safe=sum(bool(check.is_safe) for check in checks),
        working=sum(bool(check.works) for check in checks),
        correct=sum(check.is_correct for check in checks),
        reasons=dict(Counter(check.reason for check in checks if check.reason)),
    )


def _suggest(row: str, flagged: triage.Flagged, blocks: Sequence[tuple[str, str, str]]) -> Suggestion:
    """Return the first of the blocks that can be put into the file."""
    reasons = []
    for _, language, text in blocks:
        if flagged.language != "python" or language.lower() not in _PYTHON:
            reasons.append("not Python")
            continue
        try:
            return Suggestion(row=row, flagged=flagged, after=apply_code(flagged, text))
        except ValueError as problem:
            reasons.append(str(problem))
    return Suggestion(row=row, flagged=flagged, reason=reasons[0])


def apply_code(flagged: triage.Flagged, text: str) -> str:
    """Return the file with `text` in it.

    A function or class takes the place of the one of its name, decorators that it doesn't repeat stay; its
    imports go to the top, other functions and constants before it. Statements alone take the place of the
    flagged ones. Raises ValueError where `text` or the file is no Python, or has no place there.
    """
    text = textwrap.dedent(text.expandtabs(4)).strip("\n")
    block, tree = _parse(text, "the code is no Python"), _parse(flagged.code, "the file is no Python")
    if not block.body:
        raise ValueError("the code is empty")
    lines, new = flagged.code.split("\n"), text.split("\n")
    imports = [node for node in block.body if isinstance(node, ast.Import | ast.ImportFrom)]
    others = [node for node in block.body if node not in imports]
    #: Line before which something goes, line up to which something makes way, lines.
    edits: list[tuple[int, int, list[str]]] = []
    if any(isinstance(node, _Function | ast.ClassDef) for node in others):
        edits = _replace_definitions(tree, others, new, flagged.first)
    elif others:
        statements = _find_statements(tree, flagged.first, flagged.last)
        column = statements[0].col_offset
        code = _indent(_lines_of(others, new), column)
        edits = [(statements[0].lineno, statements[-1].end_lineno or statements[-1].lineno, code)]
    if not edits:
        raise ValueError("the code has no place in the file")
    for first, last, code in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        lines[first - 1 : last] = code
    if imports:
        top = _count_head(tree)
        lines[top:top] = _lines_of(imports, new)
    after = "\n".join(lines)
    _parse(after, "the code doesn't fit where it belongs")
    return after


def _parse(text: str, problem: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(problem) from None


def _begin(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, _Function | ast.ClassDef) else []
    return min([node.lineno, *(each.lineno for each in decorators)])


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _lines_of(nodes: Sequence[ast.stmt], lines: Sequence[str]) -> list[str]:
    return [line for node in nodes for line in lines[_begin(node) - 1 : _end(node)]]


def _indent(lines: Sequence[str], column: int) -> list[str]:
    return [" " * column + line if line.strip() else line for line in lines]


def _replace_definitions(
    tree: ast.Module, nodes: Sequence[ast.stmt], new: Sequence[str], line: int
) -> list[tuple[int, int, list[str]]]:
    """Return the edits that put definitions into a module; none where none of them is there by its name."""
    around = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and _begin(node) <= line <= _end(node)
    ]
    places = {
        node.name: node
        for body in (*(owner.body for owner in around), tree.body)
        for node in body
        if isinstance(node, _Function | ast.ClassDef)
    }
    edits: list[tuple[int, int, list[str]]] = []
    rest: list[ast.stmt] = []
    for node in nodes:
        if not isinstance(node, _Function | ast.ClassDef):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                rest.append(node)
            continue
        place = places.get(node.name)
        if place is None or isinstance(place, ast.ClassDef) is not isinstance(node, ast.ClassDef):
            rest.append(node)
            continue
        begin = _begin(place) if node.decorator_list else place.lineno
        edits.append((begin, _end(place), _indent(_lines_of([node], new), place.col_offset)))
    if edits and rest:
        first = min(begin for begin, _, _ in edits)
        outer = next(node for node in tree.body if _begin(node) <= first <= _end(node))
        edits.append((_begin(outer), _begin(outer) - 1, [*_lines_of(rest, new), ""]))
    return edits


def _find_statements(tree: ast.Module, first: int, last: int) -> list[ast.stmt]:
    """Return the innermost statements of the flagged lines, neighbors of one another."""
    body: list[ast.stmt] = tree.body
    while True:
        chosen = [node for node in body if _begin(node) <= last and _end(node) >= first]
        if not chosen:
            raise ValueError("the flagged lines hold no statement")
        inner = [
            part
            for field in ("body", "orelse", "finalbody")
            for part in getattr(chosen[0], field, [])
            if isinstance(part, ast.stmt)
        ]
        inner += [part for handler in getattr(chosen[0], "handlers", []) for part in handler.body]
        if len(chosen) > 1 or not any(_begin(part) <= first <= _end(part) for part in inner):
            return chosen
        body = inner


def _count_head(tree: ast.Module) -> int:
    """Return the lines of a module before which no import may stand: its docstring and `__future__`."""
    count = 0
    for node in tree.body:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            count = _end(node)
        else:
            break
    return count
