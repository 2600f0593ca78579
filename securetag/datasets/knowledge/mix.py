"""The hybrid mix: which knowledge rows a release takes, decided on paper rather than by file sizes.

The paper is `mix.yaml`. Rows are drawn in a seeded order, source by source in turn and by weight, until
a tier has its share; a task that has had its most gives way to the next row.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.errors import SettingsError
from securetag.records import Example, Task

#: Tier of a source that no catalog names.
UNKNOWN_TIER = "extended"

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Weight = Annotated[float, msgspec.Meta(ge=0)]


class Mix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weights of `mix.yaml`; that file says what each means."""

    tiers: dict[str, Share]
    tasks: dict[Task, Share]
    sources: dict[str, Weight] = {}
    languages: dict[str, Weight]


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
        if mix.sources.get(row.source, 1.0) * mix.languages.get(row.lang, 0.0) > 0:
            weighed.setdefault(tiers.get(row.source, UNKNOWN_TIER), []).append(row)
        else:
            left[DropReason.MIX_WEIGHT, row.source, row.task.value] += 1
    queues = {tier: _in_turn(tier_rows, mix, seed) for tier, tier_rows in sorted(weighed.items())}
    rooms = _quotas({tier: len(queue) for tier, queue in queues.items()}, mix, max_rows)
    tasks: Counter[Task] = Counter()
    kept: list[Example] = []
    for tier, queue in queues.items():
        taken = 0
        for row in queue:
            within = tasks[row.task] < mix.tasks.get(row.task, 1.0) * max_rows
            if taken < rooms[tier] and within:
                kept.append(row)
                tasks[row.task] += 1
                taken += 1
            else:
                left[DropReason.MIX_SHARE, row.source, row.task.value] += 1
    drops = [
        Drop(reason=reason, source=source, task=task, n=n)
        for (reason, source, task), n in sorted(left.items())
    ]
    return StepResult(sorted(kept, key=lambda row: row.id), drops)


def _in_turn(rows: Sequence[Example], mix: Mix, seed: int) -> list[Example]:
    """Rows of one tier in the order in which they are taken: a source of weight 2 comes twice a turn."""
    turns: Counter[tuple[str, str]] = Counter()
    placed: list[tuple[float, bytes, Example]] = []
    for lot, row in sorted(((_draw_key(seed, row.id), row) for row in rows), key=lambda pair: pair[0]):
        turns[row.source, row.lang] += 1
        weight = mix.sources.get(row.source, 1.0) * mix.languages[row.lang]
        placed.append((turns[row.source, row.lang] / weight, lot, row))
    return [row for _, _, row in sorted(placed, key=lambda entry: entry[:2])]


def _quotas(available: Mapping[str, int], mix: Mix, most: int) -> dict[str, int]:
    """Rows that each tier may give: its share, and what the others leave, again by share."""
    rooms = dict.fromkeys(available, 0)
    rest = min(most, sum(available.values()))
    while rest > 0:
        hungry = {tier: mix.tiers.get(tier, 0.0) for tier in available if rooms[tier] < available[tier]}
        total = sum(hungry.values())
        if total <= 0:
            break  # only tiers without a share are left
        given = 0
        for tier, share in hungry.items():
            more = min(available[tier] - rooms[tier], max(1, int(rest * share / total)) if share else 0)
            more = min(more, rest - given)
            rooms[tier] += more
            given += more
        rest -= given
    return rooms


def _draw_key(seed: int, identity: str) -> bytes:
    return hashlib.sha256(f"{seed}/{identity}".encode()).digest()
