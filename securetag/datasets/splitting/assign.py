"""Which side of the split a row stands on, so that growth never moves one from test to train.

A row's side is a function of the row alone: of the hash of its group's name (the CVE, the weakness or
technique, the publisher's item, the repository of a fix, the tenant's project), or of its date where
releases are split by time. Nothing else may decide: were it the largest or oldest of the rows that
belong together, a newer row that joins two groups would take one of them to the other side.

What a row's own name can't see is settled by leaving out, never by moving. A held-out row goes when a
training row shares an identifier with it (`untangled`) or words (`decontaminate.apart`). More data can
only make more of them go: a row that was in test is in test or gone in every later release.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from securetag.datasets.filters import Drop, drop_of
from securetag.records import Example, Record

Side = Literal["train", "validation", "test"]

#: Parts of all groups, by hash.
TEST_PART, VALIDATION_PART = 0.10, 0.05
#: Day from which on dated rows are test: what a model is asked about is newer than what it learnt.
TEST_SINCE = "2025-01-01"
BRIDGE = "split: its identifier stands on another side"
#: Where rows of several groups have become one: held out beats training.
_RANK: dict[Side, int] = {"test": 0, "validation": 1, "train": 2}

_CVE = re.compile(r"CVE-(\d{4})-(\d{4,})")
#: Names that mean one thing whoever uses them: CVE, GHSA, advisories by year, CWE, CAPEC, ATT&CK.
_IDENTIFIER = re.compile(
    r"CVE-\d{4}-\d{4,}|GHSA(?:-[0-9A-Z]{4}){3}|(?:PYSEC|RUSTSEC|GO|OSV|MAL|DSA|RHSA|USN)-\d{4}[-:]\d+"
    r"|CWE-\d+|CAPEC-\d+|(?:T|TA|M|S|G|C|DC|DS)\d{4}(?:\.\d{3})?"
)
_REPOSITORY = re.compile(
    r"https?://(?:www\.)?(github\.com|gitlab\.com|bitbucket\.org|codeberg\.org)/([\w.-]+/[\w.-]+)",
    re.IGNORECASE,
)


class Ties(msgspec.Struct, frozen=True):
    """What binds the rows of a Record to those of others."""

    #: Decides the side.
    group: str
    #: May not stand on two sides either.
    keys: tuple[str, ...] = ()
    #: `YYYY-MM-DD`, of the Record.
    published: str | None = None


def ties_of(record: Record) -> Ties:
    """The group is the repository of a fix, else the lowest CVE, else another identifier, else the item.

    An item is known by publisher and key, not by source: a new edition has another source's name.
    """
    named = [name.upper() for name in (record.key, *record.facts.aliases)]
    known = sorted({name for name in named if _IDENTIFIER.fullmatch(name)}, key=_age)
    keys = [f"id/{name}" for name in known]
    if record.facts.vulnerable or record.facts.fixed:
        found = sorted({_repository(url) for url in (record.url, *record.facts.references)} - {""})
        keys = [f"repository/{name}" for name in found] + keys
    item = f"record/{record.publisher}/{record.key}"
    # An item's own key is worth more than the aliases it lists, but a CVE unites most advisories.
    own = f"id/{record.key.upper()}"
    if own in keys and not keys[0].startswith(("id/CVE-", "repository/")):
        return Ties(own, tuple(keys), record.facts.published)
    return Ties(keys[0] if keys else item, tuple(keys), record.facts.published)


def _age(name: str) -> tuple[int, int, int, str]:
    """Orders identifiers: CVEs first, the oldest before the others."""
    cve = _CVE.fullmatch(name)
    return (0, int(cve[1]), int(cve[2]), "") if cve else (1, 0, 0, name)


def _repository(url: str) -> str:
    found = _REPOSITORY.match(url)
    return f"{found[1]}/{found[2]}".lower().removesuffix(".git") if found else ""


def grouped(examples: Iterable[Example], ties: Ties) -> Iterator[Example]:
    """Examples of one Record, under its group."""
    for example in examples:
        yield msgspec.structs.replace(example, group=ties.group)


def side(group: str) -> Side:
    """The side of a group, the same in every release."""
    # 52 bits of the digest, so that the fraction is exact in a float.
    place = int(hashlib.sha256(b"split/" + group.encode()).hexdigest()[:13], 16) / 16**13
    if place < TEST_PART:
        return "test"
    return "validation" if place < TEST_PART + VALIDATION_PART else "train"


def assign(
    examples: Iterable[Example], ties: Mapping[str, Ties] | None = None, *, test_since: str | None = None
) -> list[Example]:
    """Give a side to every Example that has none yet.

    `ties` are those of its Records by their ids, and those of harvested findings by theirs.

    What was published on `test_since` or later is test, beside the groups that are test by hash: so an
    earlier day, or one for the first time, moves nothing out of test. A later day does: a release says
    in its parameters which day it used.

    Composed rows come with their side, since what is held out of training is decided by construction.
    """
    known = ties or {}
    return [
        example if example.split is not None else _placed(example, _bound(example, known), test_since)
        for example in examples
    ]


def _bound(example: Example, ties: Mapping[str, Ties]) -> list[Ties]:
    """A row that came from several Records or findings is bound by each of them."""
    found = [ties.get(origin.finding_id or origin.record_id or "") for origin in example.origins]
    return [one for one in found if one] or [Ties(example.group)]


def _placed(example: Example, bound: Sequence[Ties], test_since: str | None) -> Example:
    def of(ties: Ties) -> Side:
        new = test_since is not None and (ties.published or "") >= test_since
        return "test" if new else side(ties.group)

    where, group = min(
        ((of(ties), ties.group) for ties in bound), key=lambda found: (_RANK[found[0]], found[1])
    )
    return msgspec.structs.replace(example, split=where, group=group, axis=example.axis)


def untangled(
    examples: Sequence[Example], ties: Mapping[str, Ties] | None = None
) -> tuple[list[Example], list[Drop]]:
    """(rows of which no key stands on two sides, the held-out rows that had to go)."""
    known = ties or {}
    keys = [
        {example.group, *(key for found in _bound(example, known) for key in (found.group, *found.keys))}
        for example in examples
    ]
    taken: dict[Side, set[str]] = {name: set() for name in _RANK}
    for example, own in zip(examples, keys, strict=True):
        taken[example.split or "train"] |= own
    kept: list[Example] = []
    drops: list[Drop] = []
    for example, own in zip(examples, keys, strict=True):
        barred = set() if example.split == "train" else own & taken["train"]
        if example.split == "validation":
            barred |= own & taken["test"]
        if barred and example.construction is None:
            drops.append(drop_of(example, BRIDGE, against=min(barred)))
        else:
            kept.append(example)
    return kept, drops


def torn(examples: Iterable[Example]) -> list[str]:
    """Groups and pairs that stand on two sides; a release with any is refused."""
    sides: dict[str, set[str | None]] = {}
    for example in examples:
        sides.setdefault(f"group {example.group}", set()).add(example.split)
        if example.pair_id:
            sides.setdefault(f"pair {example.pair_id}", set()).add(example.split)
    return sorted(name for name, found in sides.items() if len(found) > 1)


def returned(examples: Iterable[Example], tested: Iterable[str]) -> list[str]:
    """Ids of training rows that an earlier release had in test (`tested`): there may be none."""
    before = frozenset(tested)
    return sorted(example.id for example in examples if example.split == "train" and example.id in before)
