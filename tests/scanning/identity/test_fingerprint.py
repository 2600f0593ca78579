"""Which edits keep a fingerprint and a verdict, and which don't."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.db.staleness import changes_between
from securetag.scanning.identity.describe import CodeFile, Described
from securetag.scanning.identity.fingerprint import fingerprint

PYTHON = '''
import os
ALLOWED = ["a", "b"]

@app.route("/x")
@login_required
def show(request, db):
    """Doc."""
    name = request.args["key"]
    if name not in ALLOWED:
        raise ValueError
    command = "ls " + name
    os.system(command)
    return 1
'''
JAVASCRIPT = """
const allowed = new Set(["a"]);
app.get("/x", authenticate, async (req, res) => {
  const { id } = req.query;
  if (!allowed.has(id)) { return res.status(400).end(); }
  const text = `select ${id}`;
  await db.query(text);
});
"""
JS_GUARD = "if (!allowed.has(id)) { return res.status(400).end(); }"
GUARD = "    if name not in ALLOWED:\n        raise ValueError\n"


def describe(code: str, flagged: str, language: str = "python") -> Described:
    """Of the first place where `flagged` is written."""
    content = code.encode()
    start = content.index(flagged.encode())
    return CodeFile(content, language).describe(start, start + len(flagged.encode()), code)


def edited(code: str, *replacements: tuple[str, str]) -> str:
    for old, new in replacements:
        assert old in code
        code = code.replace(old, new)
    return code


def test_form() -> None:
    mark = fingerprint("r", describe(PYTHON, "os.system(command)"))
    assert re.fullmatch(r"v2:[0-9a-f]{64}", mark)
    # Stored rows carry it, so it may not change without a new version.
    assert (
        fingerprint("r", describe("eval(x)", "eval(x)"))
        == "v2:e10cb054d80ef4d1434d3c4b8a643794c70eb8bbe7e2feb9535221a5f86d88c5"
    )


KEEPS = {
    "quotes and comments": (
        [('"', "'"), ("    command", "\n\n    # why\n    command")],
        "os.system(command)",
    ),
    "layout": ([("os.system(command)", "os.system(\n        command,  # why\n    )")], None),
    "variables": ([("name", "value"), ("command", "line")], "os.system(line)"),
    "parameter": ([("request", "req")], "os.system(command)"),
    "function and route": ([("def show", "def display"), ('"/x"', '"/y"')], "os.system(command)"),
    "argument of the function": ([("(request, db)", "(request, db, extra=None)")], "os.system(command)"),
}
NEUTRAL = {
    "variable inlined": (
        [('    command = "ls " + name\n', ""), ("(command)", '("ls " + name)')],
        'os.system("ls " + name)',
    ),
    "guard nested": (
        [
            (GUARD, ""),
            ("    command =", "    if name in ALLOWED:\n        command ="),
            ("    os.", "        os."),
        ],
        "os.system(command)",
    ),
    "guard in a variable": ([("if name not in ALLOWED", "bad = name not in ALLOWED\n    if bad")], None),
    "guard in a function": (
        [
            ("if name not in ALLOWED", "if not fine(name)"),
            ("@app", "def fine(x):\n    return x in ALLOWED\n\n@app"),
        ],
        None,
    ),
    "guard in a function that raises": (
        [(GUARD, "    ensure(name)\n"), ("@app", f"def ensure(name):\n{GUARD}\n@app")],
        None,
    ),
    "sink in a function": (
        [("os.system(command)", "run(command)"), ("@app", "def run(line):\n    os.system(line)\n\n@app")],
        "os.system(line)",
    ),
    "decorator added": ([("@login", "@cached\n@login")], None),
    "time limit added": ([("(command)", "(command, timeout=5)")], "os.system(command, timeout=5)"),
}
STALE = {
    "guard removed": ([(GUARD, "")], None, "guard"),
    "guard after the sink": ([(GUARD, ""), ("(command)\n", f"(command)\n{GUARD}")], None, "guard"),
    "guard that only logs": ([("raise ValueError", "print(name)")], None, "guard"),
    "guard with a way round": ([("not in ALLOWED", "not in ALLOWED and not DEBUG")], None, "guard"),
    "another variable is checked": ([("if name not", "if db not")], None, "guard"),
    "longer list": ([('"b"]', '"b", "c"]')], None, "guard"),
    "no login": ([("@login_required\n", "")], None, "guard"),
    "source": ([("request.args", "request.cookies")], None, "source"),
    "sink": ([("os.system", "os.popen")], "os.popen(command)", "sink"),
    "shell": ([("(command)", "(command, shell=True)")], "os.system(command, shell=True)", "source"),
}


@pytest.mark.parametrize("name", KEEPS)
def test_a_fingerprint_survives(name: str) -> None:
    replacements, flagged = KEEPS[name]
    older = describe(PYTHON, "os.system(command)")
    newer = describe(edited(PYTHON, *replacements), flagged or "os.system(\n        command,  # why\n    )")
    assert fingerprint("r", newer) == fingerprint("r", older)
    assert changes_between(older.identity, newer.identity) == []


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_verdict_holds(name: str) -> None:
    replacements, flagged = NEUTRAL[name]
    newer = describe(edited(PYTHON, *replacements), flagged or "os.system(command)")
    assert changes_between(describe(PYTHON, "os.system(command)").identity, newer.identity) == []


@pytest.mark.parametrize("name", STALE)
def test_a_verdict_is_stale(name: str) -> None:
    replacements, flagged, change = STALE[name]
    newer = describe(edited(PYTHON, *replacements), flagged or "os.system(command)")
    assert change in changes_between(describe(PYTHON, "os.system(command)").identity, newer.identity)


@pytest.mark.parametrize(
    ("replacements", "flagged", "changes"),
    [
        pytest.param([(";", ""), ('"', "'")], None, [], id="semicolons and quotes"),
        pytest.param([("const { id } = req.query", "const id = req.query.id")], None, [], id="destructuring"),
        pytest.param(
            [("  const text = `select ${id}`;\n", ""), ("(text)", "(`select ${id}`)")],
            "db.query(`select ${id}`)",
            [],
            id="inlined",
        ),
        pytest.param(
            [(JS_GUARD, "if (allowed.has(id)) {"), ("(text);", "(text); }")],
            None,
            [],
            id="guard nested",
        ),
        pytest.param([(JS_GUARD, "")], None, ["guard"], id="no guard"),
        pytest.param([("authenticate, ", "")], None, ["guard"], id="no middleware"),
        pytest.param([("req.query", "req.body")], None, ["source", "guard"], id="source"),
    ],
)
def test_javascript(replacements: list[tuple[str, str]], flagged: str | None, changes: list[str]) -> None:
    older = describe(JAVASCRIPT, "db.query(text)", "javascript").identity
    for language in ("javascript", "typescript"):
        newer = describe(edited(JAVASCRIPT, *replacements), flagged or "db.query(text)", language).identity
        assert changes_between(older, newer) == changes


def test_a_method_is_called_in_its_own_class() -> None:
    code = """
class Shop:
    def show(self, request):
        if request.is_admin:
            self.run(request.args["key"])

    def run(self, line):
        os.system(line)
"""
    older = describe(code, "os.system(line)").identity
    twin = code.replace("class Shop", "class Copy")
    assert changes_between(older, describe(code + twin, "os.system(line)").identity) == []
    unguarded = code.replace("if request.is_admin", "if True")
    assert "guard" in changes_between(older, describe(unguarded, "os.system(line)").identity)


HELPED = """
COMMANDS = ["ls", "df"]

def check(line):
    if line not in COMMANDS:
        raise ValueError

def go(request):
    line = request.args["line"]
    check(line)
    os.system(line)
"""
GO = HELPED[HELPED.index("def go") :]


def test_a_function_that_leaves_its_definitions_behind_is_judged_by_what_it_shows() -> None:
    older = describe(HELPED, "os.system(line)").identity
    moved = describe("from shop import check\n\n" + GO, "os.system(line)").identity
    assert changes_between(older, moved, is_moved=True) == []
    # In the same file the definitions can't have stayed behind.
    assert changes_between(older, moved) == ["guard"]
    unguarded = describe(edited(GO, ("    check(line)\n", "")), "os.system(line)").identity
    assert "guard" in changes_between(older, unguarded, is_moved=True)


def test_a_definition_that_moves_along_is_compared() -> None:
    older = describe(HELPED, "os.system(line)").identity
    weaker = edited(HELPED, ("line not in COMMANDS", "not line"))
    assert changes_between(older, describe(weaker, "os.system(line)").identity, is_moved=True) == ["guard"]


def test_the_guard_of_a_caller_that_stays_behind_is_out_of_sight() -> None:
    code = "def go(line):\n    os.system(line)\n\ndef show(request):\n    if request.ok:\n        go(1)\n"
    older = describe(code, "os.system(line)").identity
    moved = describe(code[: code.index("def show")], "os.system(line)").identity
    assert "guard" in changes_between(older, moved, is_moved=True)


def test_a_name_that_both_files_define_is_compared_after_a_move() -> None:
    code = "const cp = require('child_process');\nfunction go(line) {\n  cp.exec(line);\n}\n"
    older = describe(code + "go(1); go(2);", "cp.exec(line)", "javascript").identity
    moved = describe(code, "cp.exec(line)", "javascript").identity
    assert changes_between(older, moved, is_moved=True) == []
    other = describe(edited(code, ("child_process", "./shell")), "cp.exec(line)", "javascript").identity
    assert changes_between(older, other, is_moved=True) == ["sink"]


CALLED = """
def first(request):
    if request.user.is_admin:
        second(request.args["line"])

def second(line):
    third(line)

def third(line):
    os.system(line)
"""


def test_a_guard_that_is_three_calls_away_counts_after_an_extraction() -> None:
    older = describe(CALLED, "os.system(line)").identity
    extracted = edited(CALLED, ("    os.system(line)", "    run(line)"))
    extracted += "\ndef run(text):\n    os.system(text)\n"
    assert changes_between(older, describe(extracted, "os.system(text)").identity) == []
    unguarded = edited(extracted, ("request.user.is_admin", "True"))
    assert "guard" in changes_between(older, describe(unguarded, "os.system(text)").identity)


RUN = "os.system(' '.join(parts))"
CLOSURE = """
def show(request):
    parts = ["ls"]

    def add(name):
        parts.append(name)
        os.system(' '.join(parts))
    walk(request, add)
"""


def test_what_a_closure_puts_into_a_variable_of_the_function_around_is_its_source() -> None:
    older = describe(CLOSURE, RUN).identity
    renamed = describe(edited(CLOSURE, ("parts", "words")), RUN.replace("parts", "words")).identity
    assert changes_between(older, renamed) == []
    for change in (("append(name)", "append(request)"), ('["ls"]', '["rm"]')):
        assert changes_between(older, describe(edited(CLOSURE, change), RUN).identity) == ["source"]


def test_rule_statement_and_shape_count() -> None:
    base = describe(PYTHON, "os.system(command)")
    other = describe(edited(PYTHON, ("    return 1", "    if db:\n        return 1")), "os.system(command)")
    marks = {
        fingerprint("r", base),
        fingerprint("s", base),
        fingerprint("r", describe(PYTHON, "request.args")),
        fingerprint("r", other),
    }
    assert len(marks) == 4


def test_in_a_language_without_a_grammar_any_edit_of_the_function_makes_a_verdict_stale() -> None:
    code = "func f(x string) {\n  if bad(x) { return }\n  run(x)\n}"
    older = describe(code, "run(x)", "go").identity
    assert changes_between(older, describe(code.replace("  ", "\t"), "run(x)", "go").identity) == []
    newer = describe(code.replace("bad(x)", "false"), "run(x)", "go").identity
    assert changes_between(older, newer) == ["guard"]


LINES = ("  a = g(a, a)\n", "  if a and not (b or a): return\n")
#: Each variable comes from two places in each of which it stands twice: four times as many with each line.
BRANCHES = "if (a) { x = x + y; y = y - x; } else { x = x * y; y = x / y; }\n" * 12


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("code", "language"),
    [
        pytest.param("f(" * 50_000, "python", id="calls"),
        pytest.param("(" * 100_000, "javascript", id="brackets"),
        pytest.param("".join(f"{' ' * n}if x:\n" for n in range(700)), "python", id="blocks"),
        pytest.param(f"def f(a):\n{LINES[0] * 3_000}", "python", id="definitions"),
        pytest.param(f"def f(a):\n{LINES[1] * 5_000}", "python", id="guards"),
        pytest.param("x = '" + "\\'" * 200_000, "python", id="a string without an end"),
        pytest.param("x = [" + "a, " * 200_000, "python", id="a long list"),
    ],
)
def test_code_that_was_made_to_exhaust_us(code: str, language: str) -> None:
    assert describe(f"{code}\n  eval(a)", "eval(", language).identity.digest


@pytest.mark.hostile
def test_variables_with_many_definitions_each_do_not_exhaust_us() -> None:
    code = f"function f(x, y) {{\n{BRANCHES}eval(x + y);\n}}\n"
    assert describe(code, "eval(x + y);", "javascript").identity.digest


@given(code=st.text(max_size=120), start=st.integers(0, 120), size=st.integers(0, 60), data=st.data())
def test_any_text_has_an_identity(code: str, start: int, size: int, data: st.DataObject) -> None:
    language = data.draw(st.sampled_from(["python", "javascript", "typescript", "html"]))
    content = code.encode()
    described = CodeFile(content, language).describe(
        min(start, len(content)), min(start + size, len(content)), code
    )
    assert changes_between(described.identity, described.identity) == []
