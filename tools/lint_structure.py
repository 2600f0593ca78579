"""The structure that ruff and import-linter don't see: sizes, banned names, imports that cost seconds.

    python tools/lint_structure.py [ROOT]

Checks every Python file of the package, the tools and the benchmarks under ROOT (default: this
checkout) and exits 1 with one `path:line: what` for each fault:

- a module has at most 500 lines;
- functions of more than 60 lines are under 3 % of all functions (the share is always printed);
- no class or module is called after what it manages, helps, utilises or processes;
- libraries that take seconds to import, or that belong to one place, are imported inside the
  functions that use them.

Standard library alone, so that it runs in any environment.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_LONG_SHARE = 0.03
#: Folders under the root that hold our own Python.
FOLDERS = ("securetag", "tools", "benchmarks")
#: Test cases of rules and example projects are input to a scanner, not code of ours.
EXCLUDED = ("securetag/rules/cases", "securetag/examples")
#: As a word of a CamelCase or snake_case name; a module that is called so holds anything.
BANNED = {"manager", "managers", "helper", "helpers", "util", "utils", "processor", "processors"}
#: Top-level module → folders that may import it at module level. Import seconds were measured at
#: 3.3 for torch, 1.0 transformers, 6 to 9 trl, 5.5 peft, 1.5 dagster.
LAZY: dict[str, tuple[str, ...]] = {
    "torch": (),
    "transformers": (),
    "trl": (),
    "peft": (),
    "accelerate": (),
    "datasets": (),
    "ray": (),
    "dagster": ("securetag/assets", "securetag/orchestration"),
    "dagster_webserver": ("securetag/assets", "securetag/orchestration"),
}


@dataclass
class Report:
    """What was found; `faults` are `path:line: what`."""

    modules: int = 0
    functions: int = 0
    #: `path:line name (lines)` of functions over the limit.
    long: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def long_share(self) -> float:
        return len(self.long) / self.functions if self.functions else 0.0


def words(name: str) -> set[str]:
    """`HTTPQueueManager` and `queue_manager` → their words in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def inspect(root: Path) -> Report:
    """Every fault under `root`."""
    report = Report()
    for path in _files(root):
        _module(path, path.relative_to(root).as_posix(), report)
    if report.long_share >= MAX_LONG_SHARE:
        report.faults += [f"{one}: longer than {MAX_FUNCTION_LINES} lines" for one in report.long]
    return report


def _files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            if not path.relative_to(root).as_posix().startswith(EXCLUDED):
                yield path


def _module(path: Path, where: str, report: Report) -> None:
    report.modules += 1
    text = path.read_text("utf-8")
    lines = text.count("\n") + (not text.endswith("\n") and bool(text))
    if lines > MAX_MODULE_LINES:
        report.faults.append(f"{where}:{MAX_MODULE_LINES + 1}: {lines} lines, at most {MAX_MODULE_LINES}")
    for name in (path.stem, path.parent.name):
        if bad := words(name) & BANNED:
            report.faults.append(
                f"{where}:1: a module called {name!r}: say what it is instead of {_list(bad)}"
            )
    try:
        tree = ast.parse(text, filename=str(path))
    except SyntaxError as error:
        report.faults.append(f"{where}:{error.lineno or 1}: {error.msg}")
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            report.functions += 1
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                report.long.append(f"{where}:{node.lineno}: {node.name} ({length} lines)")
        elif isinstance(node, ast.ClassDef) and (bad := words(node.name) & BANNED):
            report.faults.append(f"{where}:{node.lineno}: class {node.name}: banned word {_list(bad)}")
    for line, name in _imports(tree.body):
        top = name.split(".", 1)[0]
        if top in LAZY and not any(where.startswith(f"{folder}/") for folder in LAZY[top]):
            report.faults.append(
                f"{where}:{line}: {top} is imported at module level; import it where it is used"
            )


def _imports(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    """(line, module) of what importing the module imports: not inside functions or TYPE_CHECKING."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
        elif isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                yield from _imports(node.body)
            yield from _imports(node.orelse)
        elif isinstance(node, ast.Try | ast.TryStar):
            for part in (node.body, node.orelse, node.finalbody, *(one.body for one in node.handlers)):
                yield from _imports(part)
        elif isinstance(node, ast.With | ast.For | ast.While | ast.ClassDef):
            yield from _imports(node.body)


def _list(found: set[str]) -> str:
    return ", ".join(repr(word) for word in sorted(found))


def main(arguments: list[str]) -> int:
    """0 without faults, else 1."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    report = inspect(root)
    for fault in report.faults:
        print(fault)
    print(
        f"structure: {report.modules} modules, {report.functions} functions, {len(report.long)} of them over "
        f"{MAX_FUNCTION_LINES} lines ({report.long_share:.1%}, under {MAX_LONG_SHARE:.0%} allowed), "
        f"{len(report.faults)} faults"
    )
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
