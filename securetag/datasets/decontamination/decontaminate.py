"""Rows that give an evaluation away, by three measures, and their removal.

- *exact*: the same question, answer or block of code;
- *normalized*: the same words in the same order, whatever their case, marks, spaces and typography; for
  code the same tokens once comments are gone and its own names are numbered (`textform.renamed`);
- *n-gram*: at least half of a passage's runs of 13 words are in the other rows. 13 is GPT-3's length
  (Brown et al. 2020, appendix C, https://arxiv.org/abs/2005.14165), half is stricter than PaLM's 70 % of
  8-grams (https://arxiv.org/abs/2204.02311). Code is shorter, so 10 tokens make a run of it: with 8, a
  single common statement already made 14 of 4,000 synthetic functions known to Bodega's suite, with 10
  none. A passage of less than twice its n is compared as a whole alone.

Two questions are asked with them. Which training rows know a row of an evaluation suite? They go.
Which held-out rows overlap with the training split? Those go, since a training
family of a hundred siblings outweighs the one that is held out; so nothing moves between splits.

Synthetic rows are compared with one another as wholes only: a synthetic test row is made of fragments
that training knows (by runs, two in three would go), put together as it never saw them, and its split is
by part (docs/synthetic-cases.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from securetag.datasets.decontamination.suites import Suite
from securetag.datasets.dedup.forms import Passage, rename_variables, split_into_passages
from securetag.datasets.dedup.hashing import (
    Hashes,
    Offsets,
    Tokens,
    expand_ranges,
    expand_spans,
    hash_ngrams,
    hash_texts,
    hash_words,
    join_tokens,
    salt_hashes,
)
from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.records import Example

Measure = Literal["exact", "normalised", "n-gram"]

_SUITE_REASONS: dict[Measure, DropReason] = {
    "exact": DropReason.SUITE_EXACT,
    "normalised": DropReason.SUITE_NORMALISED,
    "n-gram": DropReason.SUITE_NGRAM,
}
_SPLIT_REASONS: dict[Measure, DropReason] = {
    "exact": DropReason.SPLIT_EXACT,
    "normalised": DropReason.SPLIT_NORMALISED,
    "n-gram": DropReason.SPLIT_NGRAM,
}
#: Words of prose, and tokens of code, in a run.
NGRAM, CODE_NGRAM = 13, 10
#: Share of a passage's runs that makes it known.
SHARE = 0.5
#: Passages of fewer words say what many others say (`Restrict the access.`), unless they are questions.
MIN_WORDS = 8


class Match(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A row that is known on the other side."""

    #: Id of the Example, and of what it matches: an Example's, or `suite/row`.
    id: str
    against: str
    measure: Measure
    #: Share of the passage that is known; 1.0 where it is the same.
    share: float


class _Part(msgspec.Struct, frozen=True):
    """One passage and the row that it belongs to."""

    row: str
    passage: Passage


def find_suite_overlaps(examples: Iterable[Example], suites: Sequence[Suite]) -> list[Match]:
    """Every row that is known to a suite or knows one of its rows, with the row and the measure."""
    ours = _parts(examples)
    theirs = [
        _Part(f"{suite.name}/{row.id}", passage)
        for suite in suites
        for row in suite.rows
        for passage in row.passages
    ]
    matches: list[Match] = []
    for code in (False, True):
        mine, other = _Passages.of(ours, code), _Passages.of(theirs, code)
        matches += [*_find_matches(mine, other), *_find_containing(mine, other)]
    return _strongest_matches(matches)


def decontaminate(examples: Sequence[Example], suites: Sequence[Suite]) -> StepResult:
    """Drop the rows that overlap with an evaluation suite; of a pair, both halves."""
    return _drop_matches(examples, find_suite_overlaps(examples, suites), _SUITE_REASONS)


def find_split_overlaps(examples: Iterable[Example]) -> list[Match]:
    """Return the held-out rows that overlap with another split: test with train, validation with both."""
    sides: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    for example in examples:
        sides[example.split or "train"].append(example)
    matches: list[Match] = []
    for code in (False, True):
        test, validation, train = (_Split.of(sides[name], code) for name in ("test", "validation", "train"))
        matches += [*test.given_away(train), *validation.given_away(train), *validation.given_away(test)]
    return _strongest_matches(matches)


def drop_overlapping(examples: Sequence[Example]) -> StepResult:
    """Drop the held-out rows that overlap with another split."""
    return _drop_matches(examples, find_split_overlaps(examples), _SPLIT_REASONS)


def _parts(examples: Iterable[Example]) -> list[_Part]:
    ordered = sorted(examples, key=lambda example: example.id)
    return [_Part(example.id, passage) for example in ordered for passage in split_into_passages(example)]


class _Passages(msgspec.Struct, frozen=True):
    """Passages of one kind, hashed."""

    parts: list[_Part]
    #: Shape (passages,): hash over all words, and whether it may be compared so.
    wholes: Hashes
    telling: npt.NDArray[np.bool_]
    #: n-grams of the passages that are long enough.
    runs: Tokens

    @classmethod
    def of(cls, parts: Sequence[_Part], code: bool) -> _Passages:
        chosen = [part for part in parts if part.passage.code is code]
        texts = [rename_variables(part.passage.text) if code else part.passage.text for part in chosen]
        tokens = hash_words(texts, punctuation=code)
        n = CODE_NGRAM if code else NGRAM
        questions = np.array([part.passage.question for part in chosen], bool)
        runs = hash_ngrams(tokens, n)
        return cls(chosen, hash_texts(tokens), questions | (tokens.counts >= MIN_WORDS), runs)

    @classmethod
    def both(cls, first: _Passages, second: _Passages) -> _Passages:
        return cls(
            [*first.parts, *second.parts],
            np.concatenate([first.wholes, second.wholes]),
            np.concatenate([first.telling, second.telling]),
            join_tokens([first.runs, second.runs]),
        )

    def long(self) -> npt.NDArray[np.bool_]:
        """Passages of at least 2n tokens: of n + 1 runs or more."""
        n = CODE_NGRAM if self.parts and self.parts[0].passage.code else NGRAM
        return np.asarray(self.runs.counts > n)


class _Split(msgspec.Struct, frozen=True):
    """The passages of one split, synthetic rows apart."""

    synthetic: _Passages
    other: _Passages

    @classmethod
    def of(cls, examples: list[Example], code: bool) -> _Split:
        made = [example for example in examples if example.construction is not None]
        rest = [example for example in examples if example.construction is None]
        return cls(_Passages.of(_parts(made), code), _Passages.of(_parts(rest), code))

    def given_away(self, train: _Split) -> Iterator[Match]:
        yield from _find_matches(self.other, _Passages.both(train.synthetic, train.other))
        yield from _find_matches(self.synthetic, train.other)
        yield from _find_matches(self.synthetic, train.synthetic, runs=False)


def _find_matches(mine: _Passages, theirs: _Passages, *, runs: bool = True) -> list[Match]:
    """Return the passages of `mine` that are in `theirs`, as wholes or for the most part."""
    if not mine.parts or not theirs.parts:
        return []
    matches: list[Match] = []
    values, first = np.unique(theirs.wholes[theirs.telling], return_index=True)
    places = np.flatnonzero(theirs.telling)[first]
    at = np.minimum(np.searchsorted(values, mine.wholes), max(len(values) - 1, 0))
    same = mine.telling & (values[at] == mine.wholes) if len(values) else np.zeros(len(mine.parts), bool)
    for index in np.flatnonzero(same).tolist():
        part, other = mine.parts[index], theirs.parts[places[at[index]]]
        exact = part.passage.text.strip() == other.passage.text.strip()
        measure: Measure = "exact" if exact else "normalised"
        matches.append(Match(id=part.row, against=other.row, measure=measure, share=1.0))
    return [*matches, *_find_overlapping(mine, theirs)] if runs else matches


def _find_overlapping(mine: _Passages, theirs: _Passages) -> list[Match]:
    """Return passages of `mine` whose runs are in `theirs`, with the passage that has most of them."""
    values, first = np.unique(theirs.runs.hashes, return_index=True)
    if not len(values):
        return []
    of = theirs.runs.owners[first]
    at = np.minimum(np.searchsorted(values, mine.runs.hashes), len(values) - 1)
    hit = values[at] == mine.runs.hashes
    shares = np.bincount(mine.runs.owners[hit], minlength=len(mine.parts)) / np.maximum(mine.runs.counts, 1)
    matches: list[Match] = []
    for index in np.flatnonzero((shares >= SHARE) & mine.long()).tolist():
        start, end = mine.runs.offsets[index], mine.runs.offsets[index + 1]
        holders, counts = np.unique(of[at[start:end][hit[start:end]]], return_counts=True)
        other = theirs.parts[holders[np.argmax(counts)]]
        share = round(float(shares[index]), 4)
        matches.append(Match(id=mine.parts[index].row, against=other.row, measure="n-gram", share=share))
    return matches


def _find_containing(mine: _Passages, theirs: _Passages) -> list[Match]:
    """Passages of `mine` that each hold most of one passage of `theirs`, however long they are."""
    matched = (
        {match.id for match in _find_overlapping(theirs, mine)} if mine.parts and theirs.parts else set()
    )
    wanted = np.flatnonzero(theirs.long() & np.array([part.row in matched for part in theirs.parts], bool))
    if not len(wanted):
        return []
    runs, of = _distinct(theirs.runs, wanted)
    order = np.argsort(runs, kind="stable")
    runs, of = runs[order], of[order]
    values, owners = _distinct(mine.runs, np.arange(len(mine.parts)))
    starts, ends = np.searchsorted(runs, values), np.searchsorted(runs, values, side="right")
    # Each of our runs beside every wanted passage that holds it.
    beside, which = expand_ranges(starts, ends)
    codes, counts = np.unique(owners[which] * len(wanted) + of[beside], return_counts=True)
    holders, contained = np.divmod(codes, len(wanted))
    shares = counts / np.bincount(of, minlength=len(wanted))[contained]
    return [
        Match(
            id=mine.parts[holders[index]].row,
            against=theirs.parts[wanted[contained[index]]].row,
            measure="n-gram",
            share=round(float(shares[index]), 4),
        )
        for index in np.flatnonzero(shares >= SHARE).tolist()
    ]


def _distinct(tokens: Tokens, chosen: Offsets) -> tuple[Hashes, Offsets]:
    """(runs, indices into `chosen`), each run of a passage once."""
    places, owners = expand_spans(tokens.offsets, chosen)
    _, first = np.unique(salt_hashes(tokens.hashes[places], owners), return_index=True)
    return tokens.hashes[places[first]], owners[first]


_RANK: dict[Measure, int] = {"exact": 0, "normalised": 1, "n-gram": 2}


def _strongest_matches(matches: list[Match]) -> list[Match]:
    """The strongest match of each row, by id."""
    best: dict[str, Match] = {}
    for match in sorted(matches, key=lambda m: (m.id, _RANK[m.measure], -m.share, m.against)):
        best.setdefault(match.id, match)
    return list(best.values())


def _drop_matches(
    examples: Sequence[Example], matches: list[Match], reasons: Mapping[Measure, DropReason]
) -> StepResult:
    by_row = {match.id: match for match in matches}
    halves = {e.pair_id: by_row[e.id] for e in examples if e.pair_id and e.id in by_row}
    kept: list[Example] = []
    drops: list[Drop] = []
    for example in examples:
        match = by_row.get(example.id) or halves.get(example.pair_id or "")
        if match is None:
            kept.append(example)
        else:
            drops.append(Drop.of(example, reasons[match.measure], against=match.against))
    return StepResult(kept, drops)
