"""A function that moves to another file is compared with its only caller, which stayed behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetag.db.staleness import changes_between
from securetag.records import CodeIdentity
from securetag.scanning.identity.describe import CodeFile
from securetag.scanning.identity.imports import names_imported_from
from securetag.scanning.identity.outside import DescribedPlace, follow_outside, read_files
from securetag.scanning.identity.syntax import parse
from securetag.scanning.languages import language_of

GO = "def go(line):\n    os.system(line)\n"
SHOW = "def show(request):\n    if request.user.is_admin:\n        go(request.args['line'])\n"
IMPORT = "from part import go\n"


def identity_of(files: dict[str, str], sink: str = "os.system(line)") -> CodeIdentity:
    """Of the call in the file that has it."""
    (path,) = [path for path, code in files.items() if sink in code]
    code = files[path]
    start = code.index(sink)
    file = CodeFile(code.encode(), language_of(path))
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


GUARDED = """COMMANDS = ["ls", "df"]

def fine(line):
    return line in COMMANDS

def go(line):
    if not fine(line) or line == EMPTY:
        return
    os.system(line)
"""
MODULE = "EMPTY = ''\n" + GUARDED + SHOW
LEFT = "EMPTY = ''\n" + GUARDED[: GUARDED.index("def go")] + IMPORT + SHOW
PART = "from app import EMPTY, fine as is_fine\n" + GUARDED[GUARDED.index("def go") :].replace(
    "fine(", "is_fine("
)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        pytest.param("", "", [], id="as it was"),
        pytest.param('"df"]', '"df", "rm"]', ["guard"], id="longer list"),
        pytest.param("line in COMMANDS", "True", ["guard"], id="helper that checks nothing"),
        pytest.param("EMPTY = ''", "EMPTY = None", ["guard"], id="other constant"),
    ],
)
def test_names_are_followed_into_the_module_that_they_stayed_in(
    old: str, new: str, changes: list[str]
) -> None:
    assert old in LEFT
    apart = identity_of({"app.py": LEFT.replace(old, new, 1), "lib/part.py": PART})
    assert ("guard" in changes_between(identity_of({"app.py": MODULE}), apart, is_moved=True)) == bool(
        changes
    )


JS_GO = "function go (line) {\n  if (!allowed.has(line)) return\n  cp.exec(line)\n}\n"
JS_SHOW = "function show (req) {\n  if (req.user.isAdmin) go(req.query.line)\n}\n"
JS_ALLOWED = "const allowed = new Set(['ls'])\n"
REQUIRE = "const cp = require('child_process')\n"


@pytest.mark.parametrize(
    ("old", "new", "holds"),
    [
        pytest.param("", "", True, id="as it was"),
        pytest.param("['ls']", "['ls', 'rm']", False, id="longer list"),
        pytest.param("if (req.user.isAdmin) ", "", False, id="guard of the caller removed"),
        pytest.param(
            "module.exports.allowed", "module.exports.go = go\nmodule.exports.allowed", True, id="export"
        ),
        pytest.param(
            "module.exports.allowed", "run(go)\nmodule.exports.allowed", False, id="used as a value"
        ),
    ],
)
def test_javascript_modules(old: str, new: str, holds: bool) -> None:
    together = identity_of({"app.js": REQUIRE + JS_ALLOWED + JS_GO + JS_SHOW}, "cp.exec(line)")
    left = JS_ALLOWED + JS_SHOW + "module.exports.allowed = allowed\nconst { go } = require('./part')\n"
    part = REQUIRE + "const { allowed } = require('./app')\n" + JS_GO + "module.exports = { go }\n"
    apart = identity_of({"app.js": left.replace(old, new, 1), "part.js": part}, "cp.exec(line)")
    assert (changes_between(together, apart, is_moved=True) == []) is holds


@pytest.mark.parametrize(
    ("code", "path", "names"),
    [
        pytest.param("from .lib.app import a as b, c", "x/app.py", {"b": "a", "c": "c"}, id="python"),
        pytest.param("from . import a", "x/__init__.py", {"a": "a"}, id="package"),
        pytest.param("from app import a", "x/other.py", {}, id="another module"),
        pytest.param(
            "const { a: b, c } = require('./app.js')", "x/app.js", {"b": "a", "c": "c"}, id="commonjs"
        ),
        pytest.param("import { a as b, c } from './app'", "x/app.ts", {"b": "a", "c": "c"}, id="ecmascript"),
        pytest.param("import { a } from '../lib'", "lib/index.ts", {"a": "a"}, id="index"),
        pytest.param("const app = require('./app')", "x/app.js", {}, id="a module as a whole"),
    ],
)
def test_names_of_imports(code: str, path: str, names: dict[str, str]) -> None:
    tree = parse(code.encode(), language_of(path))
    assert tree is not None
    assert names_imported_from(path, tree.root_node) == names


def test_files_without_a_syntax_tree_and_links_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    for name in ("app.py", "lib/part.ts", "notes.txt"):
        (tmp_path / name).write_text("go")
    (tmp_path / "link.py").symlink_to(tmp_path / "app.py")
    assert sorted(read_files(tmp_path)) == [("app.py", b"go"), ("lib/part.ts", b"go")]
