"""How the findings in the files of known vulnerabilities are scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import rules
from benchmarks.real.corpus import Place, Role, read_places
from benchmarks.real.first_findings import LABELS_CSV, RULES_LABELS_CSV, Labels, read_all_labels, read_labels
from benchmarks.rules.known import FIRST, KnownScore, Version, VersionKey, score_application
from securetag.errors import InputError
from securetag.records import Finding

CODE = "def view(db, name):\n" + "    pass\n" * 9 + "\n\ndef other(db):\n" + "    pass\n" * 40
BEFORE: VersionKey = ("pypi", "shop", "1.0")
AFTER: VersionKey = ("pypi", "shop", "1.1")


def make(line: int, rank: int = 400, scope: str = "view", cwe: str = "CWE-89") -> Finding:
    return Finding(
        tool="semgrep",
        rule_id="rule",
        path="app.py",
        language="python",
        start_line=line,
        end_line=line,
        snippet="",
        snippet_line=1,
        scope=scope,
        cwe=cwe,
        title="",
        message="",
        severity="high",
        confidence="low",
        rank=rank,
        fingerprint="v1:" + "0" * 64,
    )


def score(
    before: list[Finding], after: list[Finding], folder: Path, line: int = 5, labels: Labels | None = None
) -> KnownScore:
    (folder / "app.py").write_text(CODE)
    place = Place(
        ecosystem="pypi",
        package="shop",
        vulnerable_version="1.0",
        fixed_version="1.1",
        advisory="CVE-1",
        cwe="CWE-89",
        file="app.py",
        line=str(line),
        role=Role.RULES_DEV,
    )
    versions = {
        key: Version(findings=defaultdict(list, {"app.py": findings}), code=folder)
        for key, findings in ((BEFORE, before), (AFTER, after))
    }
    result = KnownScore()
    score_application(result, BEFORE, [place], versions, labels or {})
    return result


def test_the_first_findings_are_those_of_the_highest_rank(tmp_path: Path) -> None:
    noise = [make(line, rank=500, scope="other") for line in range(14, 14 + FIRST - 1)]
    match, late, style = make(2, rank=450), make(9, rank=10), make(3, rank=900, cwe="CWE-79")
    result = score([*noise, match, late, style], [], tmp_path)
    assert (result.total().findings, result.total().at_places) == (FIRST + 1, 2)
    assert (result.first.findings, result.first.at_places) == (FIRST, 1)
    assert result.first.by_package == {"shop 1.0": 1 / FIRST}
    assert (result.first_of_any.findings, result.first_of_any.at_places) == (FIRST, 0)


@pytest.mark.parametrize(
    ("after", "silenced", "lowered"),
    [
        pytest.param([], 1, 0, id="silent"),
        pytest.param([make(5, rank=399)], 0, 1, id="lower"),
        pytest.param([make(5)], 0, 0, id="as before"),
        pytest.param([make(14, scope="other")], 1, 0, id="another function"),
    ],
)
def test_a_fix_silences_a_place_or_lowers_its_rank(
    tmp_path: Path, after: list[Finding], silenced: int, lowered: int
) -> None:
    result = score([make(5)], after, tmp_path)
    assert (result.silenced, result.lowered) == (silenced, lowered)


def test_a_place_without_a_finding_is_missed(tmp_path: Path) -> None:
    result = score([make(14, scope="other"), make(5, cwe="CWE-79")], [], tmp_path)
    assert [place.line for place in result.missed] == ["5"]
    assert (result.total().flagged, result.total().findings) == (0, 1)


def test_a_finding_that_a_person_judged_true_counts_beside_the_known_places(tmp_path: Path) -> None:
    findings = [make(5), *(make(line, scope="other") for line in (14, 18, 22))]
    labels: Labels = {
        (*BEFORE, "app.py", line, "sql"): is_true for line, is_true in ((14, True), (18, False))
    }
    result = score(findings, [], tmp_path, labels=labels)
    assert (result.first.at_places, result.first_judged.at_places, result.not_judged) == (1, 2, 1)
    assert result.first_judged.findings == 4


@pytest.mark.parametrize(
    ("path", "roles"),
    [
        pytest.param(LABELS_CSV, [Role.RULES_DEV], id="models are measured on it"),
        pytest.param(RULES_LABELS_CSV, [Role.RULES_DEV, Role.RULES_UNSEEN], id="of rules alone"),
    ],
)
def test_judged_packages_have_the_roles_of_their_sheet(path: Path, roles: list[Role]) -> None:
    packages = {place.key for place in read_places(roles=roles)}
    labels = read_labels(path)
    assert labels
    assert {(ecosystem, package) for ecosystem, package, *_ in labels} <= packages


def test_no_finding_is_judged_twice() -> None:
    assert len(read_all_labels()) == len(read_labels()) + len(read_labels(RULES_LABELS_CSV))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("npm,decompress,4.2.0,package/index.js,45,path,maybe,why\n", id="neither yes nor no"),
        pytest.param("npm,decompress,4.2.0,package/index.js,45,path,yes,\n", id="no reason"),
        pytest.param("npm,decompress,4.2.0,package/index.js,45,path,no,why\n" * 2, id="twice"),
    ],
)
def test_a_label_that_says_nothing_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(LABELS_CSV.read_text(encoding="utf-8").splitlines()[0] + "\n" + row, encoding="utf-8")
    with pytest.raises(InputError):
        read_labels(path)


def test_what_the_environment_leaves_out_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[set[tuple[str, Role]]] = []

    def score(places: Sequence[Place]) -> KnownScore:
        asked_for.append({(place.ecosystem, place.role) for place in places})
        return KnownScore()

    monkeypatch.setattr(rules, "score_places", score)
    monkeypatch.setenv("RULES_ECOSYSTEM", "npm")
    monkeypatch.setenv("RULES_PARTS", "rules_dev")
    figures = [figure.figure for figure in rules.measure()]
    assert asked_for == [{("npm", Role.RULES_DEV)}]
    assert figures
    assert all(figure.startswith("npm rules_dev: ") for figure in figures)


def test_a_part_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RULES_PARTS", "clean,unseen")
    with pytest.raises(InputError, match="RULES_PARTS names unseen"):
        list(rules.measure())
