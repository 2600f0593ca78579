"""Assign each synthetic case to train, validation, or an axis of the test split.

Held out whole: the sinks, guards and guard family marked `unseen`, one framework, and a fifth of the
guard × shape and of the guard × sink cells. A plan holds at most one held-out part, which is its
axis; plans without one are divided between train, validation and test by the hash of their group.
The kinds of mistake in `UNSEEN_MISTAKES` are written for plans of the test groups alone: such a pair has
no other held-out part.
Every answer is a function of names alone, so no row moves when the data grows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Annotated

import msgspec

from securetag.datasets.splitting.groups import Split, split_of
from securetag.datasets.synthetic.frameworks import UNSEEN_FRAMEWORK
from securetag.datasets.synthetic.guards import Guard
from securetag.datasets.synthetic.shapes import MODES, Mistake, Plan

#: Where a row may be: `train`, `validation`, or an axis of the test split.
BUCKETS = (
    "train",
    "validation",
    "in_distribution",
    "unseen_sink",
    "unseen_framework",
    "unseen_guard",
    "unseen_cell",
    "unseen_mistake",
)
#: Modes that are in rows of `unseen_mistake` only: a guard after the sink, two that depend on the length.
UNSEEN_MISTAKES: frozenset[Mistake] = frozenset({"after", "partial", "extended"})
Part = Annotated[float, msgspec.Meta(ge=0, le=0.5)]
#: Part of all rows that one guard × shape or guard × sink cell may hold: a little under one per cent,
#: since pairs that no rule flags fall away afterwards and make the rest weigh more.
MAX_CELL_SHARE = 0.009
#: Part of the guard × shape cells, and of the guard × sink cells, that training never sees.
CELL_PART = 0.2


class Parts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts of all rows that aren't trained on; the rest is."""

    validation: Part = 0.05
    #: Test rows of known parts in known combinations.
    in_distribution: Part = 0.04
    #: Test rows of each other axis.
    unseen: Part = 0.04


def group_of(plan: Plan) -> str:
    """Return the group of sibling functions, which are all in one split."""
    # Among known frameworks a framework is only a spelling; the held-out one is a side of its own.
    held_out = f"/{plan.framework.name}" if plan.framework.name == UNSEEN_FRAMEWORK else ""
    return f"composed/{plan.sink.cwe}/{plan.sink.name}/{plan.guard.name}/{plan.shape}{held_out}"


def is_unseen_cell(guard: Guard, *, shape: str, sink: str) -> bool:
    """Whether the guard in this shape, or before this sink, is in the test split only."""
    return _is_held_out(f"guard-shape/{guard.name}/{shape}") or _is_held_out(
        f"guard-sink/{guard.name}/{sink}"
    )


def _is_held_out(cell: str) -> bool:
    return int(hashlib.sha256(cell.encode()).hexdigest()[:13], 16) / 16**13 < CELL_PART


def bucket_of(plan: Plan) -> str | None:
    """Return the bucket of a plan; None when two of its parts are held out."""
    held_out = [
        axis
        for axis, unseen in (
            ("unseen_sink", plan.sink.unseen),
            ("unseen_framework", plan.framework.name == UNSEEN_FRAMEWORK),
            ("unseen_guard", plan.guard.unseen),
        )
        if unseen
    ]
    # Every cell of an unseen guard is new, so for it the cell says nothing more.
    if held_out != ["unseen_guard"] and is_unseen_cell(plan.guard, shape=plan.shape, sink=plan.sink.name):
        held_out.append("unseen_cell")
    if len(held_out) > 1:
        return None
    if held_out:
        return held_out[0]
    where: Split = split_of(group_of(plan))
    return "in_distribution" if where == "test" else where


def plan_bucket(bucket: str) -> str:
    """Return the bucket of the plans that a bucket's pairs are written from."""
    return "in_distribution" if bucket == "unseen_mistake" else bucket


def mistakes_of(bucket: str, mistakes: Collection[str] = ()) -> frozenset[str]:
    """Return the mistakes that a bucket's pairs may have, of `mistakes`; empty: of all there are."""
    every = {mode for modes in MODES.values() for mode in modes}
    wanted = frozenset(mistakes) or every
    return frozenset(wanted & UNSEEN_MISTAKES if bucket == "unseen_mistake" else wanted - UNSEEN_MISTAKES)


def quotas(rows: int, parts: Parts | None = None, mistakes: Collection[str] = ()) -> dict[str, int]:
    """Pairs wanted in each bucket for `rows` rows in all; they add up to `rows // 2`.

    Where `mistakes` names none of the held-out kinds, no pair is wanted of those.
    """
    parts = parts or Parts()
    pairs = rows // 2
    small = {bucket: round(pairs * parts.unseen) for bucket in BUCKETS[2:]}
    small["in_distribution"] = round(pairs * parts.in_distribution)
    if not mistakes_of("unseen_mistake", mistakes):
        small["unseen_mistake"] = 0
    small["validation"] = round(pairs * parts.validation)
    return {"train": pairs - sum(small.values()), **small}
