"""What changed between two releases, by source, label, split and reason, with ids."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from securetag.datasets.drops import Drop
from securetag.datasets.releases.diff import Change, Count, diff_releases
from securetag.datasets.splitting.groups import Split
from securetag.errors import ReleaseError
from securetag.records import Example, Label, Message, Task
from tests.plugins.small_release import write_small


def row(number: int, split: Split = "train", label: Label | None = None, source: str = "s") -> Example:
    example = Example.of(
        task=Task.TRIAGE,
        messages=[Message("user", f"q{number}"), Message("assistant", "a")],
        lang="en",
        licence="MIT",
        group="g",
        origin="template",
        origins=[],
        source=source,
        label=label,
    )
    return msgspec.structs.replace(example, split=split)


def write(folder: Path, rows: list[Example], *drops: Drop, **params: int) -> Path:
    dropped = {drop.reason: drop.n for drop in drops}
    path, _ = write_small(folder, rows, drops, params=params, counts={"dropped": dropped})
    return path


def test_every_change_is_listed_with_its_rows(tmp_path: Path) -> None:
    stays, moves, turns, goes, unmade, comes = (row(n) for n in range(6))
    turns = row(2, label="true_positive")
    first = write(
        tmp_path, [stays, moves, turns, goes, unmade], Drop(reason="too short", source="s", n=4), seed=1
    )
    second = write(
        tmp_path,
        [stays, row(1, "test"), row(2, label="false_positive"), row(5, source="t", label="true_positive")],
        Drop(reason="review_rejected", source="s", id=goes.id),
        seed=2,
    )
    diff = diff_releases(first, second)
    assert (diff.params, diff.inputs) == ({"seed": [1, 2]}, {})
    assert diff.rows == {"train": [5, 3], "validation": [0, 0], "test": [0, 1]}
    assert diff.added == [comes.id]
    assert diff.removed == {"not built": [unmade.id], "review_rejected": [goes.id]}
    assert diff.moved == [Change(id=moves.id, before="train", after="test")]
    assert diff.relabelled == [Change(id=turns.id, before="true_positive", after="false_positive")]
    assert diff.by_source == {"s": Count(removed=2), "t": Count(added=1)}
    assert diff.by_label == {"none": Count(removed=2), "true_positive": Count(added=1)}
    assert diff.by_reason == {"review_rejected": [0, 1], "too short": [4, 0]}


def test_a_release_has_no_difference_from_itself(tmp_path: Path) -> None:
    path = write(tmp_path, [row(1), row(2, "test")])
    diff = diff_releases(path, path)
    assert not any([diff.added, diff.removed, diff.moved, diff.relabelled, diff.by_source, diff.by_reason])


def test_a_modified_release_is_not_compared(tmp_path: Path) -> None:
    path = write(tmp_path, [row(1)])
    (path / "train.jsonl").chmod(0o644)
    (path / "train.jsonl").write_bytes(b"")
    with pytest.raises(ReleaseError):
        diff_releases(path, path)
