"""Modules around handlers and data flows: what is written, from which names, and that it runs."""

from __future__ import annotations

import ast
import re
from collections import Counter
from itertools import islice
from random import Random

import pytest

from securetag.datasets.synthetic import oracle, stage
from securetag.datasets.synthetic.child import judge
from securetag.datasets.synthetic.flows import DEFAULT_NAMES, FLOWS, TEMPLATES, UNSEEN, write_flow
from securetag.datasets.synthetic.guards import GUARDS
from securetag.datasets.synthetic.modules import use_single_quotes
from securetag.datasets.synthetic.routes import ROUTE_PAIRS, list_frameworks
from securetag.datasets.synthetic.sample import _draft, _plan, _plans, trial_of
from securetag.datasets.synthetic.shapes import write_function
from securetag.datasets.synthetic.sinks import sink_named
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


def test_a_world_of_few_mistakes_draws_dropped_checks_in_every_shape() -> None:
    mistakes = ("dead", "wrong-variable")
    plans = islice(_plans("train", 3, has_packages=False), 600)
    drafts = [_draft("train", plan, Random(0), mistakes) for plan in plans]
    checks = [(plan, functions) for _, plan, functions in drafts if plan.guard.kind == "check"]
    assert all({f.mode for f in functions} & {*mistakes} for _, functions in checks)
    dropped = Counter(plan.shape for plan, functions in checks if {"dead"} & {f.mode for f in functions})
    assert min(dropped[shape] / count for shape, count in Counter(p.shape for p, _ in checks).items()) > 0.4
    # What can't be written wrongly makes no pair, and isn't run.
    assert {len(functions) for _, plan, functions in drafts if plan.guard.kind == "flow"} == {0}


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
    assert all("«" in text and "|" in text for text in [*FLOWS.values(), *TEMPLATES.values()])
    assert {*FLOWS, *TEMPLATES} >= UNSEEN


def test_single_quotes_change_nothing_but_the_quotes(codes: list[str]) -> None:
    texts = [*codes, 'x = \'a "b"\' + "it\'s" + "\\n"  # "c"\n', '"""A "word"."""\n', 'f"{a}/b" "c"\n']
    assert all(ast.dump(ast.parse(text)) == ast.dump(ast.parse(use_single_quotes(text))) for text in texts)
    assert use_single_quotes(texts[-1]) == "f'{a}/b' 'c'\n"
    styles = {'"' in code and "'" not in code for code in codes}
    assert styles == {True, False}


def test_few_handlers_are_decorated(codes: list[str]) -> None:
    decorated = ["@" in code for code in codes]
    assert 0.1 * len(codes) <= sum(decorated) <= 0.6 * len(codes)


@pytest.mark.parametrize("name", sorted(ROUTE_PAIRS))
def test_a_converter_lets_no_attack_through_and_a_text_does(name: str) -> None:
    guard = next(guard for guard in GUARDS if guard.name == name)
    sink = sink_named("sql-number" if name in {"int-part", "digits-part"} else "shell-system")
    drawn = [plan for n in range(60) if (plan := _plan(Random(n), sink, guard, "train")) is not None]
    plans = {plan.framework.name: plan for plan in drawn}
    assert sorted(plans) == sorted(list_frameworks(name))
    for mode, label in (("sound", "false_positive"), ("weak", "true_positive")):
        trials = [trial_of(plan, write_function(plan, mode)) for plan in plans.values()]
        labels = [oracle.label_of(outcome) for outcome in oracle.run_trials(trials)]
        assert dict(zip(plans, labels, strict=True)) == dict.fromkeys(plans, label)


def test_no_number_or_quoted_word_of_the_flows_stands_on_one_side_alone() -> None:
    # A word of one label alone tells it: "90" and "x" did, in 172 of 21,000 rows each.
    sides: list[Counter[str]] = [Counter(), Counter()]
    for text in [*FLOWS.values(), *TEMPLATES.values()]:
        for variant, words in enumerate(sides):
            above, inside = write_flow(
                text, variant, variable="value", result="result", names=DEFAULT_NAMES, constants=("a", "b")
            )
            code = "\n".join(line for _, line, _ in [*above, *inside])
            words.update(re.findall(r"(?<=\")\w+(?=\")|\b\d+\b", code))
    assert set(sides[0]) == set(sides[1])
