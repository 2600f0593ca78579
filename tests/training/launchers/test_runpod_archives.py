"""Archives that come back from a pod: what is in one is written below its folder, or nothing of it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from securetag.errors import TrainingError
from securetag.training.launchers.runpod.bundle import pack_result, unpack


def write_archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def make_member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    member.size = 1 if kind == tarfile.REGTYPE else 0
    return member


def test_a_result_comes_back_as_it_was_and_replaces_files_of_its_names(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "adapter" / "inner").mkdir(parents=True)
    (run / "adapter" / "inner" / "weights").write_bytes(bytes(range(256)))
    (run / "metrics.json").write_text("{}")
    target = tmp_path / "target"
    target.mkdir()
    (target / "metrics.json").write_text("old")
    (target / "kept").write_text("kept")
    unpack(pack_result(run, tmp_path / "result.tar"), target)
    assert (target / "adapter" / "inner" / "weights").read_bytes() == bytes(range(256))
    assert ((target / "metrics.json").read_text(), (target / "kept").read_text()) == ("{}", "kept")


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([make_member("../outside")], id="a parent"),
        pytest.param([make_member("adapter/../../outside")], id="a parent on the way"),
        pytest.param([make_member("/tmp/securetag-outside")], id="an absolute name"),
        pytest.param([make_member("link", tarfile.SYMTYPE, "/etc"), make_member("link/x")], id="a link"),
        pytest.param([make_member("a"), make_member("link", tarfile.LNKTYPE, "a")], id="a hard link"),
        pytest.param([make_member("device", tarfile.FIFOTYPE)], id="a pipe"),
    ],
)
def test_an_archive_that_leads_elsewhere_writes_nothing(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    archive = write_archive(tmp_path / "result.tar", make_member("first"), *members)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(TrainingError, match="can't be unpacked"):
        unpack(archive, target)
    assert not Path("/tmp/securetag-outside").exists()
    assert {path.name for path in tmp_path.iterdir()} - {"result.tar", "target"} == set()
    assert list(target.iterdir()) == []
