"""`python -m benchmarks.real.hunks ECOSYSTEM PACKAGE VULNERABLE FIXED`: show what a fix changed.

Prints the changed lines of source files and templates with the vulnerable version's line numbers, which
is how the `file` and `line` of a place are determined.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from benchmarks.real.fetch import fetch_package
from securetag.extractors.catalog import Ecosystem

#: Files that a known place may be in.
SOURCES = frozenset(
    {".py", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".html", ".j2", ".jinja2", ".ejs", ".hbs", ".vue"}
)
CONTEXT_LINES = 3


def list_hunks(vulnerable: Path, fixed: Path) -> Iterator[str]:
    """Yield the lines of a unified diff of every source file that differs; tests are left out."""
    names = {path.relative_to(root) for root in (vulnerable, fixed) for path in root.rglob("*")}
    for name in sorted(names):
        if name.suffix not in SOURCES or {"test", "tests"} & set(name.parts):
            continue
        before, after = _lines(vulnerable / name), _lines(fixed / name)
        if before != after:
            yield from difflib.unified_diff(
                before, after, f"a/{name}", f"b/{name}", lineterm="", n=CONTEXT_LINES
            )


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def main(arguments: list[str]) -> int:
    """Exit code 2 for wrong arguments."""
    if len(arguments) != 4 or arguments[0] not in get_args(Ecosystem):
        print(__doc__, file=sys.stderr)
        return 2
    ecosystem: Ecosystem = "npm" if arguments[0] == "npm" else "pypi"
    package, vulnerable, fixed = arguments[1:]
    folders = [fetch_package(ecosystem, package, version) for version in (vulnerable, fixed)]
    for line in list_hunks(folders[0], folders[1]):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
