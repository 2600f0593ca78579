"""Labels of real findings: facts alone, of the held-out packages alone, enough of them, by stated rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.real.corpus import Role, read_places
from benchmarks.real.labels import group_places, is_changed, read_findings
from securetag.datasets.realism import LabeledSnippet, render_finding
from securetag.errors import InputError
from securetag.records import Finding

HEADER = "ecosystem,package,version,file,line,cwe,label,reason\n"


def test_the_held_out_packages_carry_enough_labeled_findings() -> None:
    findings = read_findings()
    assert len(findings) >= 150
    assert findings == read_findings(roles=[Role.MODEL_DEV, Role.MODEL_TEST])
    for role in (Role.MODEL_DEV, Role.MODEL_TEST):
        assert {row.label for row in read_findings(roles=[role])} == {"true_positive", "false_positive"}


def test_labels_follow_the_stated_rules() -> None:
    versions = {(*place.key, place.vulnerable_version): "vulnerable" for place in read_places()}
    versions |= {(*place.key, place.fixed_version): "fixed" for place in read_places()}
    expected = {
        "advisory": ("true_positive", "vulnerable"),
        "unreported": ("false_positive", "vulnerable"),
        "fixed": ("false_positive", "fixed"),
    }
    for row in read_findings():
        assert (row.label, versions[row.ecosystem, row.package, row.version]) == expected[row.reason]
        assert row.line >= 1
        assert not row.file.startswith(("/", ".."))


def test_pairs_of_versions_hold_all_their_places() -> None:
    places = read_places()
    groups = group_places(places)
    assert sorted(map(str, [place for group in groups for place in group])) == sorted(map(str, places))
    assert all(len({(p.key, p.vulnerable_version) for p in group}) == 1 for group in groups)


def finding(line: int) -> Finding:
    return Finding(
        tool="t",
        rule_id="r",
        cwe="CWE-78",
        title="",
        message="",
        severity="medium",
        confidence="medium",
        language="python",
        path="a.py",
        start_line=line,
        end_line=line,
        snippet="x",
        snippet_line=line,
        scope="",
        fingerprint="v2:" + "0" * 64,
    )


def test_a_finding_is_the_advisorys_only_in_a_function_that_the_fix_changed(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, guard in ((before, "pass"), (after, "check(a)")):
        folder.mkdir()
        (folder / "a.py").write_text(
            f"import os\nX = os.popen('{guard}')\n\ndef f(a):\n    {guard}\n    os.system(a)\n\n"
            "def g(a):\n    os.system(a)\n"
        )
    assert is_changed(finding(6), before, after)
    assert is_changed(finding(6), after, before)
    assert not is_changed(finding(9), before, after)
    assert is_changed(finding(2), before, after)
    assert not is_changed(finding(1), before, after)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("package,version\n", "columns", id="other columns"),
        pytest.param(HEADER + "pypi,a,1,a.py,1,CWE-1,perhaps,fixed\n", "label", id="no such label"),
        pytest.param(HEADER + "pypi,a,1,a.py,x,CWE-1,true_positive,advisory\n", "line", id="no number"),
    ],
)
def test_wrong_labels_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "findings.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_findings(path)


@given(st.text(max_size=80), st.integers(1, 5))
def test_any_snippet_can_be_asked_about(code: str, line: int) -> None:
    snippet = LabeledSnippet(
        file="a.py", line=line, label="true_positive", language="python", code=code, first_line=1
    )
    assert render_finding(snippet, "compact").lines >= 1
