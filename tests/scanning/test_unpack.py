"""Hostile archives: each is refused with its reason, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securetag.errors import ArchiveError
from securetag.scanning.unpack import Limits, inspect, unpack
from securetag.wire.queue import SkipReason

LIMITS = Limits(max_files=50, max_unpacked=8 << 20, max_ratio=100)


def packed(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as bundle:
        for name, content in entries.items():
            bundle.writestr(name, content)
    return out.getvalue()


def with_mode(name: str, mode: int, content: bytes = b"/etc/passwd") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        bundle.writestr(info, content)
    return out.getvalue()


def twice() -> bytes:
    return packed({"a.py": b"1", "b.py": b"2"}).replace(b"b.py", b"a.py")


def encrypted() -> bytes:
    """A flag in the headers is all that an encrypted entry shows before its content is read."""
    data = bytearray(packed({"a.py": b"x = 1"}, zipfile.ZIP_STORED))
    local, central = data.find(b"PK\x03\x04"), data.find(b"PK\x01\x02")
    data[local + 6] |= 1
    data[central + 8] |= 1
    return bytes(data)


def lying_bomb() -> bytes:
    """Two declared bytes, and five megabytes behind them."""
    data = bytearray(packed({"a.py": bytes(5 << 20)}))
    central = data.find(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 2)
    struct.pack_into("<I", data, data.find(b"PK\x03\x04") + 22, 2)
    return bytes(data)


def far_offset() -> bytes:
    """The directory's own offset, moved so that the entry's lies before the file's first byte."""
    data = bytearray(packed({"a.py": b"x"}))
    end = data.find(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 16, struct.unpack_from("<I", data, end + 16)[0] + 40)
    return bytes(data)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no zip": (lambda: b"hello", "not a zip"),
    "empty file": (lambda: b"", "not a zip"),
    "cut": (lambda: packed({"a.py": b"x"})[:-30], "damaged"),
    "no files": (lambda: packed({}), "no files"),
    "only git": (lambda: packed({".git/config": b"x"}), "no files"),
    "parent": (lambda: packed({"a/../../b.py": b""}), "leaves"),
    "windows parent": (lambda: packed({"a\\..\\..\\b.py": b""}), "leaves"),
    "absolute": (lambda: packed({"/etc/cron.d/x": b""}), "absolute"),
    "backslash root": (lambda: packed({"\\\\host\\x": b""}), "absolute"),
    "drive": (lambda: packed({"C:\\x.py": b""}), "absolute"),
    "newline": (lambda: packed({"a\nb.py": b""}), "control character"),
    "nul": (lambda: packed({"abc.py": b""}).replace(b"abc.py", b"a\x00c.py"), "control character"),
    "symlink": (lambda: with_mode("link", stat.S_IFLNK | 0o777), "symbolic link"),
    "fifo": (lambda: with_mode("pipe", stat.S_IFIFO | 0o600), "neither a file nor a folder"),
    "device": (lambda: with_mode("disk", stat.S_IFBLK | 0o600), "neither a file nor a folder"),
    "duplicate": (twice, "twice"),
    "unicode duplicate": (lambda: packed({"\u00e9.py": b"", "e\u0301.py": b""}), "twice"),
    "dotted duplicate": (lambda: packed({"a.py": b"", "./a.py": b""}), "twice"),
    "file and folder": (lambda: packed({"a": b"", "a/b.py": b""}), "both a file and a folder"),
    "encrypted": (encrypted, "encrypted"),
    "lzma": (lambda: packed({"a.py": b"x"}, zipfile.ZIP_LZMA), "method 14"),
    "ratio": (lambda: packed({"a.py": bytes(4 << 20)}), "100 times"),
    "total": (lambda: packed({f"{n}.bin": os.urandom(1 << 20) for n in range(9)}), "8,388,608 bytes"),
    "many": (lambda: packed({f"{n}.py": b"" for n in range(51)}), "more than 50 files"),
    "very many": (lambda: packed({f"{n}.py": b"" for n in range(500)}), "more than 50 files"),
    "long name": (lambda: packed({"a/" * 200 + "b": b""}), "too long"),
    "long part": (lambda: packed({"é" * 128: b""}), "too long"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_reason_and_nothing_left(case: str, tmp_path: Path) -> None:
    build, reason = REFUSED[case]
    archive = tmp_path / "a.zip"
    archive.write_bytes(build())
    with pytest.raises(ArchiveError, match=reason) as caught:
        inspect(archive, LIMITS)
    assert caught.value.hint
    with pytest.raises(ArchiveError, match=reason):
        unpack(archive, tmp_path / "out", LIMITS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_one_odd_file_is_left_out_and_reported_and_the_others_are_unpacked(tmp_path: Path) -> None:
    odd: dict[str, tuple[zipfile.ZipInfo | str, bytes, SkipReason]] = {
        "newline": ("a\nb.py", b"x", SkipReason.NAME),
        "long name": ("a/" * 200 + "b", b"x", SkipReason.NAME),
        "long part": ("é" * 128, b"x", SkipReason.NAME),
        "sparse": ("disk.img", bytes(4 << 20), SkipReason.EXPANDS),
        "weights": ("model.safetensors", os.urandom(6 << 20), SkipReason.TOO_LARGE),
    }
    for name, mode, reason in (
        ("link", stat.S_IFLNK | 0o777, SkipReason.LINK),
        ("pipe", stat.S_IFIFO | 0o600, SkipReason.SPECIAL),
        ("disk", stat.S_IFBLK | 0o600, SkipReason.SPECIAL),
    ):
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        odd[name] = (info, b"/etc/passwd", reason)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for entry, content, _ in odd.values():
            bundle.writestr(entry, content)
        bundle.writestr("src/app.py", b"x = 1\n")
    limits = replace(LIMITS, max_file=5 << 20)
    seen = inspect(archive, limits)
    assert unpack(archive, tmp_path / "out", limits) == seen
    assert [file.reason for file in seen.left_out] == [reason for _, _, reason in odd.values()]
    assert seen.left_out[0].path == ascii("a\nb.py")
    assert (seen.files, seen.bytes) == (1, 6)
    assert [path.name for path in (tmp_path / "out").rglob("*.py")] == ["app.py"]


@pytest.mark.parametrize(
    "build",
    [pytest.param(lying_bomb, id="understated size"), pytest.param(far_offset, id="offset before the file")],
)
def test_lies_in_the_headers_are_found_while_writing(build: Callable[[], bytes], tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(build())
    inspect(archive, LIMITS)
    with pytest.raises(ArchiveError, match="damaged"):
        unpack(archive, tmp_path / "out", LIMITS)
    assert not (tmp_path / "out").exists()


def test_modes_are_ours_and_git_stays_out(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, mode in {"src/run.sh": 0o4777, ".git/config": 0o600, "sub/.GIT/hooks/x": 0o755}.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | mode) << 16
            bundle.writestr(info, b"#!/bin/sh\n")
        bundle.writestr("inner.zip", packed({"../x": b""}))
    archive.write_bytes(out.getvalue())
    seen = inspect(archive, LIMITS)
    written = unpack(archive, tmp_path / "out", LIMITS)
    assert written == seen
    assert (written.files, written.skipped) == (2, 2)
    assert stat.S_IMODE((tmp_path / "out/src/run.sh").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "out/src").stat().st_mode) == 0o700
    assert not (tmp_path / "out/.git").exists()
    assert (tmp_path / "out/inner.zip").is_file()


def test_only_into_an_empty_folder(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(packed({"a.py": b"x"}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("kept")
    with pytest.raises(ValueError, match="not empty"):
        unpack(archive, tmp_path / "out", LIMITS)
    assert (tmp_path / "out/mine").read_text() == "kept"


NAMES = st.lists(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=8)
    | st.sampled_from(["..", ".", "C:", "\\", "a", "A", ".git"]),
    min_size=1,
    max_size=4,
).map("/".join)


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.dictionaries(NAMES, st.binary(max_size=40), max_size=5))
def test_whatever_the_names_nothing_lands_outside(
    entries: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("zip")
    archive = folder / "a.zip"
    archive.write_bytes(packed(entries))
    try:
        summary = unpack(archive, folder / "out", LIMITS)
    except ArchiveError:
        assert sorted(path.name for path in folder.iterdir()) == ["a.zip"]
        return
    assert inspect(archive, LIMITS) == summary
    assert sorted(path.name for path in folder.iterdir()) == ["a.zip", "out"]
    files = [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert len(files) == summary.files
    assert sum(path.stat().st_size for path in files) == summary.bytes


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_harmless(
    place: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(packed({"src/a.py": b"print(1)\n" * 9, "b.txt": b"text", "c/": b""}))
    data[place % len(data)] = value
    folder = tmp_path_factory.mktemp("zip")
    (folder / "a.zip").write_bytes(data)
    try:
        unpack(folder / "a.zip", folder / "out", LIMITS)
    except ArchiveError:
        assert not (folder / "out").exists()
    assert {path.name for path in folder.iterdir()} <= {"a.zip", "out"}
