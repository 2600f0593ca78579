"""Does the loop learn: what analysts' verdicts on some projects are worth on projects that nobody reviewed.

`make bench AREA=loop`. A project is all findings of the synthetic release in one framework. Each seed draws
which half of the projects is reviewed; simulated analysts give ground truth as their verdicts, on 0, 50,
200 and 800 findings of these. Word counts with logistic regression learn from the verdicts alone, and rank
the findings of the other projects. The figure is the share of false alarms that are removed there where 2 %
of the true positives may be lost; the threshold is chosen on the same findings, so it is an upper bound.
Without a verdict there is nothing to learn from, and nothing is removed.

Each learned model is a file below `benchmarks/results/loop` and isn't learned again, unless code or rows
have changed. `LOOP_SEEDS` says how many seeds (10), `LOOP_RELEASE` which release's rows (one of the demo's
size `quick` is built).
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.figure import Figure
from securetag.cli.demo.loop import SEED
from securetag.cli.demo.sizes import SIZES
from securetag.datasets.build import BuildInputs, BuildParams, BuildTools, build
from securetag.datasets.releases.release import read_release
from securetag.pipeline.baselines import fit_baselines
from securetag.records import Example, JsonObject, content_id
from securetag.settings import get_settings
from securetag.system.files import write_json

SEEDS = int(os.environ.get("LOOP_SEEDS", "10"))
COUNTS = (0, 50, 200, 800)
#: Share of true positives of the projects without a review that may be lost.
MAX_LOST = 0.02
RESAMPLES = 500
HOME = Path(__file__).parents[1] / "results" / "loop"


class Ranked(msgspec.Struct, frozen=True):
    """A finding of a project that nobody reviewed; the higher `margin`, the likelier a false positive."""

    group: str
    is_true: bool
    margin: float


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """What one number of verdicts is worth."""

    verdicts: int
    #: Mean share of false alarms removed over seeds, and the 95 % interval of its gain over no verdict.
    removed: float
    low: float
    high: float


def measure() -> Iterator[Figure]:
    """Learn what isn't there yet, verdict count by verdict count; then the curve with its intervals."""
    rows = _read_rows()
    digest = content_id(sorted(row.id for row in rows))
    by_count: dict[int, list[list[Ranked]]] = {count: [] for count in COUNTS}
    for seed in range(SEEDS):
        for count in COUNTS:
            by_count[count].append(_rank(rows, seed, count, digest))
    curves = [measure_curve(count, ranked) for count, ranked in by_count.items()]
    for curve in curves:
        yield Figure(
            figure=f"loop: false alarms removed after {curve.verdicts} verdicts on other projects",
            value=round(curve.removed, 3),
            unit="of all",
            peer=f"95 % interval {curve.low:.3f} to {curve.high:.3f}, {SEEDS} seeds, at {MAX_LOST:.0%} lost",
        )
    yield Figure(
        figure="loop: lower end of what 800 verdicts remove",
        value=round(curves[-1].low, 3),
        unit="of all",
        bar="> 0",
        ok=curves[-1].low > 0,
    )


def split_projects(rows: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """Return the findings of the reviewed projects and those of the others, without shared groups."""
    projects = sorted({_project_of(row) for row in rows})
    reviewed = set(random.Random(seed).sample(projects, len(projects) // 2))
    shown = [row for row in rows if _project_of(row) in reviewed]
    groups = {row.group for row in shown}
    return shown, [row for row in rows if _project_of(row) not in reviewed and row.group not in groups]


def rank_findings(rows: Sequence[Example], seed: int, count: int) -> list[Ranked]:
    """Rank the findings of unreviewed projects after `count` verdicts; all alike without a learner."""
    shown, unseen = split_projects(rows, seed)
    reviewed = random.Random(f"{seed}:verdicts").sample(shown, min(count, len(shown)))
    score = fit_baselines(reviewed).get("tfidf")
    margins = score(unseen) if score is not None else [0.0] * len(unseen)
    return [
        Ranked(row.group, row.label == "true_positive", margin)
        for row, margin in zip(unseen, margins, strict=True)
    ]


def share_removed(ranked: Sequence[Ranked]) -> float:
    """Return the share of false positives above all but MAX_LOST of the true ones."""
    true = sorted((row.margin for row in ranked if row.is_true), reverse=True)
    false = [row.margin for row in ranked if not row.is_true]
    if not true or not false:
        return 0.0
    bar = true[math.floor(MAX_LOST * len(true))]
    return sum(margin > bar for margin in false) / len(false)


def measure_curve(count: int, by_seed: Sequence[Sequence[Ranked]]) -> Curve:
    """Return the mean over seeds, with a bootstrap over seeds and, within each, over groups."""
    dice = random.Random(count)
    by_group: list[dict[str, list[Ranked]]] = []
    for ranked in by_seed:
        groups: dict[str, list[Ranked]] = {}
        for row in ranked:
            groups.setdefault(row.group, []).append(row)
        by_group.append(groups)
    means = []
    for _ in range(RESAMPLES):
        shares = []
        for groups in dice.choices(by_group, k=len(by_group)):
            drawn = dice.choices(list(groups), k=len(groups))
            shares.append(share_removed([row for group in drawn for row in groups[group]]))
        means.append(sum(shares) / len(shares))
    means.sort()
    removed = sum(map(share_removed, by_seed)) / len(by_seed)
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
    return Curve(verdicts=count, removed=removed, low=low, high=high)


def _project_of(row: Example) -> str:
    return row.construction.framework if row.construction is not None else ""


def _rank(rows: Sequence[Example], seed: int, count: int, digest: str) -> list[Ranked]:
    path = HOME / f"tfidf-{seed}-{count}.json"
    setup = content_id([digest, Path(__file__).read_text()])
    if path.is_file():
        stored: JsonObject = json.loads(path.read_bytes())
        if stored.get("setup") == setup:
            return msgspec.convert(stored["ranked"], list[Ranked])
    ranked = rank_findings(rows, seed, count)
    HOME.mkdir(parents=True, exist_ok=True)
    write_json(path, {"setup": setup, "ranked": msgspec.to_builtins(ranked)})
    return ranked


def _read_rows() -> list[Example]:
    """Return the labeled synthetic rows of the release, which is built where none is named."""
    named = os.environ.get("LOOP_RELEASE")
    if named is None:
        settings = get_settings()
        tools = BuildTools(releases_dir=HOME / "releases", work=HOME / "work", semgrep=settings.semgrep)
        params = msgspec.convert(SIZES["quick"].release() | {"seed": SEED, "knowledge": 0}, BuildParams)
        named = build(BuildInputs(), params, tools).path
    release = read_release(Path(named))
    rows = [*release.train, *release.validation, *release.test]
    return [row for row in rows if row.label is not None and row.construction is not None]
