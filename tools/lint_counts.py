"""Count what should exist once, or seldom, and compare each count with its limit.

    python tools/lint_counts.py [ROOT] [--json]

Prints a table and the places of whatever exceeds its limit, and exits 1 then. The package
`securetag` under ROOT (default: this checkout) is counted, without the test cases of rules. A limit is
either a goal, or the count that was reached last: lower it with every change that lowers the count, and
never raise it.

Standard library alone, so that it runs in any environment.
"""

from __future__ import annotations

import ast
import json
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "securetag"
#: Input to a scanner, not code of ours.
EXCLUDED = ("securetag/rules/cases/", "securetag/examples/")
#: Where `import_module` hides no edge from import-linter: lazy exports, commands, the oracle's child.
DYNAMIC_IMPORTS = (
    "securetag/__init__.py",
    "securetag/cli/__init__.py",
    "securetag/datasets/synthetic/child.py",
    "securetag/datasets/synthetic/stage.py",
    "securetag/system/registry.py",
)
#: Names of variables, parameters and loop variables that say nothing of what they hold.
VAGUE_NAMES = frozenset({"found", "known", "held", "own", "one", "there", "room", "asked", "told", "said"})
#: Words of our own where the field has a term: names of modules, classes, functions, constants, variables.
PRIVATE_WORDS = frozenset({
    "thrift", "alike", "learnt", "right", "likeness", "harvested", "compose", "shortcuts", "pictures",
    "settle", "Ties", "untangled", "torn", "returned", "apart", "widows", "Lesson", "taught", "SILENT",
    "ASKED", "Way", "WebWay", "Bell", "ring", "heard", "gate_transaction", "act_as", "everybody",
    "standing", "demand", "demands", "MOST", "LONGEST", "SURE", "GLANCE", "ENOUGH", "SPARE",
})  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A count, its limit and what it counts."""

    limit: int
    #: What the count should reach; the limit where it is reached.
    goal: int
    meaning: str


RULES = {
    "atomic_write": Rule(1, 1, "places that move a file over another; use system.files"),
    "file_lock": Rule(1, 1, "places that take a lock on a file; use system.locks"),
    "prctl": Rule(1, 1, "places that call prctl"),
    "file_hash": Rule(1, 1, "places that hash a file; use system.hashing"),
    "dynamic_import": Rule(0, 0, "calls of import_module outside the modules that may"),
    "fmt_skip": Rule(36, 40, "lines that the formatter leaves alone"),
    "any": Rule(98, 250, "uses of typing.Any"),
    "vague_name": Rule(0, 0, f"variables called {', '.join(sorted(VAGUE_NAMES))}"),
    "private_word": Rule(0, 0, "names in words of our own where the field has a term"),
}


def count(root: Path) -> dict[str, list[str]]:
    """Return rule → places as `path:line`, for every module of the package under `root`."""
    places: dict[str, list[str]] = {name: [] for name in RULES}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        where = path.relative_to(root).as_posix()
        if where.startswith(EXCLUDED):
            continue
        tree = ast.parse(path.read_text("utf-8"), filename=str(path))
        for name, line in [*_nodes(tree, where), *_tokens(path)]:
            places[name].append(f"{where}:{line}")
        if {path.stem, path.parent.name if path.stem == "__init__" else ""} & PRIVATE_WORDS:
            places["private_word"].append(f"{where}:1")
    return places


def _nodes(tree: ast.Module, where: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for name in _calls(node, where):
                yield name, node.lineno
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store) and node.id in VAGUE_NAMES:
                yield "vague_name", node.lineno
            elif isinstance(node.ctx, ast.Store) and node.id in PRIVATE_WORDS:
                yield "private_word", node.lineno
        elif isinstance(node, ast.arg) and node.arg in VAGUE_NAMES:
            yield "vague_name", node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.lstrip("_") in PRIVATE_WORDS:
                yield "private_word", node.lineno
        elif isinstance(node, ast.Attribute) and node.attr == "prctl":
            yield "prctl", node.lineno


def _calls(node: ast.Call, where: str) -> Iterator[str]:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    of = getattr(called.value, "id", "") if isinstance(called, ast.Attribute) else ""
    # A text's `replace` takes two arguments, a path's one; a draft folder's rename is in system.files too.
    if name == "replace" and ((of == "os") or (len(node.args) == 1 and not node.keywords)):
        yield "atomic_write"
    if name in {"flock", "lockf", "lock_descriptor"}:
        yield "file_lock"
    if name == "file_digest":
        yield "file_hash"
    if name == "import_module" and where not in DYNAMIC_IMPORTS:
        yield "dynamic_import"


def _tokens(path: Path) -> Iterator[tuple[str, int]]:
    with path.open("rb") as handle:
        for token in tokenize.tokenize(handle.readline):
            if token.type == tokenize.COMMENT and "fmt: skip" in token.string:
                yield "fmt_skip", token.start[0]
            elif token.type == tokenize.NAME and token.string == "Any":
                yield "any", token.start[0]


def main(arguments: list[str]) -> int:
    """0 when every count is within its limit, else 1."""
    as_json = "--json" in arguments
    roots = [argument for argument in arguments if not argument.startswith("--")]
    places = count(Path(roots[0]) if roots else Path(__file__).resolve().parent.parent)
    exceeded = [name for name, rule in RULES.items() if len(places[name]) > rule.limit]
    if as_json:
        counts = {name: {"count": len(places[name]), "limit": rule.limit} for name, rule in RULES.items()}
        print(json.dumps(counts, indent=2))
    else:
        for name, rule in RULES.items():
            print(f"{name:<15}{len(places[name]):>5} of {rule.limit} (goal {rule.goal}): {rule.meaning}")
    for name in exceeded:
        print(f"{name}: {len(places[name])}, at most {RULES[name].limit}:", *places[name], sep="\n  ")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
