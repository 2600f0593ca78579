"""The demo's vulnerable shop: what the issue asks of it, and what the rules find in it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from securetag.records import Finding
from securetag.rules import Accuracy, catalogue, read_truth, score
from securetag.rules.pack import RULES
from securetag.triage import MAX_SNIPPET_CHARS

BODEGA = RULES.parent / "examples" / "bodega"
TRUTH = BODEGA / "ground_truth.csv"


@pytest.fixture(scope="module")
def findings(scan_folder: Callable[[Path], list[Finding]]) -> list[Finding]:
    """What the rules report for more than its shape: the ground truth lists no places of shapes alone."""
    rules = catalogue()
    return [finding for finding in scan_folder(BODEGA) if rules[finding.rule_id].kind != "shape"]


@pytest.fixture(scope="module")
def accuracy(findings: list[Finding]) -> Accuracy:
    return score(findings, TRUTH)


def test_every_module_compiles() -> None:
    for path in sorted(BODEGA.rglob("*.py")):
        compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)


def test_it_is_broad_enough() -> None:
    rows = read_truth(TRUTH)
    vulnerable = [row for row in rows if row.is_vulnerable]
    assert len(vulnerable) >= 50
    assert len({row.cwe for row in vulnerable}) >= 16
    assert len(rows) - len(vulnerable) >= 24
    cwe_by_rule = {name.rsplit(".", 1)[1]: rule.cwe for name, rule in catalogue().items()}
    assert all(cwe_by_rule[row.rule_class] == row.cwe for row in rows if row.rule_class)


def test_every_row_names_a_function_that_exists() -> None:
    for row in read_truth(TRUTH):
        text = (BODEGA / row.path).read_text(encoding="utf-8")
        if row.path.endswith(".py"):
            names = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
            assert not row.scope or row.scope in names
        else:
            assert f"function {row.scope}(" in text


def test_the_rules_find_what_they_claim(accuracy: Accuracy) -> None:
    assert accuracy.claimed.recall is not None
    assert accuracy.claimed.recall >= 0.95
    assert [row.scope for row in accuracy.misses] == ["receipt"]


def test_every_guarded_place_is_reported(accuracy: Accuracy) -> None:
    assert [row.scope for row in accuracy.unflagged] == []


def test_plain_safe_code_is_not_reported(accuracy: Accuracy, findings: list[Finding]) -> None:
    assert [findings[index] for index in accuracy.unexpected] == []


def test_one_place_one_finding(findings: list[Finding]) -> None:
    places = [(finding.path, finding.scope, finding.cwe) for finding in findings]
    assert len(places) == len(set(places))


def test_functions_fit_into_a_prompt(findings: list[Finding]) -> None:
    assert max(len(finding.snippet) for finding in findings) <= MAX_SNIPPET_CHARS["compact"] // 2


def test_most_is_severe_enough_for_triage(findings: list[Finding]) -> None:
    severe = [finding for finding in findings if finding.severity in {"high", "critical"}]
    assert len(severe) / len(findings) > 0.9


def test_the_scrubber_gets_work(findings: list[Finding]) -> None:
    snippets = "\n".join(finding.snippet for finding in findings)
    for planted in ("ghp_", "@bodega.example", "warehouse-3.bodega.internal"):
        assert planted in snippets
