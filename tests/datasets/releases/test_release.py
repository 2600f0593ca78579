"""A release directory is complete and unchanged, or it is refused."""

from __future__ import annotations

import itertools
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securetag.datasets.build import ReleaseSummary
from securetag.datasets.drops import Drop, DropReason
from securetag.datasets.releases import lineage, release
from securetag.datasets.releases.manifest import Manifest
from securetag.datasets.splitting.groups import Split
from securetag.errors import NotFoundError, ReleaseError
from securetag.records import Example, Message, Origin, Task
from securetag.system.files import draft_folder
from securetag.system.hashing import hash_bytes
from tests.plugins.small_release import write_small

COUNTS: dict[str, dict[str, int]] = {"splits": {}}


def example(number: int = 1, split: Split = "train") -> Example:
    made = Example.of(
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
    return msgspec.structs.replace(made, split=split)


def write(folder: Path, rows: list[Example] | None = None, **changes: Any) -> tuple[Path, Manifest]:
    return write_small(
        folder,
        [example(1), example(2, "test")] if rows is None else rows,
        [Drop(reason=DropReason.RECORD_LANGUAGE, source="s", id="x", detail="de")],
        params=changes.get("params", {"seed": 1}),
        inputs=changes.get("inputs", {"records": {}}),
        counts=COUNTS,
        card=lambda manifest: f"# {manifest.digest}\n",
    )


def test_a_written_release_is_read_back(tmp_path: Path) -> None:
    path, manifest = write(tmp_path)
    rows = release.read_release(path)
    assert path.name == manifest.digest[:12]
    assert [row.messages[0].content for row in rows.train + rows.test] == ["q1", "q2"]
    assert rows.validation == []
    assert sorted(file.name for file in path.iterdir()) == [
        "NOTICE",
        "README.md",
        "bom.cdx.json",
        "croissant.json",
        "dropped.parquet",
        "lineage.parquet",
        "manifest.json",
        "test-00000-of-00001.parquet",
        "test.jsonl",
        "train-00000-of-00001.parquet",
        "train.jsonl",
        "validation.jsonl",
    ]


def test_database_ids_are_in_lineage_only(tmp_path: Path) -> None:
    path, _ = write(tmp_path)
    for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "manifest.json", "README.md"):
        assert b"tenant-x" not in (path / name).read_bytes()
    lineage = pq.read_table(path / "lineage.parquet").to_pylist()
    assert {row["tenant_id"] for row in lineage} == {"tenant-x"}
    assert {row["record_id"] for row in lineage} == {"r1", "r2"}
    assert pq.read_table(path / "dropped.parquet").to_pylist() == [
        {
            "reason": "record_language",
            "source": "s",
            "task": "",
            "id": "x",
            "against": "",
            "detail": "de",
            "n": 1,
        }
    ]


def test_the_digest_depends_on_rows_params_and_inputs_only(tmp_path: Path) -> None:
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
        release.read_release(path)
    with pytest.raises(ReleaseError, match="was changed"):
        write(tmp_path)


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    path, _ = write(tmp_path)
    (path / name).unlink()
    with pytest.raises(ReleaseError, match="can't be read"):
        release.verify_release(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        pytest.param(b'"seed": 1', b'"seed": 2', "manifest was changed", id="other seed"),
        pytest.param(b'"schema": 2', b'"schema": 9', "schema 9", id="other schema"),
        pytest.param(b'"splits"', b'"spills"', "manifest was changed", id="misspelled key"),
        pytest.param(
            b'"code_version": "1"', b'"code_version": "2"', "manifest was changed", id="other code version"
        ),
        pytest.param(b"README.md", b"../README", "manifest was changed", id="path outside the folder"),
        pytest.param(b'"digest"', b'"dogest"', "can't be read", id="misspelled digest"),
        pytest.param(b'"seal"', b'"sail"', "can't be read", id="misspelled seal"),
        pytest.param(b"{", b"", "can't be read", id="not JSON"),
        pytest.param(b"validation.jsonl", b"../../etc/passwd", "three files", id="path in place of a split"),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    path, _ = write(tmp_path)
    manifest = path / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(old, new, 1))
    with pytest.raises(ReleaseError, match=why):
        release.verify_release(path)


def test_a_renamed_release_is_refused_and_a_missing_one_is_not_found(tmp_path: Path) -> None:
    path, _ = write(tmp_path)
    other = shutil.copytree(path, tmp_path / "0123456789ab")
    with pytest.raises(ReleaseError, match="under another name"):
        release.verify_release(Path(other))
    with pytest.raises(NotFoundError):
        release.read_release(tmp_path / "nothing")


def test_a_draft_of_a_running_build_is_kept(tmp_path: Path) -> None:
    with draft_folder(tmp_path) as draft:
        write(tmp_path)
        assert draft.path.is_dir()
    assert not draft.path.exists()


def test_a_release_stays_valid_while_another_build_adds_its_lineage(tmp_path: Path) -> None:
    path, _ = write(tmp_path)

    enough = threading.Event()

    def add_lineages() -> None:
        for number in itertools.count():
            content = str(number).encode()
            written = tmp_path / "lineage"
            written.write_bytes(content)
            written.rename(path / lineage.addition_name(hash_bytes(content)))
            if enough.is_set() and number > 20:
                return

    adding = threading.Thread(target=add_lineages)
    adding.start()
    try:
        for _ in range(5):
            release.verify_release(path)
    finally:
        enough.set()
        adding.join()


def test_a_build_under_other_consents_adds_its_lineage_and_changes_nothing(tmp_path: Path) -> None:
    path, manifest = write(tmp_path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    origin = Origin(record_id="r1", finding_id="finding", tenant_id="tenant-x", consent_id="later")
    renewed = [msgspec.structs.replace(example(1), origins=[origin]), example(2, "test")]
    for _ in range(2):
        assert write(tmp_path, renewed)[1].digest == manifest.digest
    (added,) = lineage.list_additions(path)
    assert {file.name: file.read_bytes() for file in path.iterdir() if file != added} == before
    release.verify_release(path)
    assert {row["consent_id"] for row in lineage.read_lineage(path).to_pylist()} == {"consent", "later"}
    added.chmod(0o644)
    added.write_bytes(added.read_bytes()[:-1])
    with pytest.raises(ReleaseError, match="was changed"):
        release.verify_release(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_changed_byte_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    """A flipped, removed or added byte of any file is refused, or is JSON white space."""
    folder = tmp_path / "releases"
    path, manifest = write(folder) if not folder.exists() else (next(folder.glob("*[0-9a-f]")), None)
    manifest = manifest or release.read_manifest(path)
    file = data.draw(st.sampled_from(sorted(path.iterdir())))
    content = file.read_bytes()
    how = data.draw(st.sampled_from(["flip", "cut", "add"]))
    if how == "flip" and content:
        place = data.draw(st.integers(0, len(content) - 1))
        bad = (
            content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
        )
    else:
        bad = content[: data.draw(st.integers(0, len(content)))] if how == "cut" else content + b"\n"
    file.chmod(0o644)
    file.write_bytes(bad)
    try:
        verified_manifest = release.verify_release(path)
    except ReleaseError:
        verified_manifest = None
    finally:
        file.write_bytes(content)
    if verified_manifest is None:
        assert bad != content
    else:
        assert verified_manifest == manifest
        assert bad == content or file.name == "manifest.json"


@pytest.mark.parametrize("name", ["extra.jsonl", "train.jsonl.bak", "pictures/one.png"])
def test_an_extra_file_is_refused(tmp_path: Path, name: str) -> None:
    path, _ = write(tmp_path)
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_bytes(b"{}")
    with pytest.raises(ReleaseError, match="doesn't belong"):
        release.verify_release(path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty file"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"schema": 2}', id="only the schema"),
        pytest.param(b'{"schema": "2"}', id="schema as text"),
        pytest.param(b'{"schema":2,"params":' + b"[" * 100_000, id="deep nesting"),
        pytest.param(b'{"schema": 2, "params": {"n": 1e999}}', id="infinite number"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
    ],
)
def test_a_hostile_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    path, _ = write(tmp_path)
    (path / "manifest.json").chmod(0o644)
    (path / "manifest.json").write_bytes(content)
    for call in (release.verify_release, release.read_release):
        with pytest.raises(ReleaseError, match=r"can't be read|was changed|schema"):
            call(path)


def test_a_number_that_no_canonical_json_can_hold_is_refused(tmp_path: Path) -> None:
    path, manifest = write(tmp_path)
    huge = msgspec.structs.replace(manifest, params={"seed": 2**70})
    (path / "manifest.json").chmod(0o644)
    (path / "manifest.json").write_bytes(msgspec.json.encode(huge))
    with pytest.raises(ReleaseError, match="changed"):
        release.verify_release(path)


@pytest.mark.parametrize("existing", ["empty folder", "half a copy", "a file"])
def test_an_existing_folder_is_replaced_only_if_empty(tmp_path: Path, existing: str) -> None:
    path, manifest = write(tmp_path)
    train = (path / "train.jsonl").read_bytes()
    shutil.rmtree(path)
    if existing == "a file":
        path.write_bytes(b"x")
    else:
        path.mkdir()
        if existing == "half a copy":
            (path / "train.jsonl").write_bytes(train)
    if existing == "empty folder":
        assert write(tmp_path)[1] == manifest
        release.verify_release(path)
    else:
        with pytest.raises(ReleaseError):
            write(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_built_release_is_read_only(built: ReleaseSummary) -> None:
    assert all(file.stat().st_mode & 0o222 == 0 for file in Path(built.path).iterdir())
