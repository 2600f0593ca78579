"""A release is read with what people read data with: pandas, polars and duckdb, from JSONL and from Parquet.

`datasets` is in test_load_dataset.py, trainers are in tests/datasets/test_export.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.releases.manifest import SPLITS
from securetag.records import JsonObject

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore")]

Rows = list[JsonObject]


@pytest.fixture(scope="module")
def folder(built: ReleaseSummary) -> Path:
    return Path(built.path)


@pytest.fixture(scope="module")
def written(folder: Path) -> dict[str, Rows]:
    return {
        split: [json.loads(line) for line in (folder / f"{split}.jsonl").read_bytes().splitlines()]
        for split in SPLITS
    }


def simple(rows: Rows) -> list[tuple[object, ...]]:
    """Id, label, axis and messages of each row, which every reader can be compared by."""
    return [
        (row["id"], row["label"], row["axis"], [(m["role"], m["content"]) for m in row["messages"]])
        for row in rows
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_datasets_reads_the_parquet(
    folder: Path, written: dict[str, Rows], split: str, tmp_path: Path
) -> None:
    from datasets import load_dataset

    files = {split: str(folder / f"{split}-*.parquet")}
    assert (
        load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))[split].to_list() == written[split]
    )


@pytest.mark.parametrize("split", SPLITS)
def test_pandas(folder: Path, written: dict[str, Rows], split: str) -> None:
    import pandas as pd

    parquet = pd.read_parquet(folder / f"{split}-00000-of-00001.parquet")
    lines = pd.read_json(folder / f"{split}.jsonl", lines=True)
    for frame in (parquet, lines):
        assert list(frame["id"]) == [row["id"] for row in written[split]]
        assert [None if pd.isna(label) else label for label in frame["label"]] == [
            row["label"] for row in written[split]
        ]
        assert [[dict(m) for m in messages] for messages in frame["messages"]] == [
            row["messages"] for row in written[split]
        ]


@pytest.mark.parametrize("split", SPLITS)
def test_polars(folder: Path, written: dict[str, Rows], split: str) -> None:
    import polars as pl

    parquet = pl.read_parquet(folder / f"{split}-*.parquet")
    assert parquet.to_dicts() == written[split]
    lines = pl.read_ndjson(folder / f"{split}.jsonl", infer_schema_length=None)
    assert simple(lines.to_dicts()) == simple(written[split])


def test_polars_stacks_the_splits_of_the_parquet(folder: Path, written: dict[str, Rows]) -> None:
    """A column that is null in one split and a string in another has one type."""
    import polars as pl

    stacked = pl.scan_parquet([folder / f"{split}-00000-of-00001.parquet" for split in SPLITS])
    assert stacked.select("axis").collect().height == sum(map(len, written.values()))
    assert stacked.collect_schema()["axis"] == pl.String


def test_duckdb(folder: Path, written: dict[str, Rows]) -> None:
    import duckdb

    for glob, reader in (("*-of-*.parquet", "read_parquet"), ("t*.jsonl", "read_json_auto")):
        with duckdb.connect() as database:
            query = f"SELECT id, label, messages[1].role FROM {reader}('{folder}/{glob}') ORDER BY id"
            rows = database.execute(query).fetchall()
        splits = SPLITS if reader == "read_parquet" else ("train", "test")
        expected = sorted((row["id"], row["label"], "user") for split in splits for row in written[split])
        assert [(id_, label, role) for id_, label, role in rows] == [
            (id_, label, next(r["messages"][0]["role"] for s in splits for r in written[s] if r["id"] == id_))
            for id_, label, _ in expected
        ]
