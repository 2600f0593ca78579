"""Functions and classes, found without a parser: compared with Python's own, and by hand for JavaScript."""

from __future__ import annotations

import ast
import json
import sysconfig
from pathlib import Path

import pytest
from growth import assert_grows_linearly
from hypothesis import given, settings
from hypothesis import strategies as st

from securetag.scanning.identity.lex import normalised, tokens
from securetag.scanning.identity.scopes import Scope, enclosing, scopes

STDLIB = Path(sysconfig.get_paths()["stdlib"])
MODULES = [
    "ast.py",
    "argparse.py",
    "asyncio/base_events.py",
    "dataclasses.py",
    "difflib.py",
    "email/message.py",
    "enum.py",
    "http/client.py",
    "inspect.py",
    "json/decoder.py",
    "logging/__init__.py",
    "pathlib.py",
    "pickle.py",
    "socket.py",
    "subprocess.py",
    "tarfile.py",
    "textwrap.py",
    "tokenize.py",
    "typing.py",
    "zipfile.py",
]


def parsed(code: str) -> set[Scope]:
    """The same scopes by Python's parser."""
    result: set[Scope] = set()

    def walk(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                kind = "class" if isinstance(child, ast.ClassDef) else "function"
                first = min([child.lineno, *(item.lineno for item in child.decorator_list)])
                result.add(Scope(kind, prefix + child.name, first, child.end_lineno or 0))
                walk(child, f"{prefix}{child.name}.")
            else:
                walk(child, prefix)

    walk(ast.parse(code), "")
    return result


@pytest.mark.parametrize("module", MODULES)
def test_agrees_with_pythons_parser(module: str) -> None:
    code = (STDLIB / module).read_text(encoding="utf-8")
    expected = parsed(code)
    assert expected
    assert set(scopes(code, "python")) == expected


def test_broken_python_keeps_its_other_functions() -> None:
    code = (
        "def a(:\n    print 'x'\n\nclass B:\n    x = (\n    def c(self):\n        return eval(\n\n"
        "def d():\n    pass\n"
    )
    names = {scope.name: (scope.first, scope.last) for scope in scopes(code, "python")}
    assert names == {"a": (1, 2), "B": (4, 7), "B.c": (6, 7), "d": (9, 10)}


JAVASCRIPT = """\
const express = require('express');   // {
/* function nope() { */
function search(req, res) {
  const re = /[/"'{]/g, s = `a ${req.query.q} {`;
  if (req.query.q) {
    return db.query("SELECT " + s);
  }
}

app.get('/users/:id', async (req, res) => {
  const rows = await find(req.params.id);
  res.send(rows);
});

router.post("/run", auth, function (req, res) {
  exec(req.body.cmd);
});

class Shop extends Base {
  constructor(db) { this.db = db; }
  async find(id) {
    return this.db.get(id, (err, row) => {
      return eval(row);
    });
  }
}

const area = (w, h) => w * h;
module.exports.load = function (name) {
  return fs.readFileSync(name);
};
const api = {
  list(req) { return 1; },
  drop: async function (req) { return 2; },
  keep: req => eval(req.x),
};
app.get('/one', (req, res) => res.send(req.query.x));
var total = 10 / 2 / 1;
"""


def test_javascript() -> None:
    result = {scope.name: (scope.first, scope.last) for scope in scopes(JAVASCRIPT, "javascript")}
    assert result == {
        "search": (3, 8),
        'app.get("/users/:id")': (10, 13),
        'router.post("/run")': (15, 17),
        "Shop": (19, 26),
        "Shop.constructor": (20, 20),
        "Shop.find": (21, 25),
        "Shop.find.this.db.get()": (22, 24),
        "area": (28, 28),
        "load": (29, 31),
        "list": (33, 33),
        "drop": (34, 34),
        "keep": (35, 35),
        'app.get("/one")': (37, 37),
    }


def test_typescript_return_types() -> None:
    code = "export class A {\n  private async get(x: string): Promise<string[]> {\n    return x;\n  }\n}\n"
    assert [(s.name, s.first, s.last) for s in scopes(code, "typescript")] == [("A", 1, 5), ("A.get", 2, 4)]


def test_the_innermost_scope_encloses() -> None:
    result = scopes(JAVASCRIPT, "javascript")
    inner, outer, none = enclosing(result, 23, 23), enclosing(result, 22, 25), enclosing(result, 1, 1)
    assert inner is not None
    assert inner.name == "Shop.find.this.db.get()"
    assert outer is not None
    assert outer.name == "Shop.find"
    assert none is None


@pytest.mark.parametrize(
    "code",
    [
        "f = function () {\n  open(path, flags, function (err, fd) {\n    read(fd)\n  })\n}\n",
        "f = function () {\n  open(\n    path,\n    flags,\n    (fd) => {\n      read(fd)\n    },\n  )\n}\n",
        "f = () => {\n  open(path, flags, (err, fd) =>\n    read(fd)\n  )\n}\n",
    ],
)
def test_a_call_with_a_callback_is_in_the_same_scope_however_it_is_laid_out(code: str) -> None:
    result = scopes(code, "javascript")
    lines = code.splitlines()
    last = len(lines) - 1
    call, inner = enclosing(result, 2, last), next(n for n, line in enumerate(lines, 1) if "read" in line)
    assert call == enclosing(result, inner, inner) == Scope("function", "f.open()", 2, last)


CODE = st.text(alphabet="abdefcls ()[]{}'\"`/\\#:;,.=>*\n\t@_$é0", max_size=200)


@settings(max_examples=300, deadline=None)
@given(code=CODE, language=st.sampled_from(["python", "javascript"]))
def test_any_text_has_tokens_and_scopes_inside_it(code: str, language: str) -> None:
    lines = code.count("\n") + 1
    for scope in scopes(code, language):
        assert 1 <= scope.first <= scope.last <= lines
    kind = "python" if language == "python" else "c"
    assert all(1 <= token.line <= token.last <= lines for token in tokens(code, kind))
    again = normalised(code, language)
    assert json.loads(json.dumps(again)) == again


@pytest.mark.system
@pytest.mark.parametrize("language", ["python", "javascript"])
@pytest.mark.parametrize(
    "piece",
    [
        pytest.param("(", id="bracket"),
        pytest.param("def f(", id="open parameters"),
        pytest.param("{", id="brace"),
        pytest.param('"""', id="triple quote"),
        pytest.param("`", id="backtick"),
        pytest.param("/*", id="comment"),
        pytest.param("x=>", id="arrow"),
        pytest.param("/", id="slash"),
        pytest.param("\\", id="backslash"),
        pytest.param("class A{", id="class"),
        pytest.param("@a\n", id="decorator"),
        pytest.param("'\\", id="escaped quote"),
    ],
)
def test_the_cost_of_hostile_repetition_is_linear(piece: str, language: str) -> None:
    assert_grows_linearly(lambda code: scopes(code, language), lambda times: piece * times, 5_000)
