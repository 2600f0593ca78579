"""SARIF of other tools: how they name paths, CWEs, severities and precision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.errors import InputError
from securetag.scanning.sarif.read import SarifReport, SarifResult, read_sarif

SCORED = {"security-severity": "9.8", "precision": "very-high"}
BANDIT = {"issue_severity": "LOW", "issue_confidence": "MEDIUM"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a b.py").write_text("eval(x)\n" * 9)
    return tmp_path


def read(project: Path | None, result: Any, rule: Any = None, **run: Any) -> SarifReport:
    result = {"ruleId": "R1", "message": {"text": "bad"}, **result}
    rules = [{"id": "R1", **(rule or {})}]
    driver = {"name": "Tool", "semanticVersion": "1.2", "rules": rules}
    document = {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": [result], **run}]}
    return read_sarif(json.dumps(document).encode(), project=project)


def at(uri: str, line: int = 3, **artifact: Any) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": uri, **artifact}, "region": {"startLine": line}}
    return {"locations": [{"physicalLocation": place}]}


def one(report: SarifReport) -> SarifResult:
    (result,) = report.results
    return result


@pytest.mark.parametrize(
    "uri", ["src/a%20b.py", "./src/a b.py", "file:///ci/build/7/src/a%20b.py", "src\\a b.py"]
)
def test_a_path_is_made_relative_to_the_project(project: Path, uri: str) -> None:
    assert one(read(project, at(uri))).match.path == "src/a b.py"


def test_an_absolute_path_of_the_project(project: Path) -> None:
    uri = (project / "src" / "a b.py").as_uri()
    assert one(read(project, at(uri))).match.path == "src/a b.py"


def test_a_path_from_a_base(project: Path) -> None:
    bases = {"SRC": {"uri": "src/", "uriBaseId": "ROOT"}, "ROOT": {"uri": project.as_uri() + "/"}}
    report = read(project, at("a%20b.py", uriBaseId="SRC"), originalUriBaseIds=bases)
    assert one(report).match.path == "src/a b.py"


@pytest.mark.parametrize(
    "uri", ["../a.py", "src/../../a.py", "https://example.org/src/a.py", "missing.py", "src", "", "a%00b"]
)
def test_a_path_outside_the_project_is_left_out_and_counted(project: Path, uri: str) -> None:
    report = read(project, at(uri))
    assert (report.results, sum(report.left_out.values())) == ([], 1)


def test_a_result_without_a_line_is_left_out_and_counted(project: Path) -> None:
    report = read(project, {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "src/a b.py"}}}]})
    assert report.left_out == {"no place": 1}
    assert read(project, {**at("src/a b.py"), "kind": "pass"}).left_out == {"not a problem": 1}


@pytest.mark.parametrize(
    ("result", "rule", "cwe"),
    [
        ({}, {"properties": {"tags": ["security", "external/cwe/cwe-089"]}}, "CWE-89"),
        ({}, {"properties": {"tags": ["CWE-89: Improper Neutralization (SQL)"]}}, "CWE-89"),
        ({"properties": {"cwe": "CWE-89"}}, {"properties": {"cwe": ["CWE-79: XSS"]}}, "CWE-89"),
        ({"taxa": [{"id": "89", "toolComponent": {"name": "CWE"}}]}, {}, "CWE-89"),
        ({}, {"relationships": [{"target": {"id": "CWE-89", "toolComponent": {"name": "CWE"}}}]}, "CWE-89"),
        ({}, {"properties": {"tags": ["A03:2021"]}}, ""),
    ],
    ids=["codeql", "semgrep", "result before rule", "taxa", "relationship", "none"],
)
def test_the_cwe_in_the_forms_that_tools_use(project: Path, result: Any, rule: Any, cwe: str) -> None:
    assert one(read(project, {**at("src/a b.py"), **result}, rule)).match.cwe == cwe


@pytest.mark.parametrize(
    ("result", "rule", "severity", "confidence"),
    [
        ({"level": "error"}, {}, "high", "low"),
        ({}, {"defaultConfiguration": {"level": "note"}}, "low", "low"),
        ({}, {}, "medium", "low"),
        ({"level": "note"}, {"properties": SCORED}, "critical", "high"),
        ({"level": "error", "properties": BANDIT}, {}, "low", "medium"),
    ],
    ids=["level", "level of the rule", "default", "codeql", "bandit"],
)
def test_severity_and_confidence(
    project: Path, result: Any, rule: Any, severity: str, confidence: str
) -> None:
    match = one(read(project, {**at("src/a b.py"), **result}, rule)).match
    assert (match.severity, match.confidence) == (severity, confidence)


def test_a_data_flow_is_the_trace(project: Path) -> None:
    steps = [
        {"location": {**at("src/a b.py", n)["locations"][0], "message": {"text": f"step {n}"}}}
        for n in (2, 5)
    ]
    result = {**at("src/a b.py", 5), "codeFlows": [{"threadFlows": [{"locations": steps}]}]}
    assert [(step.start_line, step.text) for step in one(read(project, result)).match.trace] == [
        (2, "step 2"),
        (5, "step 5"),
    ]


def test_a_message_of_the_rule_with_arguments(project: Path) -> None:
    result = {**at("src/a b.py"), "message": {"id": "m", "arguments": ["x", "eval"]}}
    match = one(read(project, result, {"messageStrings": {"m": {"text": "{0} reaches {1}"}}})).match
    assert match.message == "x reaches eval"


def test_suppressions_are_told(project: Path) -> None:
    assert one(read(project, {**at("src/a b.py"), "suppressions": [{"kind": "inSource"}]})).suppressed


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"version": "1.0.0", "runs": []}', b'{"version": "2.1.0"}', b"\xff\xfe"]
)
def test_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        read_sarif(content)


@given(uri=st.text(max_size=60))
def test_no_path_leads_out_of_the_project(uri: str) -> None:
    for result in read(None, at(uri)).results:
        assert not result.match.path.startswith("/")
        assert ".." not in result.match.path.split("/")
