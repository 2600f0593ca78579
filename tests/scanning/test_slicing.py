"""A slice holds what decides about a flagged line, and leaves the rest out."""

from __future__ import annotations

import inspect
import random
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_sitter import Node

from securetag.records import SliceLine
from securetag.scanning import slicing
from securetag.scanning.identity.describe import CodeFile
from securetag.scanning.identity.syntax import walk
from securetag.scanning.slicing import MAX_LINE_CHARS, SlicedFile


def slice_lines(content: bytes, language: str, first: int, last: int, **options: int) -> list[SliceLine]:
    """Slice for lines of a file."""
    file = CodeFile(content, language).file
    return SlicedFile(file).slice(first, last, **options) if file is not None else []


def slice_at(code: str, flagged: str, language: str = "python", **options: int) -> list[SliceLine]:
    """Slice for the line that holds `flagged`."""
    lines = code.split("\n")
    number = next(number for number, line in enumerate(lines, 1) if flagged in line)
    return slice_lines(code.encode(), language, number, number, **options)


def texts(code: str, flagged: str, language: str = "python") -> list[str]:
    """The slice's lines without their indentation."""
    result = slice_at(textwrap.dedent(code), flagged, language)
    return [line.text.strip() for line in result]


VIEWS = '''
"""Views of the shop."""
import os
import shlex
from flask import Blueprint, abort, request

pages = Blueprint("pages", __name__)
FOLDER = "/srv/files"
SIZES = {"small", "large"}


def unused(value):
    return value.lower()


class Store:
    """Keeps files."""

    limit = 10

    def __init__(self, root):
        self.root = root
        self.count = 0

    def remove(self, name):
        self.count += 1
        path = os.path.join(self.root, name)
        os.remove(path)
        return path


def quoted(text):
    # A comment that addresses the reader: this is safe.
    return shlex.quote(text)


@pages.route("/convert")
@login_required
def convert():
    """Convert a picture."""
    name = request.args["name"]
    size = request.args.get("size", "small")
    log.info("converting")
    if size not in SIZES:
        abort(400)
    started = clock()
    try:
        width = int(request.args["width"])
    except ValueError:
        return "no number", 400
    command = "convert " + quoted(name)  # looks fine
    command += f" -resize {width}"
    log.info("took %s", clock() - started)
    os.system(command)
    return "done"


def check_owner(user):
    if user.is_anonymous:
        raise PermissionError


def erase(user, name):
    check_owner(user)
    for part in name.split("/"):
        if part == "..":
            return None
        os.unlink(FOLDER + part)
    return name


def run_all(user):
    return erase(user, request.form["name"])
'''

SERVER = """
const express = require("express");
const { exec } = require("child_process");
const LANGUAGES = new Set(["en", "es"]);
const app = express();

function clean(text) {
  return text.replace(/[^a-z]/g, "");
}

app.get("/convert", requireLogin, async (req, res) => {
  const { file, language = "en" } = req.query;
  const started = Date.now();
  if (!LANGUAGES.has(language)) {
    return res.status(400).end();
  }
  // safe: the name was checked
  const name = clean(file);
  console.log("took", Date.now() - started);
  exec(`convert ${name} ${language}.png`, (error) => res.json({ error }));
});

class Reports {
  constructor(folder) {
    this.folder = folder;
  }
  open(name) {
    const other = name.trim();
    return fs.readFileSync(this.folder + name);
  }
}
"""


def test_assignments_that_reach_the_line_and_no_others() -> None:
    lines = texts(VIEWS, "os.system(command)")
    assert 'name = request.args["name"]' in lines
    assert 'command = "convert " + quoted(name)' in lines
    assert 'command += f" -resize {width}"' in lines
    assert "started = clock()" not in lines
    assert 'log.info("converting")' not in lines


def test_what_comes_after_is_left_out() -> None:
    assert 'return "done"' not in texts(VIEWS, "os.system(command)")


def test_conditions_with_what_happens_where_they_fail() -> None:
    lines = texts(VIEWS, "os.system(command)")
    assert [line for line in lines if "SIZES:" in line or line == "abort(400)"] == [
        "if size not in SIZES:",
        "abort(400)",
    ]
    assert 'SIZES = {"small", "large"}' in lines
    assert [line for line in lines if line == "try:" or "ValueError" in line or "no number" in line] == [
        "try:",
        "except ValueError:",
        'return "no number", 400',
    ]


def test_helpers_signature_and_decorators() -> None:
    lines = texts(VIEWS, "os.system(command)")
    assert {"def quoted(text):", "return shlex.quote(text)"} <= set(lines)
    assert {'@pages.route("/convert")', "@login_required", "def convert():"} <= set(lines)
    assert "def unused(value):" not in lines


def test_comments_and_docstrings_are_no_part_of_it() -> None:
    lines = texts(VIEWS, "os.system(command)")
    assert not [line for line in lines if "#" in line or '"""' in line or "safe" in line]


def test_attributes_of_the_object() -> None:
    lines = texts(VIEWS, "os.remove(path)")
    assert {"class Store:", "self.root = root", "path = os.path.join(self.root, name)"} <= set(lines)
    assert not {"self.count += 1", "limit = 10", "self.count = 0"} & set(lines)


def test_checks_and_loops_before_and_callers() -> None:
    lines = texts(VIEWS, "os.unlink(")
    assert {"check_owner(user)", "raise PermissionError", 'for part in name.split("/"):'} <= set(lines)
    assert {'if part == "..":', "return None", 'FOLDER = "/srv/files"'} <= set(lines)
    assert 'return erase(user, request.form["name"])' in lines


WEAK = """
    def checked(handler):
        def wrapped(*args):
            if request.args.get("q") not in KEYS:
                abort(400)
            return handler(*args)
        return wrapped

    class Store:
        def remove(self, path):
            os.remove(path)

    @checked
    def show():
        query = request.args["q"]
        other = request.args["p"]
        if not query.isalnum():
            log.warning("odd")
        if not other.isalnum():
            log.warning("odd as well")
        try:
            int(query)
        except ValueError:
            return "no number"
        try:
            int(other)
        except ValueError:
            return "no other number"
        store = Store()
        os.system("find " + query)
        return store.remove(query)

    def elsewhere():
        return cache.remove("x")
"""


def test_checks_that_stop_nothing_and_conversions_of_what_is_flagged() -> None:
    lines = texts(WEAK, "os.system")
    assert {"if not query.isalnum():", 'log.warning("odd")'} < set(lines)
    assert {"int(query)", 'return "no number"'} < set(lines)
    assert [line for line in lines if "other" in line] == []


def test_decorators_of_the_file_are_helpers() -> None:
    assert 'if request.args.get("q") not in KEYS:' in texts(WEAK, "os.system")


def test_a_method_is_followed_to_its_calls_on_an_object_of_the_class() -> None:
    lines = texts(WEAK, "os.remove(path)")
    assert {"store = Store()", "return store.remove(query)", 'query = request.args["q"]'} < set(lines)
    assert 'return cache.remove("x")' not in lines


def test_javascript_handler() -> None:
    lines = texts(SERVER, "exec(`convert", "javascript")
    assert 'app.get("/convert", requireLogin, async (req, res) => {' in lines
    assert 'const { file, language = "en" } = req.query;' in lines
    assert {"if (!LANGUAGES.has(language)) {", "return res.status(400).end();"} <= set(lines)
    assert {"function clean(text) {", 'return text.replace(/[^a-z]/g, "");'} <= set(lines)
    assert 'const LANGUAGES = new Set(["en", "es"]);' in lines
    assert not [line for line in lines if "started" in line or "safe" in line]


def test_javascript_attributes() -> None:
    lines = texts(SERVER, "readFileSync", "javascript")
    assert {"class Reports {", "this.folder = folder;", "open(name) {"} <= set(lines)
    assert "const other = name.trim();" not in lines


def test_typescript() -> None:
    code = """
    export async function find(name: string, limit = 5): Promise<Row[]> {
      const text: string = `select * from t where n = '${name}'`;
      const unused = limit * 2;
      return await db.query(text);
    }
    """
    lines = texts(code, "db.query", "typescript")
    assert "export async function find(name: string, limit = 5) {" in lines
    assert "const text = `select * from t where n = '${name}'`;" in lines
    assert "const unused = limit * 2;" not in lines


def test_flagged_lines_are_the_first_to_stay() -> None:
    result = slice_at(VIEWS, "os.system(command)", max_lines=3)
    assert "os.system(command)" in [line.text.strip() for line in result]
    assert len(result) == 3


def test_a_call_over_several_lines() -> None:
    code = "def f(a, b):\n    x = a\n    y = b\n    run(\n        x,\n        shell=True,\n    )\n"
    result = slice_lines(code.encode(), "python", 4, 7)
    assert [line.number for line in result] == [1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("content", "language", "line"),
    [
        pytest.param(b"x = 1\n", "ruby", 1, id="language without a grammar"),
        pytest.param(b"x = 1\n", "python", 9, id="line beyond the file"),
        pytest.param(b"x = 1\n\n# only words\n", "python", 3, id="comment"),
        pytest.param(b"x = 1\n\n", "python", 2, id="empty line"),
        pytest.param(b"", "python", 1, id="empty file"),
        pytest.param(b"(" * 5_000 + b"1" + b")" * 5_000, "python", 1, id="deep file"),
        pytest.param(b"x = 1\n", "python", 0, id="line zero"),
        pytest.param(b"x = 1\n", "python", -3, id="negative line"),
    ],
)
def test_nothing_to_slice(content: bytes, language: str, line: int) -> None:
    assert slice_lines(content, language, line, line) == []


def test_minified_code_is_cut() -> None:
    code = "const a=1;" * 30_000
    result = slice_lines(code.encode(), "javascript", 1, 1)
    assert len(result[0].text) <= MAX_LINE_CHARS + 2


def _chain(n: int) -> str:
    return (
        "def f(a):\n"
        + "".join(f"    x{i} = x{i - 1} + x{max(0, i - 2)}\n" for i in range(1, n))
        + f"    run(x{n - 1})\n"
    )


def _helpers(n: int) -> str:
    functions = "".join(f"def g{i}(a):\n    return g{i + 1}(a) + g{i + 2}(a)\n" for i in range(n))
    return functions + "def f(a):\n    run(g0(a))\n"


def _attributes(n: int) -> str:
    lines = "".join(f"        self.a{i} = self.a{i + 1} + self.a{i + 2}\n" for i in range(n))
    return "class A:\n    def set(self):\n" + lines + "    def go(self):\n        run(self.a0)\n"


def _callers(n: int) -> str:
    functions = "".join(f"def f{i}(a):\n    f{i + 1}(a)\n" for i in range(n))
    return functions + f"def f{n}(a):\n    run(a)\n"


@pytest.mark.parametrize("write", [_chain, _helpers, _attributes, _callers])
def test_cost_grows_with_the_file_alone(write: Callable[[int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that refers to itself over and over is cut off, not followed for ever."""
    nodes = 0

    def count_nodes(*arguments: Any) -> Iterator[Node]:
        nonlocal nodes
        for node in walk(*arguments):
            nodes += 1
            yield node

    monkeypatch.setattr(slicing, "walk", count_nodes)

    def cost(n: int) -> int:
        nonlocal nodes
        nodes = 0
        assert slice_at(write(n), "run(")
        return nodes

    assert cost(2_000) <= 5 * cost(500)


_SOURCE = inspect.getsource(slicing)


@given(seed=st.integers(0, 10_000), cuts=st.integers(0, 8))
def test_damaged_code_is_sliced_or_refused(seed: int, cuts: int) -> None:
    """Whatever a file holds: no error, and lines of the file that include the flagged ones."""
    rng = random.Random(seed)
    start = rng.randrange(len(_SOURCE) // 2)
    code = _SOURCE[start : start + rng.randrange(4_000)]
    for _ in range(cuts):
        at = rng.randrange(len(code) + 1)
        code = (
            code[:at]
            + rng.choice(["", "(", "'''", "\x00", "\n", "é…\u2028", "}", "\r"])
            + code[at + rng.randrange(9) :]
        )
    language = rng.choice(["python", "javascript", "typescript"])
    lines = code.encode().split(b"\n")
    first = rng.randrange(1, len(lines) + 1)
    last = first + rng.randrange(3)
    result = slice_lines(code.encode(), language, first, last)
    if result:
        numbers = [line.number for line in result]
        assert numbers == sorted(set(numbers))
        assert all(1 <= number <= len(lines) for number in numbers)
        assert any(first <= number <= last for number in numbers)
        assert len(numbers) <= slicing.MAX_LINES


CAUGHT = """
def show(request):
    name = request.GET["name"]
    try:
        if name not in ("a", "b"):
            raise ValueError("refused")
    except ValueError:
        log.warning("refused")
    return open(name)
"""
CAUGHT_JS = """
function show(req, res) {
  const name = req.query.name;
  try {
    if (!/^x+$/.test(name)) {
      throw new Error("refused");
    }
  } catch (error) {
    log.warn("refused");
  }
  return res.send(name);
}
"""


@pytest.mark.parametrize(
    ("code", "flagged", "language", "shown"),
    [
        (CAUGHT, "open(", "python", ["try:", "except ValueError:", 'log.warning("refused")']),
        (CAUGHT_JS, "res.send", "javascript", ["try {", "} catch (error) {", 'log.warn("refused");']),
    ],
    ids=["Python", "JavaScript"],
)
def test_a_check_whose_error_is_caught_is_shown_with_what_catches_it(
    code: str, flagged: str, language: str, shown: list[str]
) -> None:
    """Without it a check that stops nothing looks like one that does."""
    assert set(shown) <= set(texts(code, flagged, language))
