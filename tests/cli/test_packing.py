"""What `securetag scan` sends of a folder, and what it leaves out with a reason."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from securetag.api.receive import MAX_FIELD
from securetag.cli.scan.packing import DATA_BYTES, MAX_FILE, pack
from securetag.errors import InputError
from securetag.scanning.unpack import Limits, inspect
from securetag.wire.api import ScanParams
from securetag.wire.queue import SkipReason


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def test_one_odd_file_is_left_out_with_its_reason_and_the_rest_is_packed(tmp_path: Path) -> None:
    root = tmp_path / "project"
    long = "/".join(["d" * 99] * 4) + "/a.py"
    write(
        root,
        {
            "app.py": b"x = 1\n",
            "line\nbreak.py": b"x",
            long: b"x",
            "logo.png": b"\0" * (DATA_BYTES + 1),
            "small.png": b"\0",
            "node_modules/x/index.js": b"x",
            "docs/conf.py": b"x",
        },
    )
    (root / os.fsdecode(b"caf\xe9.py")).write_bytes(b"x")
    (root / "link.py").symlink_to("app.py")
    os.mkfifo(root / "pipe")
    with (root / "model.safetensors").open("wb") as weights:
        weights.truncate(200 * MAX_FILE)  # sparse: it takes no place here, and would fill the archive
    archive = tmp_path / "a.zip"
    packed = pack(root, archive, exclude=["docs/"])
    with zipfile.ZipFile(archive) as bundle:
        assert bundle.namelist() == ["app.py", "small.png"]
    assert {item["path"]: item["reason"] for item in packed.left_out} == {
        "caf\\udce9.py": "name",
        long: "name",
        "docs/conf.py": "excluded",
        "line\\nbreak.py": "name",
        "link.py": "link",
        "logo.png": "data",
        "model.safetensors": "too_large",
        "node_modules": "folder",
        "pipe": "special",
    }
    assert packed.count_by_reason()[SkipReason.NAME] == 3
    assert "3 files with a name that can't be uploaded" in packed.describe()
    assert "1 files over 20 MB (model.safetensors)" in packed.describe()
    assert inspect(archive, Limits(100, 1 << 20, 100)).left_out == ()
    # Those first that may hold code; all of them as the coverage states them.
    assert [(file.path, file.reason) for file in packed.named][:2] == [
        ("model.safetensors", SkipReason.TOO_LARGE),
        ("caf\\udce9.py", SkipReason.NAME),
    ]
    assert packed.named[0].bytes == 200 * MAX_FILE
    assert Counter(file.reason for file in packed.named) == packed.count_by_reason()
    assert len(ScanParams(not_uploaded_files=packed.named).model_dump_json()) < MAX_FIELD


def test_what_may_hold_code_is_named_before_a_thousand_other_files(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(root, {f"dist/{number:04}.whl": b"PK" for number in range(1_000)} | {"a.py": b"x"})
    with (root / "large.py").open("wb") as large:
        large.truncate(MAX_FILE + 1)
    packed = pack(root, tmp_path / "a.zip")
    assert (len(packed.named), packed.named[0].path) == (200, "large.py")
    assert packed.count_by_reason() == {SkipReason.FOLDER: 1_000, SkipReason.TOO_LARGE: 1}


def test_builds_that_hold_sources_are_packed_and_what_was_generated_is_not(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write(
        root,
        {
            "build/tasks.py": b"x = 1\n",
            "web/dist/page.html": b"<p>\n",
            "web/dist/bundle.js": b"var a=1;" * 1_000,
            "web/dist/style.css": b"p {}\n",
            "dist/app-1.0.whl": b"PK",
        },
    )
    packed = pack(root, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        assert bundle.namelist() == ["build/tasks.py", "web/dist/page.html"]
    assert packed.left_out_by_reason == {"build": 2, "minified": 1}
    assert packed.count_by_reason() == {SkipReason.FOLDER: 2, SkipReason.MINIFIED: 1}


def test_a_folder_of_which_everything_is_excluded_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    with pytest.raises(InputError, match="no files to scan; left out: 1 excluded files"):
        pack(tmp_path, tmp_path.parent / "a.zip", exclude=["*"])
