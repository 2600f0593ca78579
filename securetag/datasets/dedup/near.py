"""Near duplicates: MinHash finds candidates, the shingles themselves decide, identifiers have a veto.

Two texts are near duplicates when the Jaccard similarity of their three-word shingles reaches a
threshold (Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900). Candidates share one of 16 bands
of a MinHash signature of 128 slots (rensa): a pair at .75 is met with probability .81, at .8 with .95,
at .9 with .9999. Shingles carry everything in which two duplicates must agree, so that

- sibling advisories (the same sentences about another product, version or CVE) never meet,
- neither do twins with other labels, nor rows of another task or language,
- and a family of a thousand siblings makes no bucket at all instead of one large one: the cost grows
  with the number of rows, not with its square.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from securetag.datasets.dedup.exact import merge_origins, precedence_of
from securetag.datasets.dedup.forms import code_of, prose_of, rename_variables
from securetag.datasets.dedup.hashing import (
    Hashes,
    Offsets,
    Tokens,
    expand_spans,
    hash_marked,
    hash_ngrams,
    hash_texts,
    hash_words,
    join_tokens,
    mix_bits,
)
from securetag.datasets.drops import Drop, DropReason, StepResult
from securetag.records import Example, Task

#: Similarity from which two texts are near duplicates. At three-word shingles one word of forty replaced
#: leaves .85, two leave .73; of planted duplicates .75 finds .99, .8 finds .96 (benchmarks/datasets).
JACCARD = 0.75
SHINGLE = 3
SLOTS, BANDS = 128, 16
#: Shorter texts have too few shingles to compare: exact and normalized comparison see to them.
MIN_SHINGLES = 8
#: Rows that are shingled, and whose signatures are unpacked, at a time; rensa hands them out as lists.
_BATCH = 4_096
#: Pairs verified at a time: some 130 shingles each.
_PAIRS = 20_000
_SEED = 42


class Document(msgspec.Struct, frozen=True):
    """A text, and what its duplicates must share with it beside words, numbers and identifiers."""

    text: str
    veto: str = ""


def find_representatives(
    documents: Sequence[Document], *, jaccard: float = JACCARD, punctuation: bool = False
) -> Offsets:
    """For each document its own index where it is kept, else that of the kept one that it repeats.

    `documents` are in order of precedence: the first of a cluster is kept, and a document goes only
    if it is itself near to a kept one (not by a chain of others).
    """
    shingles: list[Tokens] = []
    for start in range(0, len(documents), _BATCH):
        batch = documents[start : start + _BATCH]
        tokens = hash_words([document.text for document in batch], punctuation=punctuation)
        about = hash_texts(hash_words([document.veto for document in batch], punctuation=True))
        shingles.append(salt_with_veto(hash_ngrams(tokens, SHINGLE), about + hash_marked(tokens)))
    return choose_representatives(find_near_pairs(join_tokens(shingles), jaccard), len(documents))


def salt_with_veto(shingles: Tokens, vetoes: Hashes) -> Tokens:
    """Shingles that only texts of one veto have in common."""
    hashes = shingles.hashes ^ np.repeat(mix_bits(vetoes), shingles.counts)
    return msgspec.structs.replace(shingles, hashes=hashes)


def find_near_pairs(shingles: Tokens, jaccard: float) -> Offsets:
    """Pairs (first < second), shape (pairs, 2), of texts of at least this similarity.

    In a bucket each text is compared with the first and with the one before it, never all with all.
    """
    pairs = _candidates(*_bands(shingles))
    keep = [
        _jaccard(shingles, pairs[start : start + _PAIRS]) >= jaccard for start in range(0, len(pairs), _PAIRS)
    ]
    return pairs[np.concatenate(keep)] if keep else pairs


def choose_representatives(pairs: Offsets, count: int) -> Offsets:
    """Index of each text's representative: in order, a text near to a kept one is dropped."""
    kept = np.arange(count)
    for first, second in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].tolist():
        if kept[first] == first and kept[second] == second:
            kept[second] = first
    return kept


def _bands(shingles: Tokens) -> tuple[Hashes, Offsets]:
    """(keys, shape (texts, BANDS), the indices of those texts): of texts that share a band with another."""
    from rensa import RMinHash, RMinHashLSH

    def signatures(hashes: Hashes, counts: Offsets) -> Any:
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
        return RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, SLOTS, _SEED)

    # Most rows meet nobody, and unpacking a signature costs more than making one.
    index = RMinHashLSH(threshold=JACCARD, num_perm=SLOTS, num_bands=BANDS)
    flags = index.query_duplicate_flags_matrix_one_shot(signatures(shingles.hashes, shingles.counts))
    chosen = np.flatnonzero(np.array(flags, bool) & (shingles.counts >= MIN_SHINGLES))
    keys = np.zeros((len(chosen), BANDS), np.uint64)
    weights = mix_bits(np.arange(1, SLOTS + 1, dtype=np.uint64)).reshape(BANDS, -1)
    for start in range(0, len(chosen), _BATCH):
        batch = chosen[start : start + _BATCH]
        places, _ = expand_spans(shingles.offsets, batch)
        matrix = signatures(shingles.hashes[places], shingles.counts[batch])
        slots = np.array(matrix.to_rows(), np.uint64).reshape(len(batch), BANDS, -1)
        keys[start : start + len(batch)] = (slots * weights).sum(axis=2)
    return mix_bits(keys) + mix_bits(np.arange(BANDS, dtype=np.uint64)), chosen


def _candidates(keys: Hashes, chosen: Offsets) -> Offsets:
    """Pairs of texts that share a band's key, each once, ordered; shape (pairs, 2)."""
    order = np.argsort(keys.ravel(), kind="stable")
    equal = np.diff(keys.ravel()[order]) == 0
    heads = np.where(np.concatenate([[True], ~equal]), np.arange(len(order)), 0) if len(order) else order
    first = np.maximum.accumulate(heads)[1:][equal]
    texts = order // BANDS
    later = texts[1:][equal]
    codes = np.concatenate([texts[first], texts[:-1][equal]]) * max(len(chosen), 1) + np.tile(later, 2)
    pairs: Offsets = chosen[np.stack(np.divmod(np.unique(codes), max(len(chosen), 1)), axis=1)]
    return pairs


def _jaccard(shingles: Tokens, pairs: Offsets) -> npt.NDArray[np.float64]:
    """Similarity of each pair, over sets of shingles; at most 2**20 pairs at a time."""
    rest = np.uint64(44)
    sides: list[Hashes] = []
    for side in (0, 1):
        places, owners = expand_spans(shingles.offsets, pairs[:, side])
        # The pair's number in the upper bits, 44 bits of the shingle below: one plain sort does it all.
        keys = (owners.astype(np.uint64) << rest) | (shingles.hashes[places] >> (np.uint64(64) - rest))
        keys.sort()
        sides.append(keys[np.diff(keys, prepend=~keys[:1]) != 0])
    both = np.sort(np.concatenate(sides))
    shared = both[1:][both[1:] == both[:-1]]
    counts = [np.bincount((keys >> rest).astype(np.int64), minlength=len(pairs)) for keys in (*sides, shared)]
    return np.asarray(counts[2] / (counts[0] + counts[1] - counts[2]), np.float64)


def drop_near_duplicates(examples: Iterable[Example], *, jaccard: float = JACCARD) -> StepResult:
    """Merge rows of nearly the same words: a near duplicate's origins go to the row that stays.

    Synthetic rows pass: what tells two of them apart is a guard, and both were executed. The result
    doesn't depend on the order of the rows.
    """
    ordered = sorted(examples, key=precedence_of)
    kept: dict[int, Example] = dict(enumerate(ordered))
    drops: list[Drop] = []
    for triage in (False, True):
        chosen = [
            place
            for place, example in enumerate(ordered)
            if example.construction is None and (example.task is Task.TRIAGE) is triage
        ]
        documents = [_document(ordered[place]) for place in chosen]
        chosen_representatives = find_representatives(documents, jaccard=jaccard, punctuation=triage)
        for index in np.flatnonzero(chosen_representatives != np.arange(len(chosen))).tolist():
            place, into = chosen[index], chosen[chosen_representatives[index]]
            kept[into] = merge_origins(kept[into], kept.pop(place))
            drops.append(Drop.of(ordered[place], DropReason.DUPLICATE_NEAR, against=ordered[into].id))
    return StepResult(sorted(kept.values(), key=lambda row: (row.id, row.label or "")), drops)


def _document(example: Example) -> Document:
    """What is compared: a triage row's code under other names, any other row's words."""
    # Rows about two CVEs differ even where their sentences don't name them.
    about = example.group if example.group.startswith("id/") else ""
    veto = "\n".join([example.task, example.lang, example.label or "", about])
    if example.task is Task.TRIAGE:
        return Document(rename_variables(code_of(example)), veto)
    return Document(prose_of(example), veto)
