"""Search functions that the oracle calls safe for exploits, with other inputs and other judges than the oracle's.

The functions run on the oracle's stage, which gives them their requests and records what reaches a sink. The
inputs come from `search.py` and the judges from `judges.py`, neither of which shares code with
`securetag.datasets.synthetic`: a shell decides what a command runs, SQLite what a statement reads, an HTML
parser what markup holds, the URL rules of browsers where an address leads. The searcher is itself tried on unsafe
functions written for it (`planted.py`).
"""

# ruff: noqa: E501  # statements of SQL and sentences of their own

from __future__ import annotations

import resource
import sys
from collections import Counter
from collections.abc import Iterator
from random import Random

from benchmarks.figure import Figure
from benchmarks.oracle_audit.planted import PLANTED
from benchmarks.oracle_audit.search import Exploit, search
from securetag.datasets.synthetic.sample import sample_pairs

ROWS, SEED = 1_200, 1611
#: CPU-seconds over which safe functions are searched, at most.
MAX_CPU_S = 1_200
MIN_PLANTED = 19


def measure() -> Iterator[Figure]:
    """Planted unsafe functions that the searcher finds, then exploits of functions called safe."""
    missed = [name for name, case in PLANTED.items() if search(case, Random(f"{SEED}/{name}")) is None]
    for name in missed:
        print(f"planted, not found: {name}", file=sys.stderr)
    planted = len(PLANTED) - len(missed)
    yield Figure(
        figure="oracle audit: planted unsafe functions found",
        value=planted,
        unit=f"of {len(PLANTED)}",
        bar=f"≥ {MIN_PLANTED}",
        ok=planted >= MIN_PLANTED,
    )
    pairs = sample_pairs(ROWS, SEED).pairs
    started, searched, exploits = _cpu_s(), 0, list[Exploit]()
    classes: Counter[str] = Counter()
    for number, pair in enumerate(pairs):
        if _cpu_s() - started > MAX_CPU_S:
            break
        case = (pair.plan.sink.cwe, pair.plan.variable, pair.false.code, pair.plan.sink.benign)
        searched += 1
        classes[pair.plan.sink.cwe] += 1
        if exploit := search(case, Random(f"{SEED}/{number}"), pair.false.entry):
            exploits.append(exploit)
            print(f"{pair.plan.sink.cwe} {exploit.effect}\n  input {exploit.payload!r}", file=sys.stderr)
            print(pair.false.code, file=sys.stderr)
    spent_s = _cpu_s() - started
    print(f"classes: {dict(sorted(classes.items()))}", file=sys.stderr)
    yield Figure(figure="oracle audit: safe functions searched", value=searched, unit="functions")
    yield Figure(figure="oracle audit: search", value=round(spent_s), unit="CPU-s")
    yield Figure(
        figure="oracle audit: exploits of functions called safe",
        value=len(exploits),
        unit="functions",
        bar="0",
        ok=not exploits,
    )


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
