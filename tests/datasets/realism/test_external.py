"""Suites of other people: labels join findings, and nothing that tells a label is left in the code."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetag.datasets.realism.external import list_suites, read_suite, strip_comments
from securetag.errors import InputError

PYTHON = '''# CWE-78, vulnerable
"""Vulnerable case 1."""
import os


def bad(name):
    """FLAW: runs what is given."""
    os.system(name)  # FLAW
    return "# no comment"
'''
JAVASCRIPT = "/* POTENTIAL FLAW */\nfunction run(a) {\n  // GOOD\n  exec(a);\n}\n"
HEADER = "case,file,line,cwe,is_vulnerable,notes\n"


def write_suite(folder: Path, rows: str, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vulnerable_1.py").write_text(PYTHON)
    (folder / "good").mkdir(exist_ok=True)
    (folder / "good" / "a.js").write_text(JAVASCRIPT)
    (folder / "labels.csv").write_text(HEADER + rows)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def report(*places: tuple[str, int, str]) -> str:
    """Return findings as our commands print them, with fields that are ignored."""
    return json.dumps([{"path": p, "start_line": line, "cwe": cwe, "title": "x"} for p, line, cwe in places])


def sarif(path: str, line: int, cwe: str) -> str:
    place = {"physicalLocation": {"artifactLocation": {"uri": path}, "region": {"startLine": line}}}
    rule = {"id": "r", "properties": {"tags": [cwe]}}
    result = {"ruleId": "r", "message": {"text": "x"}, "locations": [place]}
    run = {"tool": {"driver": {"name": "any", "rules": [rule]}}, "results": [result]}
    return json.dumps({"version": "2.1.0", "runs": [run]})


def test_nothing_that_tells_the_label_is_shown(tmp_path: Path) -> None:
    rows = "x,vulnerable_1.py,8,CWE-78,true,\ny,good/a.js,4,CWE-78,false,\n"
    suite = read_suite(write_suite(tmp_path / "suite", rows))
    assert [(f.label, f.line, f.cwe) for f in suite.findings] == [
        ("true_positive", 8, "CWE-78"),
        ("false_positive", 4, "CWE-78"),
    ]
    assert [f.file for f in suite.findings] == ["case-00001/code.py", "case-00002/code.js"]
    assert len({f.group for f in suite.findings}) == 2
    shown = msgspec.json.encode(suite.findings).decode().lower()
    assert "flaw" not in shown
    assert "vulnerable_1" not in shown
    assert "good" not in shown
    assert "# no comment" in shown


def test_findings_take_the_label_of_their_file_family_and_line(tmp_path: Path) -> None:
    rows = "x,vulnerable_1.py,8,CWE-78,1,\nx,vulnerable_1.py,,CWE-89,no,\ny,good/a.js,4,CWE-78,yes,\n"
    findings = report(
        ("vulnerable_1.py", 7, "CWE-77"),
        ("vulnerable_1.py", 3, "CWE-78"),
        ("vulnerable_1.py", 9, "CWE-89"),
        ("vulnerable_1.py", 9, "CWE-22"),
    )
    suite = read_suite(write_suite(tmp_path / "suite", rows, findings_json=findings))
    assert [(f.line, f.cwe, f.label) for f in suite.findings] == [
        (7, "CWE-78", "true_positive"),
        (9, "CWE-89", "false_positive"),
    ]
    assert (suite.missed, suite.unlabeled) == (1, 2)


def test_findings_may_be_sarif(tmp_path: Path) -> None:
    rows = "x,vulnerable_1.py,8,CWE-78,true,\n"
    content = sarif("vulnerable_1.py", 8, "external/cwe/cwe-078")
    (finding,) = read_suite(write_suite(tmp_path / "suite", rows, findings_sarif=content)).findings
    assert (finding.line, finding.label) == (8, "true_positive")


def test_a_folder_holds_suites_or_is_one(tmp_path: Path) -> None:
    first = write_suite(tmp_path / "a", "x,vulnerable_1.py,8,CWE-78,true,\n")
    second = write_suite(tmp_path / "b", "x,vulnerable_1.py,8,CWE-78,true,\n")
    assert list_suites(tmp_path) == [first, second]
    assert list_suites(first) == [first]
    with pytest.raises(InputError, match="no suite"):
        list_suites(tmp_path / "a" / "good")


@pytest.mark.parametrize(
    ("rows", "files"),
    [
        pytest.param("x,vulnerable_1.py,,CWE-78,true,\n", {}, id="no line and no findings"),
        pytest.param("x,vulnerable_1.py,99,CWE-78,true,\n", {}, id="a line beyond the end"),
        pytest.param("x,vulnerable_1.py,0,CWE-78,true,\n", {}, id="line 0"),
        pytest.param("x,vulnerable_1.py,ten,CWE-78,true,\n", {}, id="a word as a line"),
        pytest.param("x,../other/a.py,1,CWE-78,true,\n", {}, id="a path that leaves the suite"),
        pytest.param("x,/etc/hosts.py,1,CWE-78,true,\n", {}, id="an absolute path"),
        pytest.param("x,none.py,1,CWE-78,true,\n", {}, id="no file"),
        pytest.param("x,labels.csv,1,CWE-78,true,\n", {}, id="a language without rules"),
        pytest.param("x,vulnerable_1.py,8,CWE-78,maybe,\n", {}, id="another label"),
        pytest.param("x,vulnerable_1.py,8,CWE-78,true,\n", {"findings_json": "{"}, id="no JSON"),
        pytest.param("x,vulnerable_1.py,8,CWE-78,true,\n", {"findings_sarif": "{}"}, id="no SARIF"),
    ],
)
def test_another_form_is_refused_with_the_suites_name(
    tmp_path: Path, rows: str, files: dict[str, str]
) -> None:
    with pytest.raises(InputError):
        read_suite(write_suite(tmp_path / "suite", rows, **files))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "suite", "")
    (folder / "labels.csv").write_text("case,file,line,cwe\n")
    with pytest.raises(InputError, match="is_vulnerable"):
        read_suite(folder)


@given(st.text(max_size=200), st.sampled_from(["python", "javascript", "typescript"]))
def test_lines_and_columns_stay_where_they_were(text: str, language: str) -> None:
    content = text.encode(errors="replace")
    stripped = strip_comments(content, language)
    assert len(stripped) == len(content)
    assert [len(line) for line in stripped.split(b"\n")] == [len(line) for line in content.split(b"\n")]
    assert strip_comments(stripped, language) == stripped or language != "python"
