"""Read data sets in Hugging Face form with the `datasets` library from local files.

Files are JSON, JSON Lines or Parquet, and CSV or TSV, whose rows `table_rows` reads: a cell is what a
publisher wrote, and a row of the wrong length is a failure. The catalog row's `mapping` (`columns.Mapping`)
gives the meaning of the columns, so that another data set needs only a row. The hub is never contacted, and
the library's cache is a folder below `home` that is removed after the file. A file that the library refuses
because of one row (broken, or of another type) is read row by row.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.table_rows import Row, read_rows
from securetag.extractors.readers.tabular import TabularReader
from securetag.settings import get_settings

if TYPE_CHECKING:
    from datasets import Dataset


class HfReader(TabularReader):
    """Reads any data set whose files are local."""

    def rows(self, file: FetchedFile) -> Iterator[tuple[str, Row | Failure]]:
        if not _is_json_or_parquet(file.path):
            for number, (_, row) in enumerate(read_rows(file.path)):
                yield f"/{number}", row
            return
        home = get_settings().home
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="datasets-", dir=home) as cache:
            try:
                loaded = load_dataset(file.path, Path(cache))
            except Exception as error:  # a schema that doesn't hold for every row, above all
                if _is_parquet(file.path):
                    raise
                yield from _read_row_by_row(file.path, error)
                return
            for number, row in enumerate(loaded):
                yield f"/{number}", row


def _read_row_by_row(path: Path, error: Exception) -> Iterator[tuple[str, Row | Failure]]:
    count = 0
    for locator, row in read_rows(path):
        count += 1
        yield locator, row
    if not count:
        raise error


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def _is_json_or_parquet(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(1 << 10).removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] in (b"[", b"{") or start.startswith(b"PAR1")


def load_dataset(path: Path, cache: Path) -> Dataset:
    """Return a `datasets.Dataset` of one local JSON or Parquet file, with its cache in `cache`.

    Raises what the library raises.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets  # 1.5 CPU-seconds, so only when a data set is read

    datasets.disable_progress_bars()
    options = {"cache_dir": str(cache), "keep_in_memory": False}
    if _is_parquet(path):
        return datasets.Dataset.from_parquet(str(path), **options)
    return datasets.Dataset.from_json(str(path), **options)
