"""What the rules find in real code: known vulnerabilities of published packages, and clean packages.

`benchmarks/real/packages.csv` lists the vulnerabilities, `clean.csv` the clean packages; both are fetched
from the package indexes. docs/rules.md says what counts as found. Each package's scan is kept, so that a
run that was interrupted goes on where it was.

RULES_ECOSYSTEM (`npm,pypi`) and RULES_PARTS (`rules_dev,rules_unseen,clean`) choose what is measured; by
default everything. What one of them leaves out is neither fetched nor scanned.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar, get_args

from benchmarks.figure import Figure
from benchmarks.real.corpus import Role, read_places
from benchmarks.rules.clean import Density, measure_density, read_clean
from benchmarks.rules.known import FIRST, FamilyScore, FirstFindings, KnownScore, score_places
from securetag.errors import InputError
from securetag.extractors.catalog import Ecosystem

MIN_RECALL = 0.60
MIN_PRECISION = 0.45
#: Of the first FIRST findings of each application.
MIN_FIRST = 0.5
#: Findings per 1,000 lines of a clean package: median above the default confidence, median and most in all.
MAX_SHOWN = 0.3
MAX_ALL = 3.0
MAX_ONE = 8.0
#: Recall and precision of the part whose code nobody read, from those of the part in sight.
MAX_GAP = 0.10
#: CPU-seconds of Semgrep on this many lines.
COST_LINES = 50_000
MAX_COST_S = 60.0
_IN_SIGHT, _UNSEEN = Role.RULES_DEV, Role.RULES_UNSEEN
_CLEAN = "clean"
_Name = TypeVar("_Name", bound=str)
_PARTS = (_IN_SIGHT.value, _UNSEEN.value, _CLEAN)


def measure() -> Iterator[Figure]:
    """Recall and precision by ecosystem, role and CWE family; then noise and cost on clean packages."""
    parts = _choose("RULES_PARTS", _PARTS)
    for ecosystem in _choose("RULES_ECOSYSTEM", get_args(Ecosystem)):
        scores: dict[Role, KnownScore] = {}
        for role in (_IN_SIGHT, _UNSEEN):
            if role.value not in parts:
                continue
            places = [place for place in read_places(roles=[role]) if place.ecosystem == ecosystem]
            located = [place for place in places if place.is_located]
            if located:
                scores[role] = score_places(located)
                yield from _known_figures(f"{ecosystem} {role}", scores[role], len(places) - len(located))
        if len(scores) == 2:
            yield from _gap_figures(ecosystem, scores[_IN_SIGHT].total(), scores[_UNSEEN].total())
        if _CLEAN in parts:
            yield from _clean_figures(ecosystem)


def _choose(variable: str, names: Sequence[_Name]) -> list[_Name]:
    """Return the names that an environment variable lists, in the order of `names`; all where it isn't set.

    Raises InputError for a name that there isn't.
    """
    listed = [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
    if unknown := set(listed) - set(names):
        raise InputError(
            f"{variable} names {', '.join(sorted(unknown))}", hint=f"There are {', '.join(names)}."
        )
    return [name for name in names if not listed or name in listed]


def _known_figures(name: str, score: KnownScore, not_located: int) -> Iterator[Figure]:
    total = score.total()
    yield Figure(
        figure=f"{name}: recall",
        value=_recall(total),
        unit=f"of {total.places} places",
        peer=f"{not_located} places not located" if not_located else "",
        bar=f"≥ {MIN_RECALL}",
        ok=_recall(total) >= MIN_RECALL,
    )
    yield Figure(
        figure=f"{name}: precision in files of known places (lower bound)",
        value=_precision(total),
        unit=f"of {total.findings} findings",
        bar=f"≥ {MIN_PRECISION}",
        ok=_precision(total) >= MIN_PRECISION,
    )
    yield _first_figure(f"{name}: precision of the first {FIRST} (lower bound)", score.first, has_bar=True)
    if score.not_judged < score.first.findings - score.first.at_places:
        yield _judged_figure(f"{name}: precision of the first {FIRST}, judged by a person", score)
    yield _first_figure(f"{name}: the same with every family", score.first_of_any, has_bar=False)
    yield Figure(
        figure=f"{name}: flagged places that the fix silences or ranks lower",
        value=_ratio(score.silenced + score.lowered, total.flagged),
        unit=f"of {total.flagged} places",
        peer=f"{score.silenced} silenced, {score.lowered} ranked lower",
    )
    for family, values in sorted(score.families.items()):
        yield _family_figure(name, family, values)


def _first_figure(name: str, first: FirstFindings, *, has_bar: bool) -> Figure:
    precision = _ratio(first.at_places, first.findings)
    enough = sum(share >= MIN_FIRST for share in first.by_package.values())
    return Figure(
        figure=name,
        value=precision,
        unit=f"of {first.findings} findings",
        peer=f"{enough} of {len(first.by_package)} applications at {MIN_FIRST} or above",
        bar=f"≥ {MIN_FIRST}" if has_bar else "",
        ok=precision >= MIN_FIRST or not has_bar,
    )


def _judged_figure(name: str, score: KnownScore) -> Figure:
    judged = score.first_judged
    others = judged.at_places - score.first.at_places
    return Figure(
        figure=name,
        value=_ratio(judged.at_places, judged.findings),
        unit=f"of {judged.findings} findings",
        peer=f"{others} true at no known place, {score.not_judged} not judged",
    )


def _family_figure(name: str, family: str, values: FamilyScore) -> Figure:
    return Figure(
        figure=f"{name}: {family}: recall",
        value=_recall(values),
        unit=f"of {values.places} places",
        peer=f"precision {_precision(values)} of {values.findings} findings",
    )


def _gap_figures(ecosystem: Ecosystem, in_sight: FamilyScore, unseen: FamilyScore) -> Iterator[Figure]:
    for what, ratio in (("recall", _recall), ("precision", _precision)):
        gap = round(ratio(in_sight) - ratio(unseen), 3)
        yield Figure(
            figure=f"{ecosystem}: {what}, in sight minus unseen",
            value=gap,
            unit="",
            bar=f"≤ {MAX_GAP}",
            ok=gap <= MAX_GAP,
        )


def _clean_figures(ecosystem: Ecosystem) -> Iterator[Figure]:
    by_rule: Counter[str] = Counter()
    densities: list[Density] = []
    for package in read_clean():
        if package.ecosystem == ecosystem:
            density, rules = measure_density(package)
            densities.append(density)
            by_rule.update(rules)
    shown, everything = [item.shown for item in densities], [item.all for item in densities]
    for name, value, most in (
        ("median shown", statistics.median(shown), MAX_SHOWN),
        ("median in all", statistics.median(everything), MAX_ALL),
        ("most in all", max(everything), MAX_ONE),
    ):
        yield Figure(
            figure=f"{ecosystem} clean: {name}",
            value=round(value, 3),
            unit="findings/1,000 lines",
            bar=f"≤ {most}",
            ok=value <= most,
        )
    yield from _clean_details(ecosystem, densities, by_rule)


def _clean_details(ecosystem: Ecosystem, densities: list[Density], by_rule: Counter[str]) -> Iterator[Figure]:
    """Yield what Semgrep costs, then each package and each rule that reports anything."""
    lines = sum(item.lines for item in densities)
    cost = round(COST_LINES * sum(item.cpu_s for item in densities) / lines, 1)
    yield Figure(
        figure=f"{ecosystem} clean: Semgrep",
        value=cost,
        unit=f"CPU-s/{COST_LINES:,} lines",
        peer=f"{lines:,} lines; when they were scanned",
        bar=f"≤ {MAX_COST_S:g}",
        ok=cost <= MAX_COST_S,
    )
    for item in densities:
        yield Figure(
            figure=f"{ecosystem} clean: {item.package}",
            value=item.all,
            unit="findings/1,000 lines",
            peer=f"shown {item.shown}; {item.lines:,} lines, {item.cpu_s:.1f} CPU-s",
        )
    for rule, times in by_rule.most_common():
        yield Figure(
            figure=f"{ecosystem} clean: {rule}",
            value=round(1000 * times / lines, 3),
            unit="findings/1,000 lines",
            peer=f"{times} findings",
        )


def _recall(score: FamilyScore) -> float:
    return _ratio(score.flagged, score.places)


def _precision(score: FamilyScore) -> float:
    return _ratio(score.at_places, score.findings)


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0
