"""Counting findings against a ground truth."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securetag.errors import InputError
from securetag.records import Finding
from securetag.rules import ClassScore, TruthRow, read_truth, score

HEAD = "id,path,scope,cwe,rule_class,vulnerable,why_en,why_es\n"


def finding(path: str, scope: str, cwe: str, line: int = 1) -> Finding:
    return Finding(
        tool="semgrep",
        rule_id="securetag.python.a",
        cwe=cwe,
        title="A",
        message="a",
        severity="high",
        confidence="low",
        language="python",
        path=path,
        start_line=line,
        end_line=line,
        snippet="a",
        snippet_line=1,
        scope=scope,
        fingerprint="v1:" + "0" * 64,
    )


def truth(folder: Path, *rows: str) -> Path:
    path = folder / "truth.csv"
    path.write_text(HEAD + "".join(f"{row},a,b\n" for row in rows))
    return path


def test_hits_misses_and_what_nobody_expected(tmp_path: Path) -> None:
    path = truth(
        tmp_path,
        "1,a.py,f,CWE-89,sql-injection,true",
        "2,a.py,g,CWE-89,sql-injection,true",
        "3,a.py,h,CWE-89,sql-injection,false",
        "4,a.py,i,CWE-89,sql-injection,false",
        "5,a.py,j,CWE-134,,true",
    )
    findings = [
        finding("a.py", "f", "CWE-89", 3),
        finding("a.py", "f", "CWE-89", 4),
        finding("a.py", "h", "CWE-89"),
        finding("b.py", "f", "CWE-22"),
        finding("b.py", "f", "CWE-22", 9),
    ]
    result = score(findings, path)
    assert result.by_class == {
        "CWE-22": ClassScore(tp=0, fp=1, fn=0, precision=0.0, recall=None),
        "CWE-89": ClassScore(tp=1, fp=1, fn=1, precision=0.5, recall=0.5),
        "CWE-134": ClassScore(tp=0, fp=0, fn=1, precision=None, recall=0.0),
    }
    assert list(result.by_class) == ["CWE-22", "CWE-89", "CWE-134"]
    assert (result.total.tp, result.total.fp, result.total.fn) == (1, 2, 2)
    assert (result.claimed.tp, result.claimed.fp, result.claimed.fn) == (1, 2, 1)
    assert [row.id for row in result.misses] == ["2", "5"]
    assert [row.id for row in result.unflagged] == ["4"]
    assert {index: row.id for index, row in result.matched.items()} == {0: "1", 1: "1", 2: "3"}
    assert result.unexpected == [3, 4]


def test_nothing_against_nothing(tmp_path: Path) -> None:
    result = score([], truth(tmp_path))
    assert (result.by_class, result.total) == ({}, ClassScore.of(0, 0, 0))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(b"id,path\n", "columns", id="too few columns"),
        pytest.param(b"", "columns", id="empty"),
        pytest.param(HEAD.encode() + b"1,a,f,CWE-1,x,yes,a,b\n", "ground truth", id="true is yes"),
        pytest.param(HEAD.encode() + b"1,a,f\n", "ground truth", id="too few cells"),
        pytest.param(HEAD.encode() + b"1,a,f,CWE-1,x,true,a,b,c\n", "ground truth", id="too many cells"),
        pytest.param(HEAD.encode() + b"1,a,f,CWE-1,x,true,\xff,b\n", "ground truth", id="not UTF-8"),
        pytest.param(HEAD.encode() + b'1,a,f,CWE-1,x,true,"a,b\n', "ground truth", id="open quote"),
        pytest.param(
            HEAD.encode() + b"1,a,f,CWE-1,x,true,a,b\n1,a,g,CWE-1,x,true,a,b\n",
            "id 1 stands twice",
            id="the same id",
        ),
        pytest.param(
            HEAD.encode() + b"1,a,f,CWE-1,x,true,a,b\n2,a,f,CWE-1,x,false,a,b\n", "place", id="the same place"
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=what):
        read_truth(path)
    with pytest.raises(InputError, match="ground truth"):
        read_truth(tmp_path / "missing.csv")


PLACES = st.tuples(
    st.sampled_from(["a.py", "b/c.js"]),
    st.sampled_from(["", "f", 'app.get("/")']),
    st.sampled_from(["CWE-89", "CWE-22"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.dictionaries(PLACES, st.booleans()), findings=st.lists(PLACES))
def test_every_vulnerability_is_found_or_missed_and_every_finding_has_one_home(
    rows: dict[tuple[str, str, str], bool], findings: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(TruthRow.__struct_fields__)
    for number, ((path, scope, cwe), vulnerable) in enumerate(rows.items()):
        writer.writerow([number, path, scope, cwe, "x", str(vulnerable).lower(), "a", "b"])
    (tmp_path / "truth.csv").write_text(text.getvalue(), newline="")
    result = score([finding(*place) for place in findings], tmp_path / "truth.csv")
    assert result.total.tp + result.total.fn == sum(rows.values())
    assert result.total.fn == len(result.misses)
    assert set(result.matched) | set(result.unexpected) == set(range(len(findings)))
    assert not set(result.matched) & set(result.unexpected)
    assert result.total.tp + result.total.fp == len(set(findings))
    assert sum(counts.tp for counts in result.by_class.values()) == result.total.tp
    assert (
        score([finding(*place) for place in reversed(findings)], tmp_path / "truth.csv").total == result.total
    )
