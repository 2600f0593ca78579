"""The mix: which knowledge rows a release takes, so that no tier, task, source or language dominates.

`mix.yaml` says the largest share of the taken rows that each may have. Rows are taken in a seeded order, tier
by tier and source by source in turn, and a row whose tier, task, source or language has its share is passed
over. So a release of many advisories and few standards has fewer rows than there are, rather than mostly
advisories. Where that would cost more than half of the rows (a release of one source, say), all shares are
widened by the same factor until it doesn't.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.errors import SettingsError
from securetag.records import Example, Task

#: Tier of a source that no catalog names.
UNKNOWN_TIER = "extended"
#: Share of the rows that could be taken below which the mix's shares are widened, and by how much a time.
MIN_TAKEN, WIDENING = 0.5, 1.1

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Weight = Annotated[float, msgspec.Meta(ge=0)]
#: Kind, name and largest share.
Limit = tuple[str, str, float]


class Mix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shares and weights of `mix.yaml`; that file says what each means."""

    tiers: dict[str, Share]
    tasks: dict[Task, Share]
    languages: dict[str, Share]
    sources: dict[str, Share] = {}
    other_sources: Share = 1.0
    weights: dict[str, Weight] = {}


class MixShare(NamedTuple):
    """What one tier, task, source or language has of the knowledge rows of a release."""

    #: `tier`, `task`, `source` or `language`.
    kind: str
    name: str
    rows: int
    share: float
    #: The mix's limit, before it is widened.
    limit: float


def load_mix(path: Path) -> Mix:
    """Read a mix. Raises SettingsError for a file that isn't one."""
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=Mix)
    except OSError as error:
        raise SettingsError(
            f"the mix {path}: {error.strerror}",
            hint="See securetag/datasets/knowledge/mix.yaml for the form.",
        ) from error
    except msgspec.DecodeError as error:
        raise SettingsError(
            f"the mix {path}: {error}", hint="See securetag/datasets/knowledge/mix.yaml."
        ) from error


@lru_cache(maxsize=1)
def default_mix() -> Mix:
    """Return the mix beside this module."""
    return load_mix(Path(__file__).with_name("mix.yaml"))


def mix_knowledge(
    rows: Sequence[Example], *, mix: Mix, max_rows: int, tiers: Mapping[str, str], seed: int
) -> StepResult:
    """Keep all triage rows, and of the knowledge rows those that the mix takes."""
    chosen = choose_rows(
        (row for row in rows if row.task is not Task.TRIAGE), mix, max_rows=max_rows, tiers=tiers, seed=seed
    )
    return StepResult([row for row in rows if row.task is Task.TRIAGE] + chosen.rows, chosen.drops)


def choose_rows(
    rows: Iterable[Example], mix: Mix, *, max_rows: int, tiers: Mapping[str, str], seed: int
) -> StepResult:
    """Choose at most `max_rows` rows by the mix; drops are counted by source and task.

    `tiers` gives the tier of each source. The result doesn't depend on the order of the rows.
    """
    weighed: dict[str, list[Example]] = {}
    left: Counter[tuple[DropReason, str, str]] = Counter()
    for row in rows:
        limits = [limit for _, _, limit in _list_limits(row, mix, tiers)]
        if mix.weights.get(row.source, 1.0) > 0 and min(limits) > 0:
            weighed.setdefault(tiers.get(row.source, UNKNOWN_TIER), []).append(row)
        else:
            left[DropReason.MIX_WEIGHT, row.source, row.task.value] += 1
    ordered = _merge_tiers({tier: _in_turn(each, mix, seed) for tier, each in weighed.items()}, mix)
    taken = _take(ordered, mix, max_rows, tiers)
    for row, is_taken in zip(ordered, taken, strict=True):
        if not is_taken:
            left[DropReason.MIX_SHARE, row.source, row.task.value] += 1
    drops = [
        Drop(reason=reason, source=source, task=task, n=n)
        for (reason, source, task), n in sorted(left.items())
    ]
    kept = [row for row, is_taken in zip(ordered, taken, strict=True) if is_taken]
    return StepResult(sorted(kept, key=lambda row: row.id), drops)


def measure_mix(rows: Iterable[Example], mix: Mix, tiers: Mapping[str, str]) -> list[MixShare]:
    """Return the shares of the knowledge rows among `rows` beside the limits, by kind and name."""
    knowledge = [row for row in rows if row.task is not Task.TRIAGE]
    counts = Counter(limit for row in knowledge for limit in _list_limits(row, mix, tiers))
    return [
        MixShare(kind, name, n, n / len(knowledge), limit)
        for (kind, name, limit), n in sorted(counts.items())
    ]


def _list_limits(row: Example, mix: Mix, tiers: Mapping[str, str]) -> list[Limit]:
    """Return kind, name and largest share of everything whose share a row counts to."""
    tier = tiers.get(row.source, UNKNOWN_TIER)
    return [
        ("tier", tier, mix.tiers.get(tier, 1.0)),
        ("task", row.task.value, mix.tasks.get(row.task, 1.0)),
        ("source", row.source, mix.sources.get(row.source, mix.other_sources)),
        ("language", row.lang, mix.languages.get(row.lang, 0.0)),
    ]


def _in_turn(rows: Sequence[Example], mix: Mix, seed: int) -> list[Example]:
    """Rows of one tier in the order in which they are taken: a source of weight 2 comes twice a turn."""
    turns: Counter[tuple[str, str]] = Counter()
    placed: list[tuple[float, bytes, Example]] = []
    for lot, row in sorted(((_draw_key(seed, row.id), row) for row in rows), key=lambda pair: pair[0]):
        turns[row.source, row.lang] += 1
        placed.append((turns[row.source, row.lang] / mix.weights.get(row.source, 1.0), lot, row))
    return [row for _, _, row in sorted(placed, key=lambda entry: entry[:2])]


def _merge_tiers(queues: Mapping[str, Sequence[Example]], mix: Mix) -> list[Example]:
    """Put the tiers' rows into one order in which each tier advances by its share."""
    placed = [
        (number / mix.tiers.get(tier, 1.0), tier, row)
        for tier, queue in queues.items()
        for number, row in enumerate(queue, 1)
    ]
    return [row for _, _, row in sorted(placed, key=lambda entry: entry[:2])]


def _take(ordered: Sequence[Example], mix: Mix, max_rows: int, tiers: Mapping[str, str]) -> list[bool]:
    """Return of each row whether it is taken: as many as the limits, widened where needed, allow."""
    most = min(max_rows, len(ordered))
    limits = [_list_limits(row, mix, tiers) for row in ordered]
    shares = {limit for of_row in limits for limit in of_row}
    factor = 1.0
    while True:
        # A limit is a share of what is taken, which it makes smaller: the largest number that holds.
        number, total, taken = most + 1, most, []
        while total < number:
            number = total
            taken = _fill(
                limits, number, {limit: int(min(1.0, limit[2] * factor) * number) for limit in shares}
            )
            total = sum(taken)
        if total >= MIN_TAKEN * most:
            return taken
        factor *= WIDENING


def _fill(limits: Sequence[Sequence[Limit]], number: int, rooms: Mapping[Limit, int]) -> list[bool]:
    """Return of each row in order whether it is one of at most `number` that stay within `rooms`."""
    free = dict(rooms)
    taken: list[bool] = []
    left = number
    for of_row in limits:
        fits = left > 0 and all(free[limit] > 0 for limit in of_row)
        taken.append(fits)
        if fits:
            left -= 1
            for limit in of_row:
                free[limit] -= 1
    return taken


def _draw_key(seed: int, identity: str) -> bytes:
    return hashlib.sha256(f"{seed}/{identity}".encode()).digest()
