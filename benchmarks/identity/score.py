"""Make edits, match their versions, and count what was followed, stale and attached to another place."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from benchmarks.identity import guards, moves, neutral
from benchmarks.identity.edits import Case, Edit, Kind, Unfit
from benchmarks.identity.sites import CWE, Seen, find_sites, finding_id, scan
from securetag.db.matching import KnownFinding, Place, assign
from securetag.db.staleness import changes_between
from securetag.scanning.identity.inventory import Inventory


@dataclass
class Outcome:
    """What became of one edit."""

    kind: str
    expected: str
    where: str
    #: Is the target's finding where it must be?
    is_followed: bool
    is_stale: bool
    #: Findings, of any site, that are at another place than their own.
    misplaced: int
    changes: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Is the outcome what it must be?"""
        if self.expected == "gone":
            return self.is_followed
        return self.is_followed and self.is_stale == (self.expected == "stale")


@dataclass
class Tally:
    """Outcomes of many edits."""

    outcomes: list[Outcome] = field(default_factory=list)

    def by_kind(self) -> dict[str, list[Outcome]]:
        """The outcomes of each kind."""
        kinds: dict[str, list[Outcome]] = defaultdict(list)
        for outcome in self.outcomes:
            kinds[outcome.kind].append(outcome)
        return dict(sorted(kinds.items()))


def make_edits(
    files: Iterable[tuple[str, bytes]], *, per_kind: int, seed: int, kinds: Sequence[Kind] | None = None
) -> list[Edit]:
    """Make up to `per_kind` edits of each kind and language, at seeded sites, two a file at most."""
    rng = random.Random(seed)
    cases = [(path, content, site) for path, content in files for site in find_sites(path, content)]
    edits: list[Edit] = []
    python = [case for case in cases if case[0].endswith(".py")]
    javascript = [case for case in cases if not case[0].endswith(".py")]
    for group, own in (
        (python, [*neutral.PYTHON, *guards.PYTHON]),
        (javascript, [neutral.prettier]),
    ):
        for kind in kinds or [*neutral.COMMON, *moves.COMMON, *guards.COMMON, *own]:
            made: Counter[str] = Counter()
            order = rng.sample(group, len(group))
            for path, content, site in order:
                if sum(made.values()) >= per_kind:
                    break
                if made[path] >= 2:
                    continue
                try:
                    edits.append(kind(Case(path, content, site, rng)))
                    made[path] += 1
                except Unfit:
                    continue
    return edits


def follow(first: Sequence[Place], later: Sequence[tuple[Sequence[Place], Inventory]]) -> list[UUID]:
    """Match one scan after the other; return the finding of each place of the last one.

    The n-th place of the first scan is the finding `finding_id(n)`.
    """
    stored = [KnownFinding(finding_id(number), place) for number, place in enumerate(first)]
    fresh = len(first)
    keys: list[UUID] = []
    for places, inventory in later:
        pairs = {pair.place: pair.finding_id for pair in assign(places, stored, inventory)}
        for index in range(len(places)):
            if index not in pairs:
                pairs[index] = finding_id(fresh)
                fresh += 1
        keys = [pairs[index] for index in range(len(places))]
        now = [KnownFinding(key, place) for key, place in zip(keys, places, strict=True)]
        stored = [*now, *(replace(each, is_current=False) for each in stored if each.id not in set(keys))]
    return keys


def judge(edit: Edit) -> Outcome:
    """Match the versions one after the other, and compare with the truth."""
    first, _ = scan(edit.versions[0])
    judged = {finding_id(number): seen for number, seen in enumerate(first)}
    scans = [scan(version) for version in edit.versions[1:]]
    scans = [([_renamed(seen, edit) for seen in sites], inventory) for sites, inventory in scans]
    last = scans[-1][0]
    keys = follow(
        [seen.place for seen in first],
        [([seen.place for seen in sites], inventory) for sites, inventory in scans],
    )
    placed = {(seen.site.path, seen.site.start): key for seen, key in zip(last, keys, strict=True)}
    where = {key: at for at, key in placed.items()}
    ids = {(seen.site.path, seen.site.start): key for key, seen in judged.items()}
    misplaced = sum(1 for at, key in ids.items() if key in where and where[key] != edit.truth.get(at))
    target = ids[edit.target]
    expected_at = edit.truth[edit.target]
    is_followed = where.get(target) == expected_at
    changes: tuple[str, ...] = ()
    if is_followed and expected_at is not None:
        seen = next(each for each in last if (each.site.path, each.site.start) == expected_at)
        is_moved = edit.target[0] != expected_at[0]
        changes = tuple(changes_between(judged[target].identity, seen.identity, is_moved=is_moved))
    return Outcome(
        edit.kind,
        edit.expected,
        f"{edit.target[0]}:{edit.target[1]}",
        is_followed,
        bool(changes),
        misplaced,
        changes,
    )


def _renamed(seen: Seen, edit: Edit) -> Seen:
    """The same place, reported by the rule's new id, whose key comes from the alias table."""
    rule = edit.renamed.get(seen.site.rule, seen.site.rule)
    key = edit.keys.get(rule, rule)
    old = seen.site.rule
    fingerprint = seen.place.fingerprint.replace(f":{old} ", f":{key} ", 1)
    place = replace(
        seen.place,
        rule_keys=frozenset({key}),
        fingerprint=fingerprint,
        # Another id alone must do: the weakness of the new rule isn't compared.
        cwe=CWE[old] if rule == old else f"{CWE[old]} of {rule}",
    )
    return replace(seen, place=place)
