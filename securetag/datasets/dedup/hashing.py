"""Words and n-grams of many texts at once, as 64-bit hashes in flat arrays.

Python's time goes into tokens, so none are made: a chunk of texts becomes one array of bytes, and the
hash of a word is a difference of two prefix sums of a polynomial modulo 2**64 (Karp and Rabin's
fingerprint, https://doi.org/10.1147/rd.312.0249), divided by the word's place and mixed by the
finaliser of SplitMix64 (https://doi.org/10.1145/2660193.2660195). Equal words have equal hashes in
every process and on every machine; of 10^7 different ones, two agree with probability 10^-5.5.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache

import msgspec
import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]

#: Bytes of text hashed at a time: eight times as much in prefix sums still fits a cache.
CHUNK = 1 << 17
_BASE = 0x9E3779B97F4A7C15
_OTHER_MARK = re.compile(r"[^\x00-\x7f\w]")
_STEP = np.uint64(0xD1342543DE82EF95)


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Hashes of the words (or n-grams) of a list of texts, one after the other."""

    #: uint64, shape (all tokens,).
    hashes: Hashes
    #: int64, shape (texts + 1,): text i owns `hashes[offsets[i]:offsets[i + 1]]`.
    offsets: Offsets
    #: Which words hold a digit or an underscore: numbers, versions, names in code, most identifiers.
    #: Empty for n-grams.
    marked: npt.NDArray[np.bool_]
    #: Which words hang on the one before by a single mark (`2` in `AC-2`). Empty for n-grams.
    hanging: npt.NDArray[np.bool_]

    @property
    def counts(self) -> Offsets:
        """Tokens of each text."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> Offsets:
        """Index of the text of each token."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)


def mix_bits(values: Hashes) -> Hashes:
    """Spread every bit of the input over the whole output; a bijection."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hash_words(texts: Sequence[str], *, punctuation: bool = False) -> Tokens:
    """Words of each text, case folded; with `punctuation` each mark is a token as well, as code needs.

    A word is a run of letters, digits and underscores; compatible forms (ligatures, full-width
    letters, typographic spaces) count as what they stand for.
    """
    return join_tokens([_hashed(chunk, punctuation) for chunk in _chunks(texts)])


def hash_ngrams(tokens: Tokens, n: int) -> Tokens:
    """Runs of `n` tokens of each text; a text of fewer has none."""
    size = max(len(tokens.hashes) - n + 1, 0)
    runs = np.zeros(size, np.uint64)
    for place, weight in enumerate(_powers(int(_STEP), n)):
        runs += tokens.hashes[place : place + size] * weight
    owners = tokens.owners
    inside = owners[:size] == owners[n - 1 :] if size else np.zeros(0, bool)
    offsets = np.zeros(len(tokens.offsets), np.int64)
    np.cumsum(np.maximum(tokens.counts - n + 1, 0), out=offsets[1:])
    none = np.zeros(0, bool)
    return Tokens(hashes=mix_bits(runs[inside]), offsets=offsets, marked=none, hanging=none)


def join_tokens(parts: Sequence[Tokens]) -> Tokens:
    """The texts of all parts, one after the other."""
    offsets = np.zeros(sum(len(part.counts) for part in parts) + 1, np.int64)
    np.cumsum(np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)]), out=offsets[1:])
    return Tokens(
        hashes=np.concatenate([np.zeros(0, np.uint64), *(part.hashes for part in parts)]),
        offsets=offsets,
        marked=np.concatenate([np.zeros(0, bool), *(part.marked for part in parts)]),
        hanging=np.concatenate([np.zeros(0, bool), *(part.hanging for part in parts)]),
    )


def hash_texts(tokens: Tokens) -> Hashes:
    """One hash a text, over its words in order: shape (texts,). Texts of the same words have the same."""
    places = np.arange(len(tokens.hashes)) - np.repeat(tokens.offsets[:-1], tokens.counts)
    weights = _powers(int(_STEP), int(tokens.counts.max(initial=0)) + 1)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(tokens.hashes * weights[places])])
    lengths = tokens.counts.astype(np.uint64)
    return mix_bits(sums[tokens.offsets[1:]] - sums[tokens.offsets[:-1]] + lengths * np.uint64(_BASE))


def hash_marked(tokens: Tokens) -> Hashes:
    """One hash a text, over the set of its marked words and of what they are joined to.

    `AC-2` and `SI-2` hold the same number, `1.2.3` and `3.2.1` the same words: their joints differ.
    """
    owners = tokens.owners
    beside = tokens.hanging[1:] & (tokens.marked[:-1] | tokens.marked[1:])
    values = np.concatenate(
        [tokens.hashes[tokens.marked], mix_bits(tokens.hashes[:-1] * _STEP + tokens.hashes[1:])[beside]]
    )
    of = np.concatenate([owners[tokens.marked], owners[:-1][beside]])
    _, first = np.unique(salt_hashes(values, of), return_index=True)
    sums = np.zeros(len(tokens.offsets) - 1, np.uint64)
    np.add.at(sums, of[first], mix_bits(values[first]))
    return sums


def salt_hashes(values: Hashes, owners: Offsets) -> Hashes:
    """Values that are equal only where value and owner are."""
    # Far from the numbers that words begin as: a word of one letter is a small number, mixed.
    return mix_bits(values + mix_bits(owners.astype(np.uint64) + np.uint64(_BASE)))


def expand_spans(offsets: Offsets, chosen: Offsets) -> tuple[Offsets, Offsets]:
    """(places, owners): every place that the chosen texts own, and which of the choices owns it."""
    return expand_ranges(offsets[chosen], offsets[chosen + 1])


def expand_ranges(starts: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
    """(places, owners): every whole number in each of the half-open ranges, and the range that it is in."""
    counts = ends - starts
    owners = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(owners)) - (np.cumsum(counts) - counts - starts)[owners], owners


def _chunks(texts: Sequence[str]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for text in texts:
        plain = text if text.isascii() else _plain(text)
        encoded = plain.lower().encode()
        if chunk and size + len(encoded) > CHUNK:
            yield chunk
            chunk, size = [], 0
        chunk.append(encoded)
        size += len(encoded) + 1
    if chunk:
        yield chunk


def _plain(text: str) -> str:
    """Compatible forms resolved; of other scripts' marks only those that belong to a letter are kept."""
    folded = _OTHER_MARK.sub(_mark, unicodedata.normalize("NFKC", text))
    return folded.encode("utf-8", "replace").decode()  # a lone surrogate has no bytes


def _mark(match: re.Match[str]) -> str:
    """Quotes, dashes and the like as one of ASCII's; a combining mark as it is."""
    kind = unicodedata.category(match[0])
    if kind[0] == "M":
        return match[0]
    return "-" if kind == "Pd" else '"' if kind[0] == "P" else " "


def _hashed(texts: list[bytes], punctuation: bool) -> Tokens:
    """The words of one chunk."""
    # With a line feed at both ends every word has a byte before and one after it.
    raw = b"\n".join([b"", *texts, b""])
    word = np.frombuffer(raw.translate(_WORD), bool)
    edges = np.flatnonzero(word[1:] != word[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    if punctuation:
        marks = np.flatnonzero(np.frombuffer(raw.translate(_MARK), bool))
        starts, ends = np.concatenate([starts, marks]), np.concatenate([ends, marks + 1])
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], ends[order]
    sums = np.zeros(len(raw) + 1, np.uint64)
    np.cumsum(np.multiply(np.frombuffer(raw, np.uint8), _powers(_BASE, len(raw))), out=sums[1:])
    inverse = _powers(pow(_BASE, -1, 1 << 64), len(raw))
    telling = np.zeros(len(raw) + 1, np.int32)
    np.cumsum(np.frombuffer(raw.translate(_TELLING), np.uint8), out=telling[1:])
    lengths = np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts))
    offsets = np.zeros(len(texts) + 1, np.int64)
    offsets[1:] = np.searchsorted(starts, np.cumsum(lengths))
    return Tokens(
        hashes=mix_bits((sums[ends] - sums[starts]) * inverse[starts]),
        offsets=offsets,
        marked=telling[ends] > telling[starts],
        hanging=_hanging(raw, starts, ends),
    )


def _hanging(raw: bytes, starts: Offsets, ends: Offsets) -> npt.NDArray[np.bool_]:
    """Which words have one mark, and nothing else, between them and the word before."""
    mark = np.frombuffer(raw.translate(_MARK), bool)
    hanging = np.zeros(len(starts), bool)
    hanging[1:] = (starts[1:] - ends[:-1] == 1) & mark[starts[1:] - 1]
    return hanging


def _powers(base: int, count: int) -> Hashes:
    """1, base, base², … modulo 2**64."""
    # Rounded up, so that chunks of about one size share one table.
    return _table(base, 1 << max(count - 1, 1).bit_length())[:count]


@cache
def _table(base: int, count: int) -> Hashes:
    factors = np.full(count, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)


def _is_word(byte: int) -> bool:
    return byte >= 0x80 or chr(byte).isalnum() or byte == ord("_")


#: Of each byte, 1 where it stands in a word, where it is a mark, where it tells one thing from another.
_WORD = bytes(_is_word(byte) for byte in range(256))
_MARK = bytes(ord(" ") < byte < 0x7F and not _is_word(byte) for byte in range(256))
_TELLING = bytes(chr(byte) in "0123456789_" for byte in range(256))
