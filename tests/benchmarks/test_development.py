"""Labels that people gave: one form, the packages of development alone, true positives of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.real.corpus import Role, read_places
from benchmarks.real.development import JudgedFinding, read_development, read_judged
from benchmarks.real.labels import read_findings
from securetag.errors import InputError


def test_only_packages_of_development_are_judged() -> None:
    roles = {place.key: place.role for place in read_places()}
    assert {roles[row.ecosystem, row.package] for row in read_judged()} == {Role.MODEL_DEV}
    assert {roles[row.ecosystem, row.package] for row in read_development()} == {
        Role.MODEL_DEV,
        Role.RULES_DEV,
    }


def test_every_judged_finding_is_one_that_our_rules_reported() -> None:
    places = {
        (row.ecosystem, row.package, row.version, row.file, row.line, row.cwe)
        for row in read_findings(roles=[Role.MODEL_DEV])
    }
    assert {row.place for row in read_judged()} <= places


def test_the_set_is_large_and_no_package_carries_half_of_its_true_positives() -> None:
    findings = read_development()
    assert len(findings) >= 150
    assert all(row.cwe.startswith("CWE-") for row in findings)
    true = [row.package for row in findings if row.label == "true_positive"]
    assert len(set(true)) >= 8
    assert max(true.count(package) for package in true) < len(true) / 2
    # Of `model_dev` alone, several packages have them too.
    assert len({row.package for row in read_judged() if row.label == "true_positive"}) >= 3


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("a reason", ""), id="no reason"),
        pytest.param(("true_positive", "maybe"), id="another label"),
        pytest.param(("3,CWE", "three,CWE"), id="no line"),
        pytest.param(("\nend", "\npypi,p,1,a.py,3,CWE-78,true_positive,again"), id="twice"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    header = ",".join(JudgedFinding.__struct_fields__)
    text = f"{header}\npypi,p,1,a.py,3,CWE-78,true_positive,a reason\nend"
    path = tmp_path / "judged.csv"
    path.write_text(text.removesuffix("\nend"))
    assert len(read_judged(path)) == 1
    path.write_text(text.replace(*change).removesuffix("\nend"))
    with pytest.raises(InputError):
        read_judged(path)
