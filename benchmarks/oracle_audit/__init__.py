"""Search functions that the oracle calls safe for exploits, with other inputs and other judges than the oracle's.

The functions run on the oracle's stage, which gives them what a request can carry and records what reaches
a sink. The inputs come from `search.py` and the judges from `judges.py`, neither of which shares code with
`securetag.datasets.synthetic`: a shell decides what a command runs, SQLite what a statement reads, an HTML
parser what markup holds, the URL rules of browsers where an address leads. The searcher is itself tried on unsafe
functions written for it (`planted.py`).
"""

# ruff: noqa: E501  # statements of SQL and sentences of their own

from __future__ import annotations

import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

from benchmarks.figure import Figure
from benchmarks.oracle_audit.planted import PLANTED
from benchmarks.oracle_audit.search import MAX_INPUTS, Exploit, search
from securetag.datasets.synthetic.oracle import ORACLE_VERSION
from securetag.datasets.synthetic.outcome_cache import digest_modules
from securetag.datasets.synthetic.sample import Pair, sample_pairs
from securetag.datasets.synthetic.shapes import source_of
from securetag.datasets.synthetic.sinks import CLASSES

#: Rows whose safe half is searched, and CPU-seconds of searching over all runs: an hour on 2,000 functions.
ROWS = int(os.environ.get("ORACLE_AUDIT_ROWS", "4000"))
MAX_CPU_S = float(os.environ.get("ORACLE_AUDIT_CPU_S", "3600"))
SEED = 1611
MIN_PLANTED = 19
#: What was searched before, and the oracle's outcomes: a run that is stopped goes on where it was.
_FOLDER = Path(__file__).resolve().parent.parent / "results"


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """One function in one round."""

    round: int
    pair_id: str
    cpu_s: float
    exploit: Exploit | None = None


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
    _FOLDER.mkdir(exist_ok=True)
    pairs = _taken_in_turn(sample_pairs(ROWS, SEED, cache=_FOLDER / "oracle_audit.sqlite").pairs[: ROWS // 2])
    # What decides an outcome is in the name: rounds on functions of another oracle don't count.
    searched = _search_all(
        pairs, _FOLDER / f"oracle_audit-{ORACLE_VERSION}-{digest_modules()[:8]}-{ROWS}.jsonl"
    )
    exploits = {each.pair_id: each.exploit for each in searched if each.exploit}
    for pair in pairs:
        if exploit := exploits.get(pair.pair_id):
            print(f"{pair.plan.sink.cwe} {exploit.effect!r}\n  input {exploit.payload!r}", file=sys.stderr)
            print(pair.false.code, file=sys.stderr)
    functions = {each.pair_id for each in searched}
    classes = Counter(pair.plan.sink.cwe for pair in pairs if pair.pair_id in functions)
    print(f"classes: {dict(sorted(classes.items()))}", file=sys.stderr)
    yield Figure(figure="oracle audit: safe functions searched", value=len(functions), unit="functions")
    yield Figure(
        figure="oracle audit: inputs a function, at most",
        value=round(MAX_INPUTS * len(searched) / max(1, len(functions))),
        unit="inputs",
    )
    yield Figure(
        figure="oracle audit: search", value=round(sum(each.cpu_s for each in searched)), unit="CPU-s"
    )
    yield Figure(
        figure="oracle audit: exploits of functions called safe",
        value=len(exploits),
        unit="functions",
        bar="0",
        ok=not exploits,
    )


def _taken_in_turn(pairs: list[Pair]) -> list[Pair]:
    """The pairs, class after class, so that a search cut short has seen them all."""
    by_class = {cwe: [pair for pair in pairs if pair.plan.sink.cwe == cwe] for cwe in CLASSES}
    order = {
        pair.pair_id: (number, pair.plan.sink.cwe)
        for group in by_class.values()
        for number, pair in enumerate(group)
    }
    return sorted(pairs, key=lambda pair: order[pair.pair_id])


def _search_all(pairs: list[Pair], path: Path) -> list[Searched]:
    """Search round after round until the CPU-seconds are used up; return this run's and earlier ones' rounds."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    searched = [msgspec.json.decode(line, type=Searched) for line in lines]
    spent_s = sum(each.cpu_s for each in searched)
    finished = {(each.round, each.pair_id) for each in searched}
    exploited = {each.pair_id for each in searched if each.exploit}
    number = 0
    with path.open("ab") as file:
        while spent_s < MAX_CPU_S and len(exploited) < len(pairs):
            for pair in pairs:
                if spent_s >= MAX_CPU_S:
                    break
                if (number, pair.pair_id) in finished or pair.pair_id in exploited:
                    continue
                started = _cpu_s()
                case = (pair.plan.sink.cwe, pair.plan.variable, pair.false.code, pair.plan.sink.benign)
                exploit = search(
                    case,
                    Random(f"{SEED}/{number}/{pair.pair_id}"),
                    pair.false.entry,
                    framework=pair.plan.framework.name,
                    source=source_of(pair.plan, pair.false.mode),
                    is_first=number == 0,
                )
                each = Searched(round=number, pair_id=pair.pair_id, cpu_s=_cpu_s() - started, exploit=exploit)
                file.write(msgspec.json.encode(each) + b"\n")
                file.flush()
                searched.append(each)
                spent_s += each.cpu_s
                if exploit:
                    exploited.add(pair.pair_id)
            number += 1
    return searched


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
