"""Checks of a written release, whatever built it: each names what offends.

They repeat nothing that `build` remembers: they read rows alone, so a release made by other code, or by
hand, is judged the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from securetag.datasets.decontamination.decontaminate import find_split_overlaps, find_suite_overlaps
from securetag.datasets.decontamination.suites import Suite
from securetag.datasets.feedback.harvest import SOURCE as HARVEST
from securetag.datasets.licences import Purpose, find_refused
from securetag.datasets.releases import baselines
from securetag.records import Example
from securetag.scrubbing import scrub

#: Share of the more frequent label that synthetic rows of an axis may have.
BALANCE = 0.55
#: By how much a lookup may beat naming the majority, in accuracy.
LOOKUP = 0.05


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    name: str
    #: Ids of rows; of the last three checks, axes, properties and words.
    offending: list[str]
    #: What the offending ones do, in a sentence.
    says: str
    #: Whether a release that fails it isn't trained on.
    blocking: bool

    @property
    def passed(self) -> bool:
        """Whether nothing offends."""
        return not self.offending


#: Name → what it means, in the order in which they run; the first five block.
MEANINGS = {
    "group_in_one_split": "No group and no pair is in two splits.",
    "no_split_overlap": "No held-out row overlaps with another split: exact, normalized or by n-grams.",
    "no_suite_overlap": "No row overlaps with an evaluation suite, by the same three measures.",
    "no_secret": "A second scrub changes nothing in rows that came from tenants.",
    "licences": "Every row's license may enter a release of this purpose.",
    "balance": f"No axis of synthetic rows has more than {BALANCE:.0%} of one label.",
    "lookups": f"No lookup by one property beats the majority label by over {100 * LOOKUP:.0f} points.",
    "telltales": f"No word's log odds between the labels are beyond {baselines.MAX_LOG_ODDS:g}.",
}
BLOCKING = frozenset(list(MEANINGS)[:5])


def run_checks(rows: Sequence[Example], *, purpose: Purpose, suites: Sequence[Suite] = ()) -> list[Check]:
    """All checks on the rows of a release, each with its split."""
    checks: dict[str, Callable[[], list[str]]] = {
        "group_in_one_split": lambda: _leaking(rows),
        "no_split_overlap": lambda: sorted({match.id for match in find_split_overlaps(rows)}),
        "no_suite_overlap": lambda: sorted({match.id for match in find_suite_overlaps(rows, suites)}),
        "no_secret": lambda: _find_unscrubbed(rows),
        "licences": lambda: _find_unlicensed(rows, purpose),
        "balance": lambda: _find_unbalanced(rows),
        "lookups": lambda: _find_shortcuts(rows),
        "telltales": lambda: [telltale.word for telltale in baselines.find_telltales(rows)],
    }
    return [
        Check(name=name, offending=checks[name](), says=meaning, blocking=name in BLOCKING)
        for name, meaning in MEANINGS.items()
    ]


def _leaking(rows: Sequence[Example]) -> list[str]:
    sides: dict[tuple[str, str], set[str | None]] = {}
    for row in rows:
        for key in _bonds(row):
            sides.setdefault(key, set()).add(row.split)
    return sorted(row.id for row in rows if any(len(sides[key]) > 1 for key in _bonds(row)))


def _bonds(row: Example) -> list[tuple[str, str]]:
    return [("group", row.group), *([("pair", row.pair_id)] if row.pair_id else [])]


def _find_unscrubbed(rows: Sequence[Example]) -> list[str]:
    return sorted(
        row.id
        for row in rows
        if row.source == HARVEST
        and any(scrub(message.content).text != message.content for message in row.messages)
    )


def _find_unlicensed(rows: Sequence[Example], purpose: Purpose) -> list[str]:
    stopped = find_refused({row.licence for row in rows}, purpose)
    return sorted(row.id for row in rows if row.licence in stopped)


def _find_unbalanced(rows: Sequence[Example]) -> list[str]:
    synthetic = [row for row in rows if row.construction is not None]
    return [
        axis
        for axis, axis_rows in baselines.group_by_axis(synthetic).items()
        if baselines.majority_share(axis_rows) > BALANCE
        and _beyond_chance(baselines.majority_share(axis_rows) - 0.5, len(axis_rows))
    ]


def _find_shortcuts(rows: Sequence[Example]) -> list[str]:
    return [
        name
        for name, score in baselines.score_lookups(rows).items()
        if score.accuracy - score.majority > LOOKUP
        and _beyond_chance(score.accuracy - score.majority, score.n)
    ]


def _beyond_chance(excess: float, n: int) -> bool:
    """More than two standard errors of a coin's share: a small release is noise for the most part."""
    return excess > 2 * 0.5 / math.sqrt(max(n, 1))
