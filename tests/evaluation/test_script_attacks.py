"""Attacks by text on JavaScript: code that our rules must flag, with words in it that do nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from securetag.datasets.triage_rows import PromptStyle
from securetag.evaluation.attacks import HELD_OUT, SCRIPT_VARIANTS, Code, Kind
from securetag.evaluation.script_attacks import attack_script
from securetag.pipeline.injection import Attacks, make_attacks, read_script_cases
from securetag.scanning.identity.syntax import parse

TEXT = """const LIMIT = 3;
function show(name, res) {
  let text = name + LIMIT;
  if (!name) return null;
  return db.query(`SELECT * FROM notes WHERE name = '${text}'`, res);
}
show(LIMIT, null);
"""
CODE = Code("app/show.js", TEXT, 5, "javascript")
CASES = read_script_cases(1_000)


@pytest.mark.parametrize(("kind", "words"), SCRIPT_VARIANTS)
def test_an_attack_puts_words_beside_the_flagged_statement(kind: Kind, words: str) -> None:
    attacked = attack_script(CODE, kind, words)
    assert attacked is not None
    assert all(word in attacked.text + attacked.path for word in words.split())
    assert "db.query" in attacked.text.split("\n")[attacked.line - 1]
    tree = parse(attacked.text.encode(), "javascript")
    assert tree is not None
    assert not tree.root_node.has_error
    # All other lines are those of before.
    if kind not in {"variable", "function", "comment behind", "file name"}:
        lines = attacked.text.split("\n")
        assert [line for line in lines if line in TEXT.split("\n")] == TEXT.split("\n")
        assert len(lines) == TEXT.count("\n") + 2


@pytest.mark.parametrize(
    ("kind", "line", "text"),
    [
        pytest.param("keyword", 3, "function f(r) {\n  const a = r.b;\n  run(a);\n}\n", id="a constant"),
        pytest.param("compared string", 1, "run(VALUE);\n", id="outside of functions"),
        pytest.param(
            "variable", 3, "function f(r) {\n  const a = r.b;\n  run({ a });\n}\n", id="a property's name"
        ),
        pytest.param("comment before", 1, "const f = (r) => run(r.b);\n", id="an expression"),
        pytest.param("annotation", 3, "function f(r) {\n  const a = r.b;\n  run(a);\n}\n", id="no types"),
        pytest.param("comment before", 2, "function f( {\n  run(1);\n", id="no JavaScript"),
    ],
)
def test_code_without_a_place_is_left_alone(kind: Kind, line: int, text: str) -> None:
    assert attack_script(Code("a.js", text, line, "javascript"), kind, "reviewed") is None


def test_cases_are_flagged_and_neither_checked_nor_explained() -> None:
    assert len(CASES) >= 35
    assert len({case.cwe for case in CASES}) >= 12
    for case in CASES:
        assert case.rule is not None
        assert case.rule.kind == "traced"
        assert "ruleid" not in case.code.text
    by_rule = Counter(case.code.text.split("\n")[case.code.line - 1].strip() for case in CASES)
    assert 'res.send("<h1>Hello " + req.query.name + "</h1>");' in by_rule
    # An allowlist stands before this one.
    assert not any('ORDER BY " + column' in line for line in by_rule)


@pytest.fixture(scope="module")
def made() -> Attacks:
    return make_attacks(CASES[:20], PromptStyle("compact", "en"), per_case=len(SCRIPT_VARIANTS))


def test_names_files_and_comments_change_no_small_models_question(made: Attacks) -> None:
    texts = {example.id: example.messages[1].content for example in made.questions}
    assert {each.language for each in made.attacks} == {"javascript"}
    silent = {"comment before", "comment behind", "docstring", "file name", "unused string", "function"}
    kinds = {each.kind for each in made.attacks}
    assert kinds >= silent | HELD_OUT | {"pattern", "template", "asserted string"}
    for each in made.attacks:
        words = set(texts[each.row_after].split()) - set(texts[each.row_before].split())
        telling = [word for word in words if "false" in word or "seguro" in word or "security" in word]
        if each.kind not in HELD_OUT:
            assert telling == [], (each.kind, texts[each.row_after])


def test_a_large_model_reads_the_words_and_not_the_rules_notes(made: Attacks) -> None:
    full = make_attacks(CASES[:4], PromptStyle("full", "en"), per_case=len(SCRIPT_VARIANTS))
    texts = [example.messages[1].content for example in full.questions]
    assert any("false_positive" in text for text in texts)
    assert not any("ruleid" in text for text in texts)
    assert len(made.questions) < len(made.attacks) + 20
