"""Modules around handlers and data flows: what is written, from which names, and that it runs."""

from __future__ import annotations

import ast
from random import Random

import pytest

from securetag.datasets.synthetic import stage
from securetag.datasets.synthetic.child import judge
from securetag.datasets.synthetic.flows import FLOWS, UNSEEN
from securetag.datasets.synthetic.sample import _draft, _plans, trial_of
from securetag.datasets.synthetic.vocabulary import describe_packages, load_vocabulary


@pytest.fixture(scope="module")
def codes() -> list[str]:
    stream = _plans("train", 3)
    return [_draft("train", next(stream), Random(0))[2][0].code for _ in range(150)]


def test_modules_are_as_long_as_real_handlers(codes: list[str]) -> None:
    lines = sorted(code.count("\n") for code in codes)
    assert lines[len(lines) // 2] >= 18
    assert lines[len(lines) * 9 // 10] >= 40


def test_most_modules_import_or_decorate(codes: list[str]) -> None:
    kinds = (ast.Import, ast.ImportFrom)
    having = [
        any(isinstance(node, kinds) for node in ast.walk(ast.parse(code))) or "@" in code for code in codes
    ]
    assert sum(having) >= 0.8 * len(codes)


def test_names_are_many_and_none_is_a_builtin() -> None:
    words = load_vocabulary()
    assert len(words.nouns) + len(words.functions) + len(words.classes) >= 4_000
    assert not {"open", "request", "eval", "print", "class", "db"} & {*words.nouns, *words.functions}
    assert "Django" in describe_packages()


def test_every_module_of_a_plan_runs() -> None:
    world = stage.Stage()
    stream = _plans("train", 5)
    reached = []
    for _ in range(25):
        plan = next(stream)
        # Raises where the module can't be executed.
        function = _draft("train", plan, Random(0))[2][0]
        reached.append(judge(trial_of(plan, function), world, {}).honest > 0)
    assert sum(reached) >= 0.5 * len(reached)


def test_every_flow_marks_a_mistake() -> None:
    assert all("«" in text and "|" in text for text in FLOWS.values())
    assert set(FLOWS) >= UNSEEN
