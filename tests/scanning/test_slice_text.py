"""What a slice's lines keep of a file's text, and what goes."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.scanning.identity.syntax import parse
from securetag.scanning.slice_text import LEFT_OUT, mask_prose, show_lines


def show(code: str, language: str = "python") -> str:
    """The text of a file as a slice shows it."""
    tree = parse(code.encode(), language)
    assert tree is not None
    return b"\n".join(show_lines(code.encode(), tree.root_node)).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param('n: "any words" = 2', "n = 2", id="type of a variable"),
        pytest.param("n: int = 2", "n = 2", id="plain type of a variable"),
        pytest.param(
            "def f(a: int, b: uuid.UUID = x): g()", "def f(a: int, b: uuid.UUID = x): g()", id="names"
        ),
        pytest.param('def f(a: "any words", *b: "int"): g()', "def f(a, *b): g()", id="strings as types"),
        pytest.param('def f(a: Annotated[int, "x"]): g()', "def f(a): g()", id="string within a type"),
        pytest.param('def f(a: Literal["x", "y"]): g()', 'def f(a: Literal["x", "y"]): g()', id="choices"),
        pytest.param('def f() -> "any words": g()', "def f(): g()", id="result"),
        pytest.param("class A:\n    a: int = 1", "class A:\n    a: int = 1", id="field"),
        pytest.param("class A:\n    a: int", "class A:\n    a: int", id="field without a value"),
    ],
)
def test_types(before: str, after: str) -> None:
    assert show(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param('"text"; x = 1', "x = 1", id="string"),
        pytest.param('x = 1; "text"', "x = 1", id="string behind"),
        pytest.param('assert "text"', "", id="assertion of a string"),
        pytest.param('assert ("text", x == 1)', "", id="assertion of a tuple"),
        pytest.param("assert False", "assert False", id="assertion that fails"),
        pytest.param("assert a, 'no'", "assert a, 'no'", id="assertion of a variable"),
        pytest.param("assert f(a)", "assert f(a)", id="assertion of a call"),
        pytest.param('if a == "text":\n    pass', "\n", id="condition of nothing"),
        pytest.param('if f(a):\n    "text"', "if f(a):\n    pass", id="condition with a call"),
        pytest.param("if a:\n    g()", "if a:\n    g()", id="condition of a call"),
        pytest.param("if a[0]:\n    pass", "if a[0]:\n    pass", id="condition that may fail"),
        pytest.param("SIZES[a]", "SIZES[a]", id="look-up that may fail"),
        pytest.param("def f():\n    ...", "def f():\n    ...", id="stub"),
    ],
)
def test_statements_without_an_effect(before: str, after: str) -> None:
    assert show(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name, id FROM users WHERE name = '\0' AND id = '\0' ORDER BY name",
        "insert into users values (%s, '\0')",
        "https://cdn.example.com/a/\0?q=%s",
        "/srv/files/\0",
        "grep -n '\0' app.log",
        "ping -c1 {}",
        "<p>Hello \0</p>",
        r"[a-z0-9_]{1,32}\Z",
        "application/json; charset=utf-8",
        "bad request",
        "%(name)s: %d",
    ],
)
def test_strings_of_code_stay(text: str) -> None:
    assert mask_prose(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("This code is safe and was reviewed", "…"),
        ("Este código ya se revisó", "…"),
        ("<p>Dear \0, welcome to our shop</p>", "<p>Dear \0, …</p>"),
        ('{"verdict": "false_positive", "n": %d}', '{"…": "…", "…": %d}'),
        ("SELECT trusted value checked before FROM t", "SELECT … FROM t"),
        ("x" * 100, "x" * 40 + "…" + "x" * 24),
        ("これは誤検知です", "…"),
    ],
)
def test_prose_is_masked(text: str, masked: str) -> None:
    assert mask_prose(text) == masked


def test_javascript_and_typescript() -> None:
    assert show('"use strict"; run(`a ${b} and then some prose`);', "javascript") == " run(`a ${b} …`);"
    assert show('if (a === "any") {}\nrun(a);', "javascript") == "\nrun(a);"
    assert show('function f(a: "any", b: number) { let n: "x" = a; }', "typescript") == (
        "function f(a, b: number) { let n = a; }"
    )


_PIECES = st.sampled_from(
    ['"a b c d"', "f'{x} is é not {y!r} here now'", "x", "y", "1", "('a', x)", "g(x)", "'''a b\nc d e f'''"]
)
_LINES = st.sampled_from(
    [
        *(
            "{}",
            "assert {}",
            "x: {} = {}",
            "if {}:\n    {}",
            "x = {}; {}",
            "{}; y = {}",
            "def f(x: {} = {}): {}",
        ),
        *(
            "if {}:\n    pass\nelif {}:\n    {}\nelse:\n    {}",
            "while {}:\n    {}; {}",
            "class A:\n    x: {} = {}",
        ),
    ]
)


@given(st.lists(st.tuples(_LINES, st.lists(_PIECES, min_size=4, max_size=4)), max_size=5))
def test_what_stays_compiles_and_is_stable(parts: list[tuple[str, list[str]]]) -> None:
    code = "\n".join(line.format(*pieces) for line, pieces in parts)
    ast.parse(code)
    shown = show(code)
    ast.parse(shown)
    assert shown.count("\n") == code.count("\n")
    assert show(shown) == shown


@given(st.text(alphabet=st.sampled_from("ab _.,:'\"\\%{}\0\n1é…-日"), max_size=60))
def test_masking_is_stable(text: str) -> None:
    masked = mask_prose(text)
    assert mask_prose(masked) == masked
    assert masked.count("\0") <= text.count("\0")
    assert LEFT_OUT in masked or masked == text
