"""Does a verdict still hold for code that was edited? It does while the guards, the source and the sink do.

Expressions are compared up to renaming: a local name corresponds to itself, or, where it is gone, to a
name that is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from securetag.records import CodeIdentity, CodeTerm

#: Hexadecimal digits of a name's digest in `CodeIdentity.outer_names`.
NAME_DIGITS = 8

#: `code`: it differs, and its older version has no digests that say in what.
Change = Literal["guard", "source", "sink", "code"]


def changes_between(judged: CodeIdentity, now: CodeIdentity, *, is_moved: bool = False) -> list[Change]:
    """Return what has changed; empty: a verdict on `judged` holds for `now`.

    A guard that was added doesn't count. `is_moved`: the code is in another file now. Then definitions that
    stayed behind are out of sight, and what the function itself shows decides.
    """
    if judged.digest == now.digest or (
        is_moved and (_left_its_file(judged, now) or _left_its_caller(judged, now))
    ):
        return []
    names = _Correspondence(judged, now)
    changes: list[Change] = []
    # The sink comes first: what its names correspond to is certain.
    if not names.matches(judged.sink, now.sink):
        changes.append("sink")
    if not _match_all(judged.sources, now.sources, names) or len(judged.sources) != len(now.sources):
        changes.append("source")
    if not _match_all(judged.guards, now.guards, names):
        changes.append("guard")
    return changes


def _left_its_file(judged: CodeIdentity, now: CodeIdentity) -> bool:
    """Is it the same function, though without some definitions of its older file, and without a caller?"""
    is_same = judged.own_digest != "" and judged.own_digest == now.own_digest
    return is_same and not judged.callers and _agree(judged.outer_names, now.outer_names)


def _agree(judged: Sequence[str], now: Sequence[str]) -> bool:
    """Is each definition that both have the same? It isn't where one has no digest, as older versions."""
    by_name = {each[:NAME_DIGITS]: each for each in judged}
    pairs = [(by_name.get(each[:NAME_DIGITS]), each) for each in now]
    return all(before is None or (before == each and len(each) > NAME_DIGITS) for before, each in pairs)


def _left_its_caller(judged: CodeIdentity, now: CodeIdentity) -> bool:
    """Is all as it was, but function and only caller are in two files now, or in one again?"""
    return now.outside_digest == judged.digest or judged.outside_digest == now.digest


class _Correspondence:
    """Which local name of the newer code is which of the older code."""

    def __init__(self, judged: CodeIdentity, now: CodeIdentity) -> None:
        older, newer = set(judged.local_names), set(now.local_names)
        self._gone, self._added = older - newer, newer - older
        self._new_name: dict[str, str] = {}
        self._old_name: dict[str, str] = {}

    def matches(self, old: CodeTerm, new: CodeTerm) -> bool:
        """Are the terms equal? If so, their names correspond from here on."""
        if old.shape != new.shape or len(old.names) != len(new.names):
            return False
        fresh: dict[str, str] = {}
        back: dict[str, str] = {}
        for before, after in zip(old.names, new.names, strict=True):
            if before == after and before not in self._new_name and after not in self._old_name:
                continue
            mapped = self._new_name.get(before) or fresh.get(before)
            origin = self._old_name.get(after) or back.get(after)
            if mapped == after and origin == before:
                continue
            if mapped or origin or before not in self._gone or after not in self._added:
                return False
            fresh[before], back[after] = after, before
        self._new_name.update(fresh)
        self._old_name.update(back)
        return True


def _match_all(old: Sequence[CodeTerm], new: Sequence[CodeTerm], names: _Correspondence) -> bool:
    """Has each old term an equal among the new ones?"""
    left = list(new)
    # Terms without a choice come first, so that they decide what the names correspond to.
    ordered = sorted(old, key=lambda term: (sum(other.shape == term.shape for other in new), term.shape))
    for term in ordered:
        equal = next((other for other in left if names.matches(term, other)), None)
        if equal is None:
            return False
        left.remove(equal)
    return True
