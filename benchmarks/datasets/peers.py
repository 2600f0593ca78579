"""Near-duplicate removal as the documentation of each peer shows it, over the same shingles.

All use three-word shingles, 128 slots in 16 bands of 8.
"""

from __future__ import annotations

import io
import re
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

_WORD = re.compile(r"\w+")
SLOTS, BANDS, THRESHOLD = 128, 16, 0.75


def _shingles(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [" ".join(words[place : place + 3]) for place in range(max(len(words) - 2, 1))]


def rensa(texts: Sequence[str]) -> list[int]:
    """rensa's own deduplicator. Which text a dropped one repeats is asked of its index afterwards."""
    from rensa import RMinHash, RMinHashDeduplicator

    seen = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=SLOTS, use_lsh=True, num_bands=BANDS)
    into: list[int] = []
    for start in range(0, len(texts), 1_000):
        batch = [_shingles(text) for text in texts[start : start + 1_000]]
        sketches = RMinHash.from_token_sets(batch, SLOTS, 42)
        for index, sketch in enumerate(sketches, start):
            new = seen.add(str(index), sketch)
            into.append(index if new else min(map(int, seen.get_duplicates(sketch))))
    return into


def datasketch(texts: Sequence[str]) -> list[int]:
    """The loop of datasketch's documentation: query, and insert what has no match."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=SLOTS, params=(BANDS, SLOTS // BANDS))
    into: list[int] = []
    shingled = ([shingle.encode() for shingle in _shingles(text)] for text in texts)
    for number, sketch in enumerate(MinHash.generator(shingled, num_perm=SLOTS)):
        found = index.query(sketch)
        into.append(min(found) if found else number)
        if not found:
            index.insert(number, sketch)
    return into


def datatrove(texts: Sequence[str]) -> list[int]:
    """datatrove as it comes: words of English as spaCy tells them."""
    return _datatrove(texts, "eng")


def datatrove_bare(texts: Sequence[str]) -> list[int]:
    """datatrove with words split at spaces: what it costs without its tokenizer."""
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Split(WordTokenizer):  # type: ignore[misc]
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    return _datatrove(texts, Split())


def _datatrove(texts: Sequence[str], language: Any) -> list[int]:
    """Its first three stages on one worker, with signatures and clusters on disk as it keeps them.

    The fourth only copies the documents that are left, and isn't counted against it.
    """
    from datatrove.data import Document
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from xxhash import xxh64_intdigest

    def documents(*_: Any) -> Iterator[Document]:
        for number, text in enumerate(texts):
            yield Document(text=text, id=str(number))

    config = MinhashConfig(n_grams=3, num_buckets=BANDS, hashes_per_bucket=SLOTS // BANDS)
    # Each stage adds its own log to what is standard error then.
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        at = {name: str(Path(folder) / name) for name in ("signatures", "buckets", "removed", "logs")}
        signatures = MinhashDedupSignature(at["signatures"], config, language)
        # datatrove hands text to xxhash, which takes bytes alone since 4.
        signatures._hash_func = lambda text: xxh64_intdigest(text.encode())
        stages: list[tuple[list[Any], int]] = [
            ([documents, signatures], 1),
            ([MinhashDedupBuckets(at["signatures"], at["buckets"], config=config)], BANDS),
            ([MinhashDedupCluster(at["buckets"], at["removed"], config, save_cluster_id=True)], 1),
        ]
        for number, (steps, tasks) in enumerate(stages):
            LocalPipelineExecutor(steps, tasks=tasks, workers=1, logging_dir=f"{at['logs']}/{number}").run()
        return _clusters(Path(at["removed"]), len(texts))


def _clusters(folder: Path, count: int) -> list[int]:
    """Of each document the one of its cluster that stays, from the files of datatrove's third stage."""
    gone = {number for (number,) in struct.iter_unpack("<I", (folder / "000000.remove").read_bytes())}
    members = list(struct.iter_unpack("<2I", (folder / "000000.clusters").read_bytes()))
    stays = {cluster: number for number, cluster in members if number not in gone}
    into = list(range(count))
    for number, cluster in members:
        into[number] = stays[cluster]
    return into
