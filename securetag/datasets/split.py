"""Which side of the split a group stands on: a function of its name alone.

Nothing else may decide, or a row would move from test to train when the data grows. A group is
whatever must not be torn apart: a Record's examples, a composed cell, a tenant's project.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

from securetag.records import Example

Side = Literal["train", "validation", "test"]

#: Parts of all groups, by hash.
TEST_PART, VALIDATION_PART = 0.10, 0.05


def side(group: str) -> Side:
    """The side of a group, the same in every release."""
    # 52 bits of the digest, so that the fraction is exact in a float.
    place = int(hashlib.sha256(b"split/" + group.encode()).hexdigest()[:13], 16) / 16**13
    if place < TEST_PART:
        return "test"
    return "validation" if place < TEST_PART + VALIDATION_PART else "train"


def assign(examples: Iterable[Example]) -> list[Example]:
    """Give a side to every Example that has none yet, by its group.

    Composed rows come with theirs, since what is held out of training is decided by construction.
    """
    return [
        example
        if example.split is not None
        else msgspec.structs.replace(example, split=side(example.group), axis=example.axis)
        for example in examples
    ]


def torn(examples: Iterable[Example]) -> list[str]:
    """Groups and pairs that stand on two sides; a release with any is refused."""
    sides: dict[str, set[str | None]] = {}
    for example in examples:
        sides.setdefault(f"group {example.group}", set()).add(example.split)
        if example.pair_id:
            sides.setdefault(f"pair {example.pair_id}", set()).add(example.split)
    return sorted(name for name, found in sides.items() if len(found) > 1)
