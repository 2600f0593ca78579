"""Findings of one place become one, those of two stay two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from securetag.records import Finding, RuleKind, RuleMatch
from securetag.scanning.evidence import combine_evidence, family_of

FINGERPRINT = "v1:" + "0" * 64


def make(line: int, kind: RuleKind = "shape", **fields: Any) -> Finding:
    values: dict[str, Any] = {
        "tool": "semgrep",
        "rule_id": f"rule.{kind}",
        "path": "app.py",
        "language": "python",
        "start_line": line,
        "end_line": line,
        "snippet": "",
        "snippet_line": 1,
        "scope": "view",
        "cwe": "CWE-89",
        "title": kind,
        "message": kind,
        "severity": "high",
        "confidence": "medium",
        "fingerprint": FINGERPRINT,
        **fields,
    }
    match = RuleMatch(
        tool=values["tool"],
        rule_id=values["rule_id"],
        cwe=values["cwe"],
        kind=kind,
        start_line=values["start_line"],
        end_line=values["end_line"],
    )
    return Finding(**{"matches": [match], **values})


def test_a_shape_and_a_trace_are_one_finding_with_the_statement_of_the_trace(tmp_path: Path) -> None:
    shape, traced = make(10, severity="critical"), make(13, "traced", cwe="CWE-564")
    (place,) = combine_evidence([shape, traced], tmp_path)
    assert (place.rule_id, place.start_line, place.title) == ("rule.traced", 13, "traced")
    assert [match.rule_id for match in place.matches] == ["rule.traced", "rule.shape"]
    assert (place.severity, place.confidence) == ("critical", "high")
    assert place.rank == 760


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"line": 14}, id="further than three lines"),
        pytest.param({"line": 11, "path": "other.py"}, id="another file"),
        pytest.param({"line": 11, "cwe": "CWE-79"}, id="another weakness"),
        pytest.param({"line": 11, "scope": "other"}, id="another function"),
        pytest.param({"line": 11, "scope": ""}, id="after the function"),
    ],
)
def test_two_places_stay_two(tmp_path: Path, other: dict[str, Any]) -> None:
    findings = [make(10), make(other.pop("line"), "traced", **other)]
    assert len(combine_evidence(findings, tmp_path)) == 2


def test_neighbors_of_the_same_rules_are_told_apart(tmp_path: Path) -> None:
    findings = [make(10), make(10, "traced"), make(12), make(12, "traced"), make(14)]
    places = combine_evidence(findings, tmp_path)
    assert [(place.start_line, place.confidence) for place in places] == [
        (10, "high"),
        (12, "high"),
        (14, "low"),
    ]
    assert sum(len(place.matches) for place in places) == 5


def test_one_rule_on_overlapping_lines_is_one_place(tmp_path: Path) -> None:
    (place,) = combine_evidence([make(10, end_line=12), make(11, end_line=11)], tmp_path)
    assert (place.start_line, len(place.matches)) == (10, 2)


def test_a_second_engine_doesnt_take_over_the_statement_of_our_rule(tmp_path: Path) -> None:
    ours = make(10, "secret", cwe="CWE-798")
    other = make(9, "secret", cwe="CWE-798", tool="secrets", confidence="high")
    (place,) = combine_evidence([other, ours], tmp_path)
    assert (place.tool, place.start_line, place.confidence) == ("semgrep", 10, "high")


def test_the_order_of_the_scanners_changes_nothing(tmp_path: Path) -> None:
    findings = [
        make(10),
        make(12, "traced"),
        make(11, "external", tool="bandit", rule_id="B608"),
        make(13, "template"),
        make(30, "external", tool="bandit", rule_id="B608"),
    ]
    forward = combine_evidence(findings, tmp_path)
    assert forward == combine_evidence(findings[::-1], tmp_path)
    assert [match.tool for match in forward[0].matches] == ["semgrep", "semgrep", "semgrep", "bandit"]


def test_a_second_engine_raises_the_confidence(tmp_path: Path) -> None:
    (alone,) = combine_evidence([make(10)], tmp_path)
    bandit = make(10, "external", tool="bandit", rule_id="B608")
    (both,) = combine_evidence([make(10), bandit], tmp_path)
    assert (alone.confidence, both.confidence) == ("low", "medium")
    assert both.rank > alone.rank


def test_findings_without_a_cwe_are_one_place_only_for_the_same_rule(tmp_path: Path) -> None:
    findings = [make(10, "external", cwe="", rule_id=f"X{n}", tool="other") for n in range(2)]
    assert len(combine_evidence(findings, tmp_path)) == 2


def test_the_rank_follows_impact_evidence_and_the_purpose_of_the_file(tmp_path: Path) -> None:
    findings = [
        make(1, path="tests/test_app.py"),
        make(1, path="app.py", severity="low"),
        make(1, path="app2.py"),
        make(1, "traced", path="app3.py"),
        make(1, path="app3.py"),
    ]
    places = combine_evidence(findings, tmp_path)
    assert [place.path for place in places] == ["app3.py", "app2.py", "tests/test_app.py", "app.py"]
    assert places[2].path_class == "test"


def test_ten_thousand_findings_in_one_file_take_time_by_their_number(tmp_path: Path) -> None:
    findings = [make(line, end_line=100_000, rule_id=f"r{line}") for line in range(1, 10_001)]
    assert 100 < len(combine_evidence(findings, tmp_path)) < 10_001


def test_families_join_the_numbers_of_one_weakness() -> None:
    assert family_of("CWE-564") == family_of("CWE-89") != family_of("CWE-79")
    assert family_of("CWE-99999") == "CWE-99999"
    assert family_of("") == ""


CODE = """\
def view(db, table):
    sql = f"select * from {table}"
    rows = []
    count = 0
    size = 0
    limit = 10
    sql += f" where {table}"
    order = 1
    log(order)
    log(limit)
    db.execute(sql)
    db.execute("select 1")
"""


def test_a_text_belongs_to_the_place_that_uses_it_however_far_above(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(CODE)
    texts = [make(2, rule_id="sql-text"), make(7, rule_id="sql-text")]
    (place,) = combine_evidence([*texts, make(11, rule_id="sql-formatted")], tmp_path)
    assert (place.rule_id, place.start_line) == ("sql-formatted", 11)
    assert [(match.rule_id, match.start_line) for match in place.matches] == [
        ("sql-formatted", 11),
        ("sql-text", 2),
        ("sql-text", 7),
    ]


@pytest.mark.parametrize(
    "used",
    [
        pytest.param({"line": 12}, id="another text is used"),
        pytest.param({"line": 11, "rule_id": "sql-text"}, id="the same rule"),
        pytest.param({"line": 11, "cwe": "CWE-79"}, id="another weakness"),
        pytest.param({"line": 11, "language": "generic"}, id="lines that aren't those of the file"),
    ],
)
def test_a_text_that_isnt_used_at_a_place_is_its_own(tmp_path: Path, used: dict[str, Any]) -> None:
    (tmp_path / "app.py").write_text(CODE)
    line = used.pop("line")
    findings = [make(2, rule_id="sql-text"), make(line, **{"rule_id": "sql-formatted", **used})]
    assert len(combine_evidence(findings, tmp_path)) == 2


@pytest.mark.parametrize(
    ("kind", "places"),
    [pytest.param("shape", 2, id="a shape"), pytest.param("secret", 3, id="secrets, which are two")],
)
def test_a_rule_that_reports_two_lines_of_one_text_means_one_place(
    tmp_path: Path, kind: RuleKind, places: int
) -> None:
    text = 'def view(table):\n    one = f"""\n' + "\n".join(["select 1 from {table}"] * 9) + '\n"""\n'
    (tmp_path / "app.py").write_text(f'{text}    two = f"select {{table}}"\n')
    combined = combine_evidence([make(3, kind), make(9, kind), make(13, kind)], tmp_path)
    assert len(combined) == places
