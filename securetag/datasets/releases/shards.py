"""The rows of a release as Parquet, beside the JSONL that they are made of.

`<split>-00000-of-00002.parquet`, in the order and with the types of the JSONL: what reads columns
(pandas, polars, duckdb, a viewer of the hub) need not parse text. The files are outside the digest, since
their bytes depend on the library's version, and inside the manifest's seal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

import msgspec

from securetag.datasets.releases.features import make_arrow_schema
from securetag.records import JsonObject

#: Bytes of JSONL in one shard; Parquet is smaller than the JSONL, so a shard stays below 500 MB.
MAX_SHARD_BYTES = 450_000_000
#: Rows of one row group, which are in memory together: some 50 MB.
ROWS_A_GROUP = 10_000


def write_shards(release: Path, split: str, max_bytes: int = MAX_SHARD_BYTES) -> list[Path]:
    """Write the shards of `<release>/<split>.jsonl` and return their paths; none for a split without rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = (release / f"{split}.jsonl").stat().st_size
    number = math.ceil(size / max_bytes)
    schema, paths = make_arrow_schema(), []
    for shard, rows in groupby(
        _read_rows(release / f"{split}.jsonl", number, size), key=lambda pair: pair[0]
    ):
        path = release / f"{split}-{shard:05}-of-{number:05}.parquet"
        paths.append(path)
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while group := [row for _, row in islice(rows, ROWS_A_GROUP)]:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
    return paths


def _read_rows(path: Path, number: int, size: int) -> Iterator[tuple[int, JsonObject]]:
    """Yield each row with the number of its shard, of `number` shards of about equal size."""
    start = 0
    with path.open("rb") as lines:
        for line in lines:
            yield start * number // size, msgspec.json.decode(line)
            start += len(line)
