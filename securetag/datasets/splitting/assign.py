"""Assign each row to a split, so that growth never moves a row from test to train.

A row's split follows from its group (`groups.split_of`), or from its date where releases are split by time.
Where groups share an identifier or words, rows are left out and never moved: a held-out row goes when a
training row has one of its identifiers (`drop_cross_split`) or its words (`decontaminate.drop_overlapping`).
More data can only make more of them go: a row that was in test is in test or gone in every later release.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.datasets.splitting.groups import GroupKeys, Split, split_of
from securetag.records import Example

#: Day from which on dated rows are test: what a model is asked about is newer than what it learned.
TEST_SINCE = "2025-01-01"
#: Where rows of several groups have become one: held out beats training.
_RANK: dict[Split, int] = {"test": 0, "validation": 1, "train": 2}
#: Record id or finding id → keys of its rows.
KeysById = Mapping[str, GroupKeys]


def assign_splits(
    rows: Iterable[Example], keys: KeysById | None = None, *, test_since: str | None = None
) -> StepResult:
    """Give a split to every row that has none yet; nothing is dropped.

    What was published on `test_since` or later is test, beside the groups that are test by hash. So an
    earlier day, or one for the first time, moves nothing out of test. A later day does: a release states in
    its parameters which day it used.

    Synthetic rows come with their split, since what is held out of training is decided by construction.
    """
    return StepResult(
        [
            row if row.split is not None else _assign_split(row, _keys_of(row, keys or {}), test_since)
            for row in rows
        ],
        [],
    )


def _keys_of(row: Example, keys: KeysById) -> list[GroupKeys]:
    """Return the keys of every Record or finding that a row came from."""
    origins = [keys.get(origin.finding_id or origin.record_id or "") for origin in row.origins]
    return [origin_keys for origin_keys in origins if origin_keys] or [GroupKeys(row.group)]


def _assign_split(row: Example, row_keys: Sequence[GroupKeys], test_since: str | None) -> Example:
    def split_of_keys(keys: GroupKeys) -> Split:
        is_new = test_since is not None and (keys.published or "") >= test_since
        return "test" if is_new else split_of(keys.group)

    choices = [(split_of_keys(keys), keys.group) for keys in row_keys]
    split, group = min(choices, key=lambda choice: (_RANK[choice[0]], choice[1]))
    return msgspec.structs.replace(row, split=split, group=group)


def drop_cross_split(rows: Sequence[Example], keys: KeysById | None = None) -> StepResult:
    """Drop the held-out rows that share a group or key with another split."""
    keys_of_rows = [
        {row.group, *(name for shared in _keys_of(row, keys or {}) for name in (shared.group, *shared.keys))}
        for row in rows
    ]
    taken: dict[Split, set[str]] = {name: set() for name in _RANK}
    for row, row_keys in zip(rows, keys_of_rows, strict=True):
        taken[row.split or "train"] |= row_keys
    kept: list[Example] = []
    drops: list[Drop] = []
    for row, row_keys in zip(rows, keys_of_rows, strict=True):
        crossing = set() if row.split == "train" else row_keys & taken["train"]
        if row.split == "validation":
            crossing |= row_keys & taken["test"]
        if crossing and row.construction is None:
            drops.append(Drop.of(row, DropReason.SPLIT_IDENTIFIER, against=min(crossing)))
        else:
            kept.append(row)
    return StepResult(kept, drops)


def leaking_groups(rows: Iterable[Example]) -> list[str]:
    """Return the groups and pairs that are in two splits; a release with any is refused."""
    splits: dict[str, set[str | None]] = {}
    for row in rows:
        splits.setdefault(f"group {row.group}", set()).add(row.split)
        if row.pair_id:
            splits.setdefault(f"pair {row.pair_id}", set()).add(row.split)
    return sorted(name for name, names in splits.items() if len(names) > 1)


def moved_rows(rows: Iterable[Example], tested: Iterable[str]) -> list[str]:
    """Return the ids of training rows that an earlier release had in test (`tested`): there may be none."""
    before = frozenset(tested)
    return sorted(row.id for row in rows if row.split == "train" and row.id in before)
