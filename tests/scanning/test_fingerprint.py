"""Which edits keep a fingerprint, and which change it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from securetag.scanning.fingerprint import Matched, fingerprint
from securetag.scanning.lex import normalised


def one(code: str, *, rule: str = "r", scope: str = "f", language: str = "python") -> str:
    return fingerprint(Matched(rule, code, scope, language))


BASE = 'db.execute("SELECT 1" + q, [a, b])'


def test_form() -> None:
    assert re.fullmatch(r"v1:[0-9a-f]{64}", one(BASE))
    # Stored rows carry it, so it may not change without a new version.
    assert one("eval(x)") == "v1:4c020ae5ff971ef0ecef3ef17cfed9c09a661fd380698889c48f60b33fc5e449"


def test_layout_and_comments_do_not_count() -> None:
    laid_out = 'db.execute(\n        "SELECT 1"  # why, "quoted"\n\n\t+ q,\n  [ a, b, ],\n)'
    assert one(laid_out) == one(BASE)
    assert one("f(\n  // x\n a /* y */ , `t`)", language="javascript") == one(
        "f(a,`t`)", language="javascript"
    )


def test_a_reindented_text_block_is_the_same() -> None:
    assert one('run("""\n    a\n      b\n""")') == one('run("""\n  a\n  b\n""")')


def test_rule_code_and_scope_count() -> None:
    different = {
        one(BASE),
        one(BASE, rule="s"),
        one(BASE, scope="g"),
        one(BASE.replace("q", "p")),
        one(BASE + "0"),
    }
    assert len(different) == 5


def test_words_do_not_run_together() -> None:
    assert one("a b") != one("ab")
    assert one('"a" "b"') != one('"a b"')


BLANKS = st.text(alphabet=" \t", max_size=3)
PIECES = st.lists(
    st.sampled_from(["eval", "(", ")", "x", "+", "'a # b'", '"c  d"', ".", "[", "]", "1"]), max_size=12
)


@given(pieces=PIECES, data=st.data())
def test_blanks_between_tokens_never_count(pieces: list[str], data: st.DataObject) -> None:
    spaced = "".join(piece + " " + data.draw(BLANKS) for piece in pieces)
    lines = "".join(piece + data.draw(st.sampled_from([" ", "\n", "  # it's\n", "\r\n"])) for piece in pieces)
    assert one(spaced) == one(" ".join(pieces)) == one(lines)


@given(code=st.text(max_size=80), language=st.sampled_from(["python", "javascript"]))
def test_normalising_twice_changes_nothing_more_for_one_line(code: str, language: str) -> None:
    once = normalised(code.replace("\n", " ").replace("\\", ""), language)
    assert normalised(once, language) == once
