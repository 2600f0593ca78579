"""Reports as CodeQL, njsscan, gosec and ESLint write them, each in its own way."""

from __future__ import annotations

from pathlib import Path

import pytest
from sarif_tools import TOOLS, write_project

from securetag.scanning.evidence import combine_evidence
from securetag.scanning.sarif.findings import to_findings
from securetag.scanning.sarif.read import SarifReport, read_sarif
from securetag.scanning.scanner import Match, findings_of
from securetag.scanning.snippet import Columns, SourceFile

#: Tool → (path, line, CWE, severity, confidence, suppressed) of each result. `low` is what the caller says
#: of a rule without a confidence.
EXPECTED = {
    "codeql": [
        ("app/views.py", 3, "CWE-89", "high", "high", False),
        ("app/views.py", 2, "CWE-89", "high", "high", False),
    ],
    "njsscan": [("src/app.js", 2, "CWE-95", "high", "low", False)],
    "gosec": [("main.go", 4, "CWE-78", "medium", "high", True)],
    "eslint": [
        ("src/app.js", 2, "CWE-95", "high", "low", True),
        ("src/app.js", 2, "CWE-95", "medium", "low", False),
    ],
    "indexed": [("app/views.py", 3, "CWE-89", "medium", "low", False)],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def read(tool: str, project: Path) -> SarifReport:
    return read_sarif(TOOLS[tool](), project=project)


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_is_read_in_its_own_way(tool: str, project: Path) -> None:
    report = read(tool, project)
    assert not report.left_out
    assert not report.failed
    assert [
        (
            result.match.path,
            result.match.start_line,
            result.match.cwe,
            result.match.severity,
            result.match.confidence,
            result.suppressed,
        )
        for result in report.results
    ] == EXPECTED[tool]


def test_codeql_has_a_data_flow_and_its_message_no_links(project: Path) -> None:
    match = read("codeql", project).results[0].match
    assert match.message == "This query depends on a value of a user."
    assert [(step.start_line, step.text) for step in match.trace] == [
        (1, "request"),
        (2, "name"),
        (3, "... + ..."),
    ]


@pytest.mark.parametrize(("tool", "code"), [("njsscan", "eval(req.query.code)"), ("eslint", "eval")])
def test_columns_count_as_javascript_does(tool: str, code: str, project: Path) -> None:
    match = read(tool, project).results[-1].match
    assert match.columns is not None
    source = SourceFile((project / match.path).read_bytes(), "javascript")
    span = source.span(2, 2, match.columns)
    assert span is not None
    assert source.content[slice(*span)].decode() == code


def test_the_call_that_columns_name_is_the_sink(project: Path) -> None:
    """Of a whole line it is that of the last statement, `done(…)`."""
    whole, exact = (
        findings_of([Match("R", "src/app.js", 2, 2, "t", "m", "low", columns=columns)], project, tool="x")[0]
        for columns in (None, Columns(24, 44, in_utf16=True))
    )
    assert whole.identity is not None
    assert exact.identity is not None
    assert whole.identity.sink != exact.identity.sink
    assert exact.snippet == whole.snippet


@pytest.mark.parametrize("columns", [Columns(900, 950), Columns(1, 1), Columns(5, 2)])
def test_columns_beyond_the_line_are_left_aside(columns: Columns, project: Path) -> None:
    (finding,) = findings_of(
        [Match("R", "src/app.js", 2, 2, "t", "m", "low", columns=columns)], project, tool="x"
    )
    assert finding.start_line == 2


def test_tools_that_agree_are_one_finding(project: Path) -> None:
    results = [result for tool in ("njsscan", "eslint") for result in read(tool, project).results]
    (finding,) = combine_evidence(to_findings(results, project), project)
    assert [(match.tool, match.rule_id) for match in finding.matches] == [
        ("eslint", "no-eval"),
        ("eslint", "security/detect-eval-with-expression"),
        ("nodejsscan", "eval_of_input"),
    ]
    assert (finding.severity, finding.confidence) == ("high", "medium")
