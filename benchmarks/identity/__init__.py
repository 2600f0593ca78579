"""Is a finding known again after an edit? Edits of real code, made by a program, and what became of each.

The code is of installed packages that aren't ours, and none of it is stored here. Thresholds were chosen
on PACKAGES; UNSEEN_PACKAGES were measured once that was done. Flagged are calls of the kind that our rules
flag, found without Semgrep: `benchmarks.identity.sites` says which.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.identity.javascript import node_packages, prettier
from benchmarks.identity.reported import judge_reported
from benchmarks.identity.score import Outcome, Tally, judge, make_edits
from benchmarks.identity.sites import package_files

PACKAGES = ("werkzeug", "jinja2", "alembic", "click", "docutils", "pygments", "setuptools")
#: Of these, the ones that Semgrep scans too, before and after each edit.
REPORTED_PACKAGES = PACKAGES[:4]
UNSEEN_PACKAGES = ("django", "nbconvert", "jupyter_server", "IPython", "tornado", "pip")
SEED = 13
#: Shorter files hold as many kinds of edits, and cost less.
MAX_BYTES = 16_000
FILES_PER_PACKAGE = 14
#: Edits of one kind and language: fewer than 20 say little about a bar of 90 %.
PER_KIND = 24

MIN_FOLLOWED, MIN_FOLLOWED_IN_KIND, MAX_FALSELY_STALE = 0.95, 0.90, 0.05


def collect_files(*, is_unseen: bool) -> list[tuple[str, bytes]]:
    """Return the files whose code is edited: Python of installed packages, JavaScript where there is some."""
    files: list[tuple[str, bytes]] = []
    for package in UNSEEN_PACKAGES if is_unseen else PACKAGES:
        files += package_files(package, ".py", seed=SEED, count=FILES_PER_PACKAGE, max_bytes=MAX_BYTES)
    for folder in node_packages(is_unseen=is_unseen):
        files += package_files(str(folder), ".js", seed=SEED, count=FILES_PER_PACKAGE, max_bytes=MAX_BYTES)
    return files


def measure() -> Iterator[Figure]:
    """Yield the figures of the packages that thresholds were chosen on, then of the others."""
    for is_unseen in (False, True):
        files = collect_files(is_unseen=is_unseen)
        began = time.process_time()
        edits = make_edits(files, per_kind=PER_KIND, seed=SEED)
        tally = Tally([judge(edit) for edit in edits])
        where = "unseen packages" if is_unseen else "packages"
        packages = {Path(path).parts[1] for path, _ in files}
        yield Figure(figure=f"{where}", value=len(packages), unit="packages", bar="≥ 5" if is_unseen else "")
        yield Figure(
            figure=f"{where}: matching",
            value=round((time.process_time() - began) * 1_000 / max(1, len(edits))),
            unit="CPU-ms an edit",
        )
        yield from figures_of(tally, where)
    yield from _reported_figures()
    yield Figure(figure="Prettier", value=float(prettier() is not None), unit="available")


def _reported_figures() -> Iterator[Figure]:
    """Yield what became of the places that Semgrep reports in REPORTED_PACKAGES."""
    files: list[tuple[str, bytes]] = []
    for package in REPORTED_PACKAGES:
        files += package_files(package, ".py", seed=SEED, count=60, max_bytes=30_000)
    tally = judge_reported(files, per_kind=4, seed=SEED)
    yield _share("by Semgrep: followed", [each.is_right for each in tally.outcomes], MIN_FOLLOWED)
    misplaced = sum(outcome.misplaced for outcome in tally.outcomes)
    yield Figure(
        figure="by Semgrep: at another place", value=misplaced, unit="findings", bar="0", ok=not misplaced
    )
    yield Figure(figure="by Semgrep: not reported after the edit", value=tally.silent, unit="edits")


def figures_of(tally: Tally, where: str) -> Iterator[Figure]:
    """Yield the figures of one set of packages: all, neutral, stale, misplaced, and each kind."""
    outcomes = tally.outcomes
    kept = [outcome for outcome in outcomes if outcome.expected != "gone"]
    neutral = [outcome for outcome in kept if outcome.expected == "holds"]
    changed = [outcome for outcome in kept if outcome.expected == "stale"]
    guards = [outcome for outcome in outcomes if "guard" in outcome.kind or "access" in outcome.kind]
    kinds = tally.by_kind()
    yield Figure(
        figure=f"{where}: edits", value=len(outcomes), unit="edits", bar="≥ 500", ok=len(outcomes) >= 500
    )
    yield Figure(figure=f"{where}: kinds", value=len(kinds), unit="kinds", bar="≥ 20", ok=len(kinds) >= 20)
    yield Figure(
        figure=f"{where}: edits of guards",
        value=len(guards),
        unit="edits",
        bar="≥ 100",
        ok=len(guards) >= 100,
    )
    yield _share(f"{where}: followed", [_is_right(each) for each in kept], MIN_FOLLOWED)
    stale = sum(outcome.is_stale for outcome in neutral) / max(1, len(neutral))
    yield Figure(
        figure=f"{where}: neutral edits marked stale",
        value=round(stale, 3),
        unit="share",
        bar=f"≤ {MAX_FALSELY_STALE}",
        ok=stale <= MAX_FALSELY_STALE,
    )
    yield _share(
        f"{where}: guard, source or sink changed, marked stale", [each.is_stale for each in changed], 1.0
    )
    misplaced = sum(outcome.misplaced for outcome in outcomes)
    yield Figure(
        figure=f"{where}: findings at another place",
        value=misplaced,
        unit="findings",
        bar="0",
        ok=not misplaced,
    )
    for kind, each in kinds.items():
        yield _share(f"{where}: {kind}", [_is_right(outcome) for outcome in each], MIN_FOLLOWED_IN_KIND)


def _is_right(outcome: Outcome) -> bool:
    return outcome.is_right


def _share(figure: str, results: list[bool], bar: float) -> Figure:
    share = sum(results) / max(1, len(results))
    return Figure(
        figure=figure,
        value=round(share, 3),
        unit=f"share of {len(results)}",
        bar=f"≥ {bar:g}",
        ok=share >= bar,
    )
