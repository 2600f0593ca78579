"""Texts are followed from where they are used to where they are put together."""

from __future__ import annotations

import pytest

from securetag.scanning.identity.texts import TextFlow

PYTHON = """\
def report(db, table, names):
    sql = f"select * from {table}"
    if names:
        sql += " where name in (" + ", ".join(names) + ")"
    parts = ["a"]
    parts.append(f"b {table}")
    other = clean(f"c {table}")
    db.execute(sql)
    db.execute(" ".join(parts))
    db.execute(other)
    sql = "select 1"
    db.execute(sql)
"""
JAVASCRIPT = """\
function report(db, table) {
  const where = `where ${table}`;
  const sql = 'select * from x ' + where;
  rows = db.query(sql);
  db.query(rows);
}
"""


@pytest.mark.parametrize(
    ("language", "code", "line", "lines"),
    [
        pytest.param("python", PYTHON, 8, {2, 4}, id="a text that is added to"),
        pytest.param("python", PYTHON, 9, {5, 6}, id="a list of texts that is joined"),
        pytest.param("python", PYTHON, 10, set(), id="what a call returns"),
        pytest.param("python", PYTHON, 12, {11}, id="the older value is gone"),
        pytest.param("python", PYTHON, 99, set(), id="a line that isn't there"),
        pytest.param("javascript", JAVASCRIPT, 4, {2, 3}, id="a text in another one"),
        pytest.param("javascript", JAVASCRIPT, 5, set(), id="the result of the query"),
        pytest.param("ruby", PYTHON, 8, set(), id="a language without a grammar"),
    ],
)
def test_a_text_is_found_where_it_is_put_together(
    language: str, code: str, line: int, lines: set[int]
) -> None:
    assert TextFlow(code.encode(), language).built_lines(line, line) == lines


def test_a_variable_that_holds_itself_ends() -> None:
    code = "def f(a):\n    while a:\n        a = b + 'x'\n        b = a + 'y'\n    use(a)\n"
    assert TextFlow(code.encode(), "python").built_lines(5, 5) <= {3, 4}


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        pytest.param(2, range(2, 3), id="the statement before the text"),
        pytest.param(3, range(2, 5), id="in the text"),
        pytest.param(5, range(5, 6), id="after it"),
        pytest.param(70, range(70, 71), id="a line that isn't there"),
    ],
)
def test_the_lines_of_a_text_are_known_from_one_of_them(line: int, lines: range) -> None:
    code = 'def f(a):\n    x = f"""\n  {a}\n"""\n    return x\n'
    assert TextFlow(code.encode(), "python").text_around(line) == lines
