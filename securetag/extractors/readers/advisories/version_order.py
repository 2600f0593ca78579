"""Order versions as publishers write them, and compute with ranges of them.

A library for one ecosystem (`packaging`, `univers`) refuses what advisories hold: wildcards (`6.1.*`), `n/a`,
versions of another scheme in the same list. The keys here order every text and never raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

Scheme = Literal["semver", "generic"]
Component = tuple[int, int, str]
Key = tuple[Component, ...]

#: Words before a release, in order. `a1`, `b2`, `c3` and `m4` are before it too; `1.0.2a` is after 1.0.2.
_PRE_RELEASES = {
    word: rank
    for rank, words in enumerate(
        ("dev", "snapshot nightly canary", "a alpha", "b beta", "m milestone", "c cr rc pre preview next")
    )
    for word in words.split()
}
_RELEASE_WORDS = {"final", "ga", "release"}
_LETTERS_BEFORE_NUMBERS = {"a", "b", "c", "m"}
_TOKEN = re.compile(r"\d+|[a-z]+|\*|~")
_COMPARABLE = re.compile(r"[vV]?\d[\w.+:~!*-]*")
_NO_VERSION = {"", "0", "*", "-", "n/a", "na", "unknown", "unspecified", "none"}
_END: Component = (1, 0, "")
_WILDCARD: Component = (9, 0, "")


def is_comparable(version: str) -> bool:
    """Return whether the text is a version (`1.2`, `6.1.*`), not words about versions (`before 1.2`)."""
    return _COMPARABLE.fullmatch(version.strip()) is not None


def make_key(version: str, scheme: Scheme = "generic") -> Key:
    """Return a key that orders versions: `1.0-rc1` < `1.0` = `1.0.0` < `1.0.1` < `1.*`.

    In `semver` everything after a hyphen is before the release (`1.0.0-h1` < `1.0.0`), and what follows a
    plus sign does not count.
    """
    text = version.strip().lower()
    text = text[1:] if re.match(r"v\d", text) else text
    if scheme == "semver":
        release, _, suffix = text.split("+", 1)[0].partition("-")
        components = _list_components(release)
        if suffix:
            components.append((0, 0, ""))
            components += [
                (4, int(part), "") if part.isdecimal() else (5, 0, part) for part in suffix.split(".")
            ]
        return (*components, _END)
    epoch = re.match(r"0*(\d+)[:!](?=\d)", text)
    text = text[epoch.end() :] if epoch else text
    prefix: Key = ((8, int(epoch[1]), ""),) if epoch and int(epoch[1]) else ()
    return (*prefix, *_list_components(text), _END)


def _list_components(text: str) -> list[Component]:
    tokens = _TOKEN.findall(text)
    components: list[Component] = []
    for position, token in enumerate(tokens):
        following = tokens[position + 1] if position + 1 < len(tokens) else ""
        if token.isdecimal():
            components.append((3, int(token), ""))
            continue
        _drop_zeros(components)
        is_letter_alone = token in _LETTERS_BEFORE_NUMBERS and not following.isdecimal()
        if token == "*" or (token == "x" and not following):
            components.append(_WILDCARD)
        elif token == "~":
            components.append((-1, 0, ""))
        elif token in _PRE_RELEASES and not is_letter_alone:
            components.append((0, _PRE_RELEASES[token], ""))
        elif token not in _RELEASE_WORDS:
            components.append((2, 0, token))
    _drop_zeros(components)
    return components


def _drop_zeros(components: list[Component]) -> None:
    """Remove trailing zeros, so that `1.0` equals `1.0.0` and `1.0-rc1` equals `1.0.0-rc1`."""
    while components and components[-1] == (3, 0, ""):
        components.pop()


class Bound(msgspec.Struct, frozen=True):
    """A place in the order of versions: just before (side 0) or just after (side 1) one version."""

    key: Key
    side: int
    #: The version; empty for an end that is open.
    version: str = ""

    @property
    def place(self) -> tuple[Key, int]:
        """The place, which orders bounds whatever their version's spelling."""
        return self.key, self.side


FIRST = Bound((), 0)
LAST = Bound(((10, 0, ""),), 0)


class Segment(msgspec.Struct, frozen=True):
    """All versions between two bounds."""

    start: Bound = FIRST
    end: Bound = LAST

    @property
    def is_empty(self) -> bool:
        """Whether no version can lie between the bounds."""
        return self.start.place >= self.end.place

    def contains(self, bound: Bound) -> bool:
        """Return whether the version whose lower bound (side 0) is given lies inside."""
        return self.start.place <= bound.place < self.end.place

    def __str__(self) -> str:
        """`≥ 1.0, < 1.2`; `*` for all versions."""
        parts = [f"{'>' if self.start.side else '≥'} {self.start.version}"] if self.start != FIRST else []
        parts += [f"{'≤' if self.end.side else '<'} {self.end.version}"] if self.end != LAST else []
        return ", ".join(parts) or "*"


def make_start(version: str, scheme: Scheme = "generic", *, excluded: bool = False) -> Bound:
    """Return where a range from `version` starts; `0`, `n/a` and `*` start before all versions."""
    if version.strip().lower() in _NO_VERSION:
        return FIRST
    return Bound(make_key(version, scheme), int(excluded), version.strip())


def make_end(version: str, scheme: Scheme = "generic", *, included: bool = False) -> Bound:
    """Return where a range up to `version` ends; `*` and a name with a star (`log4j-core*`) have no end."""
    text = version.strip()
    if text.lower() in _NO_VERSION - {"0"} or ("*" in text and not is_comparable(text)):
        return LAST
    return Bound(make_key(text, scheme), int(included), text)


def make_point(version: str, scheme: Scheme = "generic") -> Segment:
    """Return the segment that holds one version only."""
    key = make_key(version, scheme)
    return Segment(Bound(key, 0, version.strip()), Bound(key, 1, version.strip()))


def unite(segments: Iterable[Segment]) -> list[Segment]:
    """Return disjoint segments in order that hold the same versions."""
    result: list[Segment] = []
    for segment in sorted(
        (item for item in segments if not item.is_empty), key=lambda item: item.start.place
    ):
        if not result or segment.start.place > result[-1].end.place:
            result.append(segment)
        elif segment.end.place > result[-1].end.place:
            result[-1] = Segment(result[-1].start, segment.end)
    return result


def subtract(segments: Iterable[Segment], removed: Sequence[Segment]) -> list[Segment]:
    """Return the versions of `segments` that lie in none of `removed`, as disjoint segments in order."""
    result = unite(segments)
    for hole in removed:
        result = [
            part
            for segment in result
            for part in (
                (
                    Segment(segment.start, min(segment.end, hole.start, key=lambda bound: bound.place)),
                    Segment(max(segment.start, hole.end, key=lambda bound: bound.place), segment.end),
                )
                if not hole.is_empty
                else (segment,)
            )
            if not part.is_empty
        ]
    return result
