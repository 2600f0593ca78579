"""A release directory is whole, unchanged and itself, or it is refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from securetag.datasets import release
from securetag.datasets.build import ReleaseSummary
from securetag.datasets.filters import Drop
from securetag.datasets.release import Manifest
from securetag.errors import NotFoundError, ReleaseError
from securetag.records import Example, Message, Origin, Task

COUNTS: dict[str, dict[str, int]] = {"splits": {}}


def example(number: int = 1, split: Any = "train") -> Example:
    found = Example.of(
        task=Task.QA,
        messages=[Message("user", f"q{number}"), Message("assistant", "a")],
        lang="en",
        licence="MIT",
        group=f"g{number}",
        origin="analyst",
        origins=[
            Origin(record_id=f"r{number}", finding_id="finding", tenant_id="tenant-x", consent_id="consent")
        ],
        source="s",
    )
    return msgspec.structs.replace(found, split=split)


def write(folder: Path, rows: list[Example] | None = None, **changes: Any) -> tuple[Path, Manifest]:
    return release.write(
        [example(1), example(2, "test")] if rows is None else rows,
        [Drop(reason="too long", source="s", id="x")],
        params=changes.get("params", {"seed": 1}),
        inputs=changes.get("inputs", {"records": {}}),
        counts=COUNTS,
        sources=[],
        card=lambda manifest: f"# {manifest.digest}\n",
        releases_dir=folder,
        code_version="1",
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path, manifest = write(tmp_path)
    found = release.read(path)
    assert path.name == manifest.digest[:12]
    assert [row.messages[0].content for row in found.train + found.test] == ["q1", "q2"]
    assert found.validation == []
    assert sorted(file.name for file in path.iterdir()) == [
        "README.md",
        "dropped.parquet",
        "lineage.parquet",
        "manifest.json",
        "test.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]


def test_no_database_id_is_trained_on_and_lineage_keeps_them(tmp_path: Path) -> None:
    path, _ = write(tmp_path)
    for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "manifest.json", "README.md"):
        assert b"tenant-x" not in (path / name).read_bytes()
    lineage = pq.read_table(path / "lineage.parquet").to_pylist()
    assert {row["tenant_id"] for row in lineage} == {"tenant-x"}
    assert {row["record_id"] for row in lineage} == {"r1", "r2"}
    assert pq.read_table(path / "dropped.parquet").to_pylist()[0]["reason"] == "too long"


def test_the_digest_follows_rows_params_and_inputs_alone(tmp_path: Path) -> None:
    _, first = write(tmp_path / "a")
    _, again = write(tmp_path / "elsewhere" / "b", [example(2, "test"), example(1)])
    assert again.digest == first.digest
    others = [
        write(tmp_path, [example(1)])[1],
        write(tmp_path, params={"seed": 2})[1],
        write(tmp_path, inputs={"records": {"s": "x"}})[1],
        write(tmp_path, [example(1), example(2, "validation")])[1],
    ]
    assert len({first.digest, *(manifest.digest for manifest in others)}) == 5


def test_the_same_release_again_is_the_same_folder(tmp_path: Path) -> None:
    path, _ = write(tmp_path)
    before = (path / "train.jsonl").stat().st_ino
    assert write(tmp_path)[0] == path
    assert (path / "train.jsonl").stat().st_ino == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["train.jsonl", "validation.jsonl", "test.jsonl"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    path, _ = write(tmp_path)
    (path / name).chmod(0o644)
    (path / name).write_bytes((path / name).read_bytes() + b"\n")
    with pytest.raises(ReleaseError, match=f"{name} was changed"):
        release.read(path)
    with pytest.raises(ReleaseError, match="was changed"):
        write(tmp_path)


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    path, _ = write(tmp_path)
    (path / name).unlink()
    with pytest.raises(ReleaseError, match="can't be read"):
        release.verify(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"seed": 1', b'"seed": 2', "manifest was changed"),
        (b'"schema": 1', b'"schema": 9', "schema 9"),
        (b'"digest"', b'"dogest"', "can't be read"),
        (b"{", b"", "can't be read"),
        (b"validation.jsonl", b"../../etc/passwd", "three files"),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    path, _ = write(tmp_path)
    manifest = path / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(old, new, 1))
    with pytest.raises(ReleaseError, match=why):
        release.verify(path)


def test_a_renamed_release_is_refused_and_none_is_not_found(tmp_path: Path) -> None:
    path, _ = write(tmp_path)
    other = shutil.copytree(path, tmp_path / "0123456789ab")
    with pytest.raises(ReleaseError, match="under another name"):
        release.verify(Path(other))
    with pytest.raises(NotFoundError):
        release.read(tmp_path / "nothing")


def test_a_killed_build_leaves_nothing_that_looks_like_a_release(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom securetag.datasets import release\n"
        "def card(manifest):\n    print('writing', flush=True)\n    time.sleep(60)\n    return ''\n"
        "release.write([], [], params={}, inputs={}, counts={}, sources=[], card=card,"
        " releases_dir=Path(sys.argv[1]), code_version='1')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = list(tmp_path.iterdir())
    assert [folder.name.startswith(".draft-") for folder in left] == [True]
    with pytest.raises(ReleaseError):
        release.verify(left[0])
    path, _ = write(tmp_path)  # the next build sweeps the draft
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_of_a_living_build_is_left_alone(tmp_path: Path) -> None:
    draft = tmp_path / f".draft-{os.getpid()}-x"
    draft.mkdir()
    write(tmp_path)
    assert draft.is_dir()


def test_the_built_release_is_read_only(built: ReleaseSummary) -> None:
    assert all(file.stat().st_mode & 0o222 == 0 for file in Path(built.path).iterdir())
