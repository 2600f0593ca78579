"""`python -m benchmarks [AREA…]`: run every area, or those named; print a table and write JSON.

An area is a package below this one whose `measure()` yields Figures. Results go to
`benchmarks/results/<area>.json` as `[{figure, value, unit, peer, bar, ok}]`.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import msgspec

from benchmarks.figure import Figure
from securetag.cli.output import show

HERE = Path(__file__).parent


def areas() -> list[str]:
    """Every area there is."""
    return sorted(path.parent.name for path in HERE.glob("*/__init__.py"))


def main(wanted: list[str]) -> int:
    """Exit code 1 when a figure misses its bar, 2 when an area doesn't exist."""
    unknown = set(wanted) - set(areas())
    if unknown:
        print(f"no such area: {', '.join(sorted(unknown))}; there are {', '.join(areas())}", file=sys.stderr)
        return 2
    missed = False
    for area in wanted or areas():
        figures: list[Figure] = list(importlib.import_module(f"benchmarks.{area}").measure())
        out = HERE / "results" / f"{area}.json"
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps(msgspec.to_builtins(figures), indent=2) + "\n")
        show(
            ["figure", "value", "unit", "peer", "bar", ""],
            [[f.figure, f"{f.value:g}", f.unit, f.peer, f.bar, "✓" if f.ok else "✗"] for f in figures],
            title=area,
        )
        missed |= not all(figure.ok for figure in figures)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
