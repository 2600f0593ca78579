"""What the rules find in real code: known vulnerabilities of published packages, and clean packages.

`benchmarks/real/packages.csv` lists the vulnerabilities, `clean.csv` the clean packages; both are fetched
from the package indexes. docs/rules.md says what counts as found.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.real.corpus import Role, read_places
from benchmarks.rules.clean import measure_density
from benchmarks.rules.known import FamilyScore, KnownScore, score_places

MIN_RECALL = 0.60
MIN_PRECISION = 0.45
#: Findings per 1,000 lines of a clean package: median above the default confidence, median and most in all.
MAX_SHOWN = 0.3
MAX_ALL = 3.0
MAX_ONE = 8.0
#: Recall of the part whose code nobody read, below the part that rules were written with in sight.
MAX_GAP = 0.10


def measure() -> Iterator[Figure]:
    """Recall and precision by CWE family, of the packages in sight and of the unseen ones; then noise."""
    recalls = {}
    for role in (Role.RULES_DEV, Role.RULES_UNSEEN):
        places = [place for place in read_places(roles=[role]) if place.is_located]
        if not places:
            continue
        score = score_places(places)
        recalls[role] = _ratio(score.total().flagged, score.total().places)
        yield from _known_figures(role, score)
    if len(recalls) == 2:
        gap = recalls[Role.RULES_DEV] - recalls[Role.RULES_UNSEEN]
        yield Figure(
            figure="recall, in sight minus unseen",
            value=round(gap, 3),
            unit="",
            bar=f"≤ {MAX_GAP}",
            ok=gap <= MAX_GAP,
        )
    yield from _clean_figures()


def _known_figures(role: Role, score: KnownScore) -> Iterator[Figure]:
    total = score.total()
    recall, precision = _ratio(total.flagged, total.places), _ratio(total.at_places, total.findings)
    yield Figure(
        figure=f"{role}: recall",
        value=recall,
        unit=f"of {total.places} places",
        bar=f"≥ {MIN_RECALL}",
        ok=recall >= MIN_RECALL,
    )
    yield Figure(
        figure=f"{role}: precision in files of known places (lower bound)",
        value=precision,
        unit=f"of {total.findings} findings",
        bar=f"≥ {MIN_PRECISION}",
        ok=precision >= MIN_PRECISION,
    )
    yield Figure(
        figure=f"{role}: flagged places that the fix silences or ranks lower",
        value=_ratio(score.cleared, total.flagged),
        unit=f"of {total.flagged} places",
    )
    for family, values in sorted(score.families.items()):
        yield _family_figure(role, family, values)


def _family_figure(role: Role, family: str, values: FamilyScore) -> Figure:
    precision = _ratio(values.at_places, values.findings)
    return Figure(
        figure=f"{role}: {family}: recall",
        value=_ratio(values.flagged, values.places),
        unit=f"of {values.places} places",
        peer=f"precision {precision} of {values.findings} findings",
    )


def _clean_figures() -> Iterator[Figure]:
    densities, by_rule = measure_density()
    shown, everything = [item.shown for item in densities], [item.all for item in densities]
    for name, value, most in (
        ("clean: median shown", statistics.median(shown), MAX_SHOWN),
        ("clean: median in all", statistics.median(everything), MAX_ALL),
        ("clean: most in all", max(everything), MAX_ONE),
    ):
        yield Figure(figure=name, value=value, unit="findings/1,000 lines", bar=f"≤ {most}", ok=value <= most)
    for item in densities:
        yield Figure(
            figure=f"clean: {item.package}",
            value=item.all,
            unit="findings/1,000 lines",
            peer=f"shown {item.shown}",
        )
    lines = sum(item.lines for item in densities)
    for rule, times in sorted(by_rule.items()):
        yield Figure(
            figure=f"clean: {rule}", value=round(1000 * times / lines, 3), unit="findings/1,000 lines"
        )


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0
