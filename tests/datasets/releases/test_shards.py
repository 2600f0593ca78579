"""The Parquet of a release holds the rows of its JSONL, in order and type."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.releases import release, shards
from securetag.datasets.releases.manifest import SPLITS
from securetag.errors import ReleaseError
from securetag.records import Example, JsonObject, Message, Origin, Task


def as_written(path: Path) -> list[JsonObject]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_every_row_of_a_release(built: ReleaseSummary) -> None:
    for split in SPLITS:
        (path,) = Path(built.path).glob(f"{split}-*.parquet")
        assert path.name == f"{split}-00000-of-00001.parquet"
        assert pq.read_table(path).to_pylist() == as_written(Path(built.path) / f"{split}.jsonl")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(st.text(max_size=200), max_size=12), max_bytes=st.integers(200, 3_000))
def test_shards_hold_all_rows_in_order_within_their_size(
    tmp_path: Path, answers: list[str], max_bytes: int
) -> None:
    for old in tmp_path.glob("train*"):
        old.unlink()
    examples = [
        Example.of(
            task=Task.QA,
            messages=[Message("user", "q"), Message("assistant", answer)],
            lang="en",
            licence="MIT",
            group="g",
            origin="template",
            origins=[Origin(record_id="r")] * (number % 3),
            source="s",
        )
        for number, answer in enumerate(answers)
    ]
    lines = [msgspec.json.encode(example) + b"\n" for example in examples]
    (tmp_path / "train.jsonl").write_bytes(b"".join(lines))
    paths = shards.write_shards(tmp_path, "train", max_bytes)
    rows = [pq.read_table(path).to_pylist() for path in paths]
    assert [row for shard in rows for row in shard] == as_written(tmp_path / "train.jsonl")
    assert all(rows)
    written = iter(lines)
    for shard in rows:
        *before_last, _ = [len(next(written)) for _ in shard]
        assert sum(before_last) <= max_bytes  # the last row may reach into the next shard
    if lines:
        number = int(paths[-1].stem.rsplit("-", 1)[1])
        assert number == -(-sum(map(len, lines)) // max_bytes)


def test_a_split_without_rows_has_no_shard(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    assert shards.write_shards(tmp_path, "train") == []
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


@pytest.mark.parametrize("split", SPLITS)
def test_a_changed_shard_is_refused(built: ReleaseSummary, tmp_path: Path, split: str) -> None:
    folder = tmp_path / built.release
    folder.mkdir()
    for file in Path(built.path).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    shard = folder / f"{split}-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ReleaseError, match=rf"{split}-00000-of-00001\.parquet was changed"):
        release.verify_release(folder)
