"""Near-duplicate removal beside its peers: 50,000 advisories with planted duplicates, in one run."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

import msgspec

from benchmarks.datasets import peers
from benchmarks.datasets.advisories import Advisory, advisories
from benchmarks.figure import Figure
from securetag.datasets.dedup.near import Document, find_representatives

COUNT, LARGE, SEED = 50_000, 500_000, 0
#: Texts → for each the index of the one that it repeats, its own where it is kept.
Dedup = Callable[[Sequence[str]], Sequence[int]]


class Outcome(msgspec.Struct, frozen=True):
    """What one of them did with the advisories."""

    cpu_s: float
    #: Of planted duplicates, those that went in favor of a copy of themselves; of those that went, the same.
    recall: float
    precision: float
    #: Siblings of which no copy is left, as part of all siblings.
    sibling_loss: float


def measure() -> Iterator[Figure]:
    """Speed, recall, precision and siblings lost, ours and each peer's, and how ours grows."""
    found = advisories(COUNT, SEED)
    ours = run(_ours, found)
    yield from _quality("securetag", ours)
    for name, package, dedup, bar in (
        ("rensa", "rensa", peers.rensa, 0.0),
        ("datasketch", "datasketch", peers.datasketch, 2.5),
        ("datatrove, words at spaces", "datatrove", peers.datatrove_bare, 0.0),
        ("datatrove", "spacy", peers.datatrove, 20.0),
    ):
        if find_spec(package) is None:
            print(f"{name} left out: pip install -c constraints.txt '.[bench]'", file=sys.stderr)
            continue
        theirs = run(dedup, found)
        ratio = theirs.cpu_s / ours.cpu_s
        yield Figure(
            figure="docs a CPU-second",
            value=round(ratio, 2),
            unit="x",
            peer=f"{name}: {COUNT / theirs.cpu_s:,.0f}",
            bar=f"≥ {bar:g}" if bar else "",
            ok=ratio >= bar,
        )
        yield from _quality(name, theirs, judged=False)
    del found
    large = advisories(LARGE, SEED)
    growth = run(_ours, large).cpu_s / ours.cpu_s / (LARGE / COUNT)
    yield Figure(
        figure=f"CPU of {LARGE:,} rows, by linear growth",
        value=round(growth, 3),
        unit="x",
        bar="≤ 1.3",
        ok=growth <= 1.3,
    )


def run(dedup: Dedup, found: Sequence[Advisory]) -> Outcome:
    """CPU-seconds (threads and children included) and what came of the advisories."""
    texts = [advisory.text for advisory in found]
    gc.collect()
    before = _cpu()
    into = dedup(texts)
    cpu_s = _cpu() - before
    gone = [index for index, kept in enumerate(into) if kept != index]
    clusters = {advisory.cluster for advisory in found}
    right = sum(found[index].cluster == found[into[index]].cluster for index in gone)
    left = {found[index].cluster for index, kept in enumerate(into) if kept == index}
    siblings = {advisory.cluster for advisory in found if advisory.sibling}
    return Outcome(
        cpu_s,
        recall=right / (len(found) - len(clusters)),
        precision=right / max(len(gone), 1),
        sibling_loss=len(siblings - left) / len(siblings),
    )


def _quality(name: str, outcome: Outcome, *, judged: bool = True) -> Iterator[Figure]:
    """Rows of the table; only ours have bars."""
    yield Figure(figure=f"{name}: docs a CPU-second", value=round(COUNT / outcome.cpu_s), unit="docs/s")
    for figure, value, bar, ok in (
        ("recall of planted duplicates", outcome.recall, "≥ 0.95", outcome.recall >= 0.95),
        ("precision", outcome.precision, "≥ 0.99", outcome.precision >= 0.99),
        ("siblings lost", outcome.sibling_loss, "0", outcome.sibling_loss == 0),
    ):
        yield Figure(
            figure=f"{name}: {figure}",
            value=round(value, 4),
            unit="",
            bar=bar if judged else "",
            ok=ok or not judged,
        )


def _ours(texts: Sequence[str]) -> Sequence[int]:
    found: list[int] = find_representatives([Document(text) for text in texts]).tolist()
    return found


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
