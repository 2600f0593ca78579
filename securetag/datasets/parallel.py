"""How independent parts of a build are run: in this process, or wherever a mapper sends them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Mapper(Protocol):
    """Calls a function with each item, in any order and in any process; returns results in items' order.

    The function, the items and the results can be pickled, and the function depends on nothing else.
    """

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return what the function returns for each item; raise what it raises."""


def map_here(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Call the function in this process."""
    return [function(item) for item in items]


def cut(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut a sequence into parts of `size` items; the last one may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]
