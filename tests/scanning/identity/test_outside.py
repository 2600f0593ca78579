"""A function that moves to another file is compared with its only caller, which stayed behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.db.staleness import changes_between
from securetag.records import CodeIdentity
from securetag.scanning.identity.describe import CodeFile
from securetag.scanning.identity.outside import DescribedPlace, follow_outside, read_files

GO = "def go(line):\n    os.system(line)\n"
SHOW = "def show(request):\n    if request.user.is_admin:\n        go(request.args['line'])\n"
IMPORT = "from part import go\n"


def identity_of(files: dict[str, str]) -> CodeIdentity:
    """Of the call in the file that has it."""
    (path,) = [path for path, code in files.items() if "os.system" in code]
    code, sink = files[path], "os.system(line)"
    start = code.index(sink)
    file = CodeFile(code.encode(), "python")
    place = DescribedPlace(path, start, start + len(sink), file, file.describe(start, start + len(sink), ""))
    contents = [(path, code.encode()) for path, code in files.items()]
    (described,) = follow_outside([place], contents)
    return described.identity


TOGETHER = identity_of({"app.py": GO + SHOW})


def test_the_verdict_holds_where_the_caller_is_as_it_was_and_after_the_way_back() -> None:
    apart = identity_of({"part.py": GO, "app.py": IMPORT + SHOW, "other.py": "show(1)\n"})
    assert changes_between(TOGETHER, apart, is_moved=True) == []
    assert changes_between(apart, TOGETHER, is_moved=True) == []
    assert changes_between(TOGETHER, apart) == ["source", "guard"]


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"app.py": SHOW.replace("if request.user.is_admin", "if True")}, id="guard removed"),
        pytest.param({"app.py": SHOW.replace(".is_admin", "")}, id="guard weakened"),
        pytest.param({"app.py": SHOW.replace("'line'", "'other'")}, id="source changed"),
        pytest.param({"app.py": SHOW + "go(input())\n"}, id="second call"),
        pytest.param({"app.py": SHOW, "b.py": IMPORT + "go(input())\n"}, id="call in a third file"),
        pytest.param({"app.py": SHOW, "b.py": "import part\npart.go(input())\n"}, id="call by the module"),
        pytest.param({"app.py": SHOW, "b.py": "from part import go as run\nrun(input())\n"}, id="alias"),
        pytest.param({"app.py": SHOW + "handler = go\n"}, id="used as a value"),
        pytest.param({"app.py": SHOW + "def go(line): pass\n"}, id="another function of the name"),
        pytest.param({"app.py": SHOW, "part.py": GO + "go(input())\n"}, id="called in its file too"),
        pytest.param({"app.py": "import os\n"}, id="caller gone"),
    ],
)
def test_any_other_use_of_the_function_makes_it_stale(files: dict[str, str]) -> None:
    assert changes_between(TOGETHER, identity_of({"part.py": GO, **files}), is_moved=True) != []


def test_files_without_a_syntax_tree_and_links_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    for name in ("app.py", "lib/part.ts", "notes.txt"):
        (tmp_path / name).write_text("go")
    (tmp_path / "link.py").symlink_to(tmp_path / "app.py")
    assert sorted(read_files(tmp_path)) == [("app.py", b"go"), ("lib/part.ts", b"go")]
