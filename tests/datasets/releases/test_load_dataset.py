"""A release is loaded with Hugging Face's `datasets`, as its users do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.releases import release
from securetag.datasets.releases.card import measure_facts, render_card
from securetag.datasets.releases.features import list_features
from securetag.datasets.releases.manifest import SPLITS
from securetag.records import Decision, Example, JsonObject, Message, Origin, Task, Teacher
from tests.plugins.small_release import write_small

pytestmark = pytest.mark.filterwarnings("ignore")
Load = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(built: ReleaseSummary) -> Path:
    return Path(built.path)


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """`datasets.load_dataset` with a separate cache."""
    import datasets

    cache = str(tmp_path_factory.mktemp("cache"))
    return lambda *args, **options: datasets.load_dataset(*args, cache_dir=cache, **options)


def as_written(folder: Path, split: str) -> list[JsonObject]:
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_bytes().splitlines()]


def test_the_release_has_columns_that_only_one_split_fills(folder: Path) -> None:
    """The precondition of the other tests."""
    assert {row["axis"] for row in as_written(folder, "train")} == {None}
    assert None not in {row["axis"] for row in as_written(folder, "test") if row["construction"]}


def test_by_folder_every_value_is_as_written(folder: Path, load: Load) -> None:
    loaded = load(str(folder))
    assert list(loaded) == ["train", "validation", "test"]
    for split, rows in loaded.items():
        assert rows.to_list() == as_written(folder, split)


@pytest.mark.parametrize("split", SPLITS)
def test_one_split(folder: Path, load: Load, split: str) -> None:
    assert load(str(folder), split=split).to_list() == as_written(folder, split)


def test_streaming(folder: Path, load: Load) -> None:
    for split, rows in load(str(folder), streaming=True).items():
        assert list(rows) == as_written(folder, split)


def test_by_data_files_of_the_folder(folder: Path, load: Load) -> None:
    loaded = load(str(folder), data_files={"fit": "train.jsonl", "held_out": "test.jsonl"})
    assert loaded["fit"].to_list() == as_written(folder, "train")
    assert loaded["held_out"].to_list() == as_written(folder, "test")


def test_by_data_files_of_the_json_reader_with_the_cards_features(folder: Path, load: Load) -> None:
    from datasets import load_dataset_builder

    files = {split: str(folder / f"{split}.jsonl") for split in SPLITS}
    features = load_dataset_builder(str(folder)).info.features
    loaded = load("json", data_files=files, features=features)
    assert {split: rows.to_list() for split, rows in loaded.items()} == {
        split: as_written(folder, split) for split in SPLITS
    }


def test_loading_leaves_the_release_as_it_was(folder: Path, load: Load) -> None:
    load(str(folder), split="train")
    release.verify_release(folder)


def test_nested_columns_have_their_types(folder: Path) -> None:
    header = yaml.safe_load((folder / "README.md").read_text("utf-8").split("---\n")[1])
    assert header["dataset_info"]["features"] == header["configs"][0]["features"] == list_features()
    columns = {column.pop("name"): column for column in list_features()}
    assert list(columns) == list(Example.__struct_fields__)
    assert columns["messages"]["list"] == [
        {"name": "role", "dtype": "string"},
        {"name": "content", "dtype": "string"},
    ]
    assert columns["origins"]["list"] == [{"name": "record_id", "dtype": "string"}]
    assert {part["name"]: part["dtype"] for part in columns["evidence"]["list"]} == {
        "role": "string",
        "first": "int64",
        "last": "int64",
    }
    assert [part["name"] for part in columns["construction"]["struct"]][:3] == [
        "source",
        "guard",
        "guard_family",
    ]


def test_columns_of_one_split_alone_and_a_split_without_rows(load: Load, tmp_path: Path) -> None:
    """Few Records give no validation rows; a teacher's rows and people's verdicts may be in test alone."""
    rows = [
        msgspec.structs.replace(
            Example.of(
                task=Task.QA,
                messages=[Message("user", f"question {number}"), Message("assistant", "2026-11-01")],
                lang="en",
                licence="MIT",
                group=f"group-{number}",
                origin="template",
                origins=[],
                source="s",
            ),
            split="test" if number > 3 else "train",
        )
        for number in range(6)
    ]
    teacher = Teacher(model_id="openai:x", prompt_version="teacher-1")
    rows[4] = msgspec.structs.replace(rows[4], teacher=teacher, origins=[Origin(record_id="r")])
    rows[5] = msgspec.structs.replace(rows[5], model_decision=Decision.NEEDS_REVIEW)
    counts = {name: {} for name in ("splits", "by_task", "by_label", "by_axis", "by_licence", "dropped")}
    folder, _ = write_small(
        tmp_path,
        rows,
        counts={**counts, "by_lang": {"en": 6}},
        card=lambda manifest: render_card(manifest, measure_facts(rows, [])),
    )
    loaded = load(str(folder))
    assert {split: part.to_list() for split, part in loaded.items()} == {
        "train": as_written(folder, "train"),
        "test": as_written(folder, "test"),
    }
