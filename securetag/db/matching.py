"""Which stored finding each place of a scan is: an assignment without a database.

Pairs with the same path, scope and fingerprint come first. The others are scored, and the best pairs are
taken greedily, so that the result is the same for any order of the input. Two rules outrank the score:

- A finding never goes to another place while the code that it was reported in still exists.
- Where two places are equally likely after a move, neither gets the finding.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, TypeVar
from uuid import UUID

from securetag.records import CodeIdentity
from securetag.scanning.identity.inventory import Inventory, last_name

#: Pairs of one bucket (places and findings that share a path, fingerprint, …) that are scored one by one;
#: a larger bucket is split by scope and by statement. 250,000 pairs take about a second.
MAX_PAIRS = 250_000
#: Share of the sketch that two versions of an edited function have in common at least.
MIN_SIMILARITY = 0.5
#: The same where the function has also left its file.
MIN_MOVED_SIMILARITY = 0.7
#: Values of a sketch that more findings than this share say nothing about which one it is.
MAX_POSTINGS = 50

Kind = Literal["new", "same", "moved", "edited"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scan reports an issue."""

    fingerprint: str
    path: str
    scope: str
    start_line: int
    end_line: int
    #: Keys of the rules that report it; renamed rules have the same key.
    rule_keys: frozenset[str]
    #: Family of its weakness; empty where none is named.
    cwe: str
    identity: CodeIdentity | None = None


@dataclass(frozen=True, slots=True)
class KnownFinding:
    """A stored finding, as it was seen last."""

    id: UUID
    place: Place
    #: Was it there in the newest scan before this one? Only then may it have moved to another path.
    is_current: bool = True


@dataclass(frozen=True, slots=True)
class Pair:
    """A place that is a stored finding."""

    place: int
    finding_id: UUID
    kind: Kind


@dataclass
class _Open:
    """Places and findings that are not matched yet."""

    places: dict[int, Place]
    findings: dict[UUID, KnownFinding]
    pairs: list[Pair] = field(default_factory=list)

    def match(self, place: int, finding_id: UUID, kind: Kind) -> None:
        self.pairs.append(Pair(place, finding_id, kind))
        del self.places[place], self.findings[finding_id]


def match_same(places: Mapping[int, Place], findings: Iterable[KnownFinding]) -> list[Pair]:
    """Pair what has the same path, scope and fingerprint, where both sides have as many; in line order.

    Needs no `identity`.
    """
    by_place: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    by_known: dict[tuple[str, str, str], list[KnownFinding]] = defaultdict(list)
    for index, place in places.items():
        by_place[(place.path, place.scope, place.fingerprint)].append(index)
    for finding in findings:
        by_known[(finding.place.path, finding.place.scope, finding.place.fingerprint)].append(finding)
    pairs = []
    for key, indexes in by_place.items():
        same = by_known.get(key, [])
        if len(same) != len(indexes):
            continue
        indexes.sort(key=lambda index: (places[index].start_line, places[index].end_line, index))
        same.sort(key=lambda finding: (finding.place.start_line, finding.place.end_line, finding.id))
        pairs += [Pair(index, finding.id, "same") for index, finding in zip(indexes, same, strict=True)]
    return pairs


def match_similar(
    places: Mapping[int, Place], findings: Iterable[KnownFinding], scan: Sequence[Place], inventory: Inventory
) -> list[Pair]:
    """Pair the rest by similarity. `scan` is every place of the scan, matched or not."""
    rest = _Open(dict(places), {finding.id: finding for finding in findings})
    if not rest.places or not rest.findings:
        return []
    present = _Presence(scan, inventory)
    scanned_order = _order_of_twins(rest.places)
    stored_order = _order_of_twins({key: finding.place for key, finding in rest.findings.items()})
    candidates: list[_Candidate] = []
    for index, finding_id in _possible_pairs(rest):
        place, finding = rest.places[index], rest.findings[finding_id]
        distance = abs(scanned_order[index] - stored_order[finding_id])
        candidate = _score(index, place, finding, present, distance)
        if candidate is not None:
            candidates.append(candidate)
    ambiguous = _ambiguous_moves(candidates)
    order = sorted(
        candidates,
        key=lambda candidate: (
            -candidate.score,
            _sort_key(rest.places[candidate.place]),
            candidate.finding_id,
        ),
    )
    for candidate in order:
        if candidate.place in rest.places and candidate.finding_id in rest.findings:
            if (candidate.place, candidate.finding_id) in ambiguous:
                continue
            rest.match(candidate.place, candidate.finding_id, candidate.kind)
    return rest.pairs


def assign(
    places: Sequence[Place], findings: Sequence[KnownFinding], inventory: Inventory | None = None
) -> list[Pair]:
    """Both steps, from findings that are in memory; for tests and benchmarks."""
    pairs = match_same(dict(enumerate(places)), findings)
    taken = {pair.place for pair in pairs}
    matched = {pair.finding_id for pair in pairs}
    rest = {index: place for index, place in enumerate(places) if index not in taken}
    open_known = [finding for finding in findings if finding.id not in matched]
    return pairs + match_similar(rest, open_known, places, inventory or Inventory())


class _Presence:
    """What of the older code this scan still has."""

    def __init__(self, scan: Sequence[Place], inventory: Inventory) -> None:
        self._inventory = inventory
        self._paths = {place.path for place in scan}
        self._scopes = {(place.path, place.scope) for place in scan}

    def has_path(self, path: str) -> bool:
        return path in self._paths or self._inventory.has_path(path)

    def has_scope(self, path: str, scope: str) -> bool:
        """Is a function of that name still in the file? At module level: is the file there?"""
        if not self.has_path(path):
            return False
        return not scope or (path, scope) in self._scopes or self._inventory.has_scope(path, scope)

    def has_enclosing(self, path: str, scope: str) -> bool:
        """Is a named function or class that the scope was in still in the file?"""
        parts = scope.split(".")
        outer = (".".join(parts[:size]) for size in range(1, len(parts)))
        # Callbacks and what a module exports have the same name in many files.
        named = (name for name in outer if not name.endswith(")") and name != "exports")
        return any(self.has_scope(path, name) for name in named)

    @property
    def knows_scopes(self) -> bool:
        return self._inventory.lists_functions


@dataclass(frozen=True, slots=True)
class _Candidate:
    place: int
    finding_id: UUID
    score: float
    kind: Kind


def _possible_pairs(rest: _Open) -> Iterator[tuple[int, UUID]]:
    """Each pair once that shares a path, a fingerprint, a file's bytes or enough of a function's body."""
    seen: set[tuple[int, UUID]] = set()
    keys: tuple[Callable[[Place], object], ...] = (
        lambda place: place.path,
        lambda place: place.fingerprint,
        lambda place: place.identity.file if place.identity else None,
        lambda place: (place.identity.statement, place.scope) if place.identity else None,
    )
    for key in keys:
        for pair in _buckets(rest.places, rest.findings, key, MAX_PAIRS):
            if pair not in seen:
                seen.add(pair)
                yield pair
    for pair in _sharing_sketch(rest):
        if pair not in seen:
            seen.add(pair)
            yield pair


def _buckets(
    places: Mapping[int, Place],
    findings: Mapping[UUID, KnownFinding],
    key: Callable[[Place], object],
    max_pairs: int,
) -> Iterator[tuple[int, UUID]]:
    by_key: dict[object, tuple[list[int], list[UUID]]] = defaultdict(lambda: ([], []))
    for index, place in places.items():
        if (value := key(place)) is not None:
            by_key[value][0].append(index)
    for finding_id, finding in findings.items():
        if (value := key(finding.place)) is not None and value in by_key:
            by_key[value][1].append(finding_id)
    for indexes, ids in by_key.values():
        if len(indexes) * len(ids) <= max_pairs:
            yield from ((index, finding_id) for index in indexes for finding_id in ids)
        elif max_pairs:
            some_places = {index: places[index] for index in indexes}
            some_known = {finding_id: findings[finding_id] for finding_id in ids}
            yield from _buckets(some_places, some_known, lambda place: (place.path, place.scope), 0)
            # Whatever is still equal after that is told apart by its line alone.
            yield from _nearest(some_places, some_known)


def _nearest(
    places: Mapping[int, Place], findings: Mapping[UUID, KnownFinding]
) -> Iterator[tuple[int, UUID]]:
    """Pair the n-th place with the n-th finding of the same path and scope."""
    by_scope: dict[tuple[str, str], list[UUID]] = defaultdict(list)
    for finding_id in sorted(
        findings, key=lambda finding_id: (_sort_key(findings[finding_id].place), finding_id)
    ):
        place = findings[finding_id].place
        by_scope[(place.path, place.scope)].append(finding_id)
    counts: Counter[tuple[str, str]] = Counter()
    for index in sorted(places, key=lambda index: _sort_key(places[index])):
        scope = (places[index].path, places[index].scope)
        if counts[scope] < len(by_scope[scope]):
            yield index, by_scope[scope][counts[scope]]
        counts[scope] += 1


def _sharing_sketch(rest: _Open) -> Iterator[tuple[int, UUID]]:
    postings: dict[int, list[UUID]] = defaultdict(list)
    for finding_id, finding in rest.findings.items():
        if finding.is_current and finding.place.identity:
            for value in finding.place.identity.body:
                postings[value].append(finding_id)
    for index, place in rest.places.items():
        shared: Counter[UUID] = Counter()
        for value in place.identity.body if place.identity else ():
            if len(postings.get(value, ())) <= MAX_POSTINGS:
                shared.update(postings.get(value, ()))
        yield from ((index, finding_id) for finding_id, count in shared.most_common(10) if count > 1)


def similarity(first: CodeIdentity | None, second: CodeIdentity | None) -> float:
    """Estimate the Jaccard similarity of two bodies from their sketches."""
    if first is None or second is None:
        return 0.0
    if not first.body or not second.body:
        return float(first.body == second.body)
    size = min(64, max(len(first.body), len(second.body)))
    lowest = sorted({*first.body, *second.body})[:size]
    both = set(first.body) & set(second.body)
    return sum(value in both for value in lowest) / len(lowest)


Key = TypeVar("Key", int, UUID)


def _order_of_twins(places: Mapping[Key, Place]) -> dict[Key, int]:
    """Number the places of a function that share a fingerprint, by line: an edit shifts lines, not order."""
    counts: Counter[tuple[str, str, str]] = Counter()
    order: dict[Key, int] = {}
    for key in sorted(places, key=lambda key: (places[key].start_line, places[key].end_line, key)):
        twins = (places[key].path, places[key].scope, places[key].fingerprint)
        order[key] = counts[twins]
        counts[twins] += 1
    return order


def _score(
    index: int, place: Place, finding: KnownFinding, present: _Presence, distance: int
) -> _Candidate | None:
    """Rate a pair; None where the place can't be the finding. `distance`: in the order of twins."""
    old = finding.place
    if not (place.rule_keys & old.rule_keys or (place.cwe and place.cwe == old.cwe)):
        return None
    resemblance = _Resemblance(place, old)
    if place.path == old.path:
        accepted = _accepts_in_file(place, old, resemblance, present)
    else:
        accepted = finding.is_current and _accepts_moved(old, resemblance, present)
    if not accepted:
        return None
    moved = place.path != old.path
    is_same_code = resemblance.fingerprint and (place.scope == old.scope or moved)
    kind: Kind = "moved" if moved else "same" if is_same_code else "edited"
    return _Candidate(index, finding.id, round(resemblance.score() + 0.2 / (1 + distance), 6), kind)


class _Resemblance:
    """In what a place and an older place agree."""

    def __init__(self, place: Place, old: Place) -> None:
        self._place, self._old = place, old
        now, before = place.identity, old.identity
        self.fingerprint = place.fingerprint == old.fingerprint
        self.scope = place.scope == old.scope
        self.name = last_name(place.scope) == last_name(old.scope)
        self.body = similarity(now, before)
        self.file = self.statement = self.sink = self.sources = self.linked = self.meaning = False
        self.context = 0
        self.guards = 0.0
        self.has_code = now is not None and before is not None
        if now is not None and before is not None:
            self.file = now.file == before.file
            self.statement = now.statement == before.statement
            self.meaning = now.digest == before.digest
            self.sink = now.sink.shape == before.sink.shape
            self.sources = [term.shape for term in now.sources] == [term.shape for term in before.sources]
            self.context = sum(
                first == second != "" for first, second in zip(now.context, before.context, strict=False)
            )
            if self.fingerprint or self.statement:
                # Twins differ in where they are: in what holds there above all.
                self.guards = _shared_guards(now, before)
            self.linked = old.scope in now.callers or place.scope in before.callers

    def score(self) -> float:
        place, old = self._place, self._old
        score = 3.0 if place.path == old.path else _path_similarity(place.path, old.path)
        score += 2.0 * self.scope + 1.0 * self.name + 1.5 * self.linked
        score += 2.0 * self.fingerprint + 1.5 * self.statement + self.sink + 0.5 * self.sources + self.file
        score += 2.0 * self.body + 0.5 * self.context + 0.5 * bool(place.rule_keys & old.rule_keys)
        score += self.meaning + self.guards
        return score


def _shared_guards(first: CodeIdentity, second: CodeIdentity) -> float:
    """Return 2 where the same conditions hold, else the share of those that do."""
    shapes, others = {term.shape for term in first.guards}, {term.shape for term in second.guards}
    return 2.0 if shapes == others else len(shapes & others) / len(shapes | others)


def _accepts_in_file(place: Place, old: Place, resemblance: _Resemblance, present: _Presence) -> bool:
    if not resemblance.has_code:
        # Findings of version 1 have no digests: the same rule and function is all there is to go by.
        is_upgrade = old.fingerprint.startswith("v1:") and place.identity is not None
        return resemblance.fingerprint or (is_upgrade and resemblance.scope)
    if resemblance.scope:
        if resemblance.fingerprint:
            return True
        return resemblance.statement or resemblance.context > 0 or (resemblance.sink and resemblance.sources)
    if resemblance.linked and (resemblance.sink or resemblance.statement):
        return True
    if present.has_scope(old.path, old.scope):
        return False
    if not present.knows_scopes and not resemblance.fingerprint:
        return resemblance.body >= MIN_MOVED_SIMILARITY and resemblance.sink
    return (
        resemblance.fingerprint
        or resemblance.body >= MIN_SIMILARITY
        or (resemblance.statement and resemblance.context > 1)
    )


def _accepts_moved(old: Place, resemblance: _Resemblance, present: _Presence) -> bool:
    is_alike = resemblance.fingerprint or resemblance.body >= MIN_MOVED_SIMILARITY
    if not present.has_path(old.path):
        # Of a short function one more line is half of it: its full name and the statement itself tell more.
        is_similar = resemblance.body >= MIN_SIMILARITY or (
            resemblance.scope and resemblance.statement and bool(old.scope or resemblance.context)
        )
        renamed = resemblance.name and is_similar and resemblance.sink
        return resemblance.file or renamed or (is_alike and (resemblance.sink or not resemblance.has_code))
    gone = present.knows_scopes and bool(old.scope) and not present.has_scope(old.path, old.scope)
    if gone and resemblance.scope and present.has_enclosing(old.path, old.scope):
        # The function around it is in both files: that was copied, and what it had here is fixed.
        return False
    return gone and resemblance.name and (resemblance.fingerprint or (is_alike and resemblance.sink))


def _ambiguous_moves(candidates: Sequence[_Candidate]) -> set[tuple[int, UUID]]:
    """Return the moves of a finding that has two equally good new places, or of a place with two findings."""
    best: dict[object, list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        for key in (candidate.place, candidate.finding_id):
            if not best[key] or candidate.score > best[key][0].score:
                best[key] = [candidate]
            elif candidate.score == best[key][0].score:
                best[key].append(candidate)
    return {
        (candidate.place, candidate.finding_id)
        for equals in best.values()
        if len(equals) > 1
        for candidate in equals
        if candidate.kind == "moved"
    }


def _path_similarity(first: str, second: str) -> float:
    """0 to 2: the same file name counts most, then equal folders from the end."""
    parts, others = PurePosixPath(first).parts[::-1], PurePosixPath(second).parts[::-1]
    if parts[0] != others[0]:
        folders = len(set(parts[1:]) & set(others[1:])) / max(1, len(parts) - 1, len(others) - 1)
        return 0.5 * folders
    equal = 0
    for a, b in zip(parts, others, strict=False):
        if a != b:
            break
        equal += 1
    return 1 + equal / max(len(parts), len(others))


def _sort_key(place: Place) -> tuple[str, int, int, str, str]:
    return (place.path, place.start_line, place.end_line, place.scope, place.fingerprint)
