"""What somebody asks to leave out: patterns, and the ignore file of a tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.errors import InputError
from securetag.scanning.exclusion import Exclusion, read_ignore_file, remove_excluded


def test_patterns_are_those_of_git_and_each_is_counted(tmp_path: Path) -> None:
    for name in ("docs/a.py", "docs/deep/b.py", "src/app.py", "src/x.min.js", "src/keep.min.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    removed: list[tuple[str, int]] = []
    exclusion = Exclusion(["docs/", "*.min.js", "!keep.min.js", "nothing/"])
    remove_excluded(tmp_path, exclusion, lambda path, size: removed.append((path, size)))
    assert removed == [("docs/a.py", 1), ("docs/deep/b.py", 1), ("src/x.min.js", 1)]
    assert exclusion.files == {"docs/": 2, "*.min.js": 1}
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["src/app.py", "src/keep.min.js"]


def test_a_pattern_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InputError, match="an exclusion can't be read"):
        Exclusion(["!"])


def test_an_ignore_file_is_read_only_from_the_tree_itself(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("*\n")
    root = tmp_path / "root"
    root.mkdir()
    assert read_ignore_file(root) == []
    (root / ".securetagignore").symlink_to(outside)
    assert read_ignore_file(root) == []
    (root / ".securetagignore").unlink()
    (root / ".securetagignore").write_bytes(b"# words\n\ndocs/\n!\n\xff.py\n")
    assert read_ignore_file(root) == ["docs/", "\ufffd.py"]
