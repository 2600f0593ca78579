"""`python -m benchmarks [AREA…]`: run every area, or those named; print a table and write JSON.

An area is a package below this one whose `measure()` yields Figures, or one module of it: `extractors`,
`extractors.pdf`; `demo-seeds` is `demo_seeds`. Those of ON_REQUEST take hours or need a trained model, and
run when they are named.
Results go to `benchmarks/results/<area>.json` as `[{figure, value, unit, peer, bar, ok}]`.
Each figure is printed as soon as it is there, with the seconds since the area began.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.figure import Figure
from securetag.cli.output import show

HERE = Path(__file__).parent
ON_REQUEST = {"demo_seeds", "parity"}


def areas() -> list[str]:
    """Every area there is."""
    return sorted(path.parent.name for path in HERE.glob("*/__init__.py"))


def _is_area(name: str) -> bool:
    path = HERE.joinpath(*name.split("."))
    return name in areas() or (name.count(".") == 1 and path.with_suffix(".py").is_file())


def _measure(area: str) -> Iterator[Figure]:
    """Yield the figures of an area, each printed as soon as it is there."""
    started = time.monotonic()
    for figure in importlib.import_module(f"benchmarks.{area}").measure():
        after_s = time.monotonic() - started
        print(f"{area}: {after_s:5.0f} s  {figure.figure}: {figure.value:g} {figure.unit}", file=sys.stderr)
        yield figure


def main(wanted: list[str]) -> int:
    """Exit code 1 when a figure misses its bar, 2 when an area doesn't exist."""
    wanted = [name.replace("-", "_") for name in wanted]
    wanted = wanted or [area for area in areas() if area not in ON_REQUEST]
    unknown = {name for name in wanted if not _is_area(name)}
    if unknown:
        print(f"no such area: {', '.join(sorted(unknown))}; there are {', '.join(areas())}", file=sys.stderr)
        return 2
    missed = False
    for area in wanted:
        figures = list(_measure(area))
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
