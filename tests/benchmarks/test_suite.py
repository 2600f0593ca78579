"""The development set as a suite: its code from packages, and what the index hasn't got left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.real import suite
from benchmarks.real.development import JudgedFinding
from securetag.datasets.realism.external import read_suite
from securetag.errors import ToolError


def judged(package: str, line: int, label: str) -> JudgedFinding:
    return JudgedFinding(
        ecosystem="pypi",
        package=package,
        version="1.0",
        file="views.py",
        line=line,
        cwe="CWE-89",
        label=label,  # type: ignore[arg-type]
        reason="written for this test",
    )


FINDINGS = [
    judged("shop", 2, "true_positive"),
    judged("gone", 2, "true_positive"),
    judged("shop", 3, "false_positive"),
]


def answer_as_index(package: Path) -> suite.FetchPackage:
    """A fake of the package indexes, which can't be reached in tests: they have `shop` alone."""

    def fetch(ecosystem: str, name: str, version: str) -> Path:
        if name != "shop":
            raise ToolError(f"the index has no {name} {version}")
        return package

    return fetch


def test_a_suite_has_the_files_of_the_packages_that_can_be_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "views.py").write_text("def show(db, name):\n    db.execute(name)\n    db.execute('now')\n")
    folder = tmp_path / "suites" / "real"
    assert suite.write_suite(folder, FINDINGS, answer_as_index(package)) == 2
    assert "gone 1.0" in capsys.readouterr().err
    findings = read_suite(folder).findings
    assert [(finding.line, finding.label) for finding in findings] == [
        (2, "true_positive"),
        (3, "false_positive"),
    ]
    (package / "views.py").unlink()
    assert suite.write_suite(folder, FINDINGS, answer_as_index(package)) == 2, "it is fetched once"


def test_without_an_index_there_is_no_suite(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no package"):
        suite.write_suite(tmp_path / "real", FINDINGS[1:2], answer_as_index(tmp_path))
    assert list(tmp_path.iterdir()) == []
