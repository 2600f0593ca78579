"""Bytes by key: whole or not at all, and never outside the root."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.errors import InputError, LimitError, NotFoundError
from securetag.storage import Storage, storage_for
from securetag.system import extras
from securetag.system.files import make_private_folder


def test_what_was_put_comes_back_with_its_digest(tmp_path: Path) -> None:
    storage = storage_for(tmp_path.as_uri())
    digest, size = storage.put("uploads/a/b.zip", [b"ab", b"c"], limit=10)
    assert (digest, size) == (hashlib.sha256(b"abc").hexdigest(), 3)
    assert b"".join(storage.chunks("uploads/a/b.zip")) == b"abc"


def test_too_much_leaves_nothing(tmp_path: Path) -> None:
    storage = storage_for(str(tmp_path))
    with pytest.raises(LimitError):
        storage.put("a", [b"x" * 6, b"x" * 6], limit=10)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_source_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        storage_for(str(tmp_path)).put("a", broken(), limit=10)
    assert list(tmp_path.iterdir()) == []


def test_what_is_put_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        root = tmp_path / "new" / "root"
        storage_for(root.as_uri()).put("uploads/a/b.zip", [b"code"], limit=10)
        make_private_folder(tmp_path / "run" / "incoming")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes.pop("b.zip") == 0o600
    assert {name: mode for name, mode in modes.items() if name != "run"} == dict.fromkeys(
        ("new", "root", "uploads", "a", "incoming"), 0o700
    )


def test_a_folder_that_others_could_enter_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    folder.chmod(0o755)
    make_private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a\\b", "a\x00", "ä", ".."]
)
def test_a_key_cannot_leave_the_root(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError):
        storage_for(str(tmp_path)).put(key, [b"x"], limit=10)


def test_missing_is_said_before_the_first_byte(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Storage(str(tmp_path)).chunks("nothing")


@given(st.text(max_size=40))
def test_any_key_is_refused_or_stays_inside(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    root = tmp_path_factory.getbasetemp() / "storage-root" / "inside"
    root.mkdir(parents=True, exist_ok=True)
    try:
        Storage(str(root)).put(key, [b"x"], limit=1)
    except (InputError, OSError):
        return
    assert [p.name for p in root.parent.iterdir()] == ["inside"]


def test_a_bucket_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "s3fs" else find(name))
    with pytest.raises(ModuleNotFoundError) as missing:
        storage_for("s3://bucket/folder")
    assert extras.explain_package(missing.value) == (
        "the package s3fs is not installed",
        "pip install 'securetag[s3]'",
    )
