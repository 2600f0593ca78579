"""Hand-checked Records of the real publications."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from securetag.extractors import prose
from securetag.extractors.extract import Extraction, extract
from securetag.records import Record, Status
from securetag.settings import Settings

pytestmark = pytest.mark.mirror


@lru_cache(maxsize=16)
def extraction(name: str, mirror: Path, data: Path) -> Extraction:
    return extract(name, Settings(mirror=mirror, data=data))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden")


def keyed(found: Extraction, kind: str | None = None) -> dict[str, Record]:
    return {r.key: r for r in found.records if kind is None or r.facts.kind == kind}


SOURCES = [
    "mitre-cwe", "mitre-cwe-4.14", "mitre-attack-enterprise", "mitre-attack-enterprise-15.0",
    "mitre-attack-ics", "owasp-cheat-sheets", "nist-sp800-52r2",
]  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_every_record_is_clean_and_nothing_failed(name: str, mirror: Path, data: Path) -> None:
    found = extraction(name, mirror, data)
    assert found.report.failures == []
    assert found.records
    for record in found.records:
        facts = record.facts
        texts = [record.title, record.text, *facts.mitigations, *facts.detections, *facts.consequences]
        for text in [*texts, *facts.examples]:
            assert prose.residue(text) == [], record.key
        assert not any("](http" in piece for code, piece in prose.segments(record.text) if not code)
        assert record.url.startswith("https://")
        assert record.licence == found.source.licence


def test_cwe_4_19(mirror: Path, data: Path) -> None:
    found = extraction("mitre-cwe", mirror, data)
    assert found.report.by_status == {"active": 944, "deprecated": 25}
    assert sum(found.report.dropped.values()) == 420 + 58
    cwe = keyed(found)
    usage = Counter(record.facts.mapping_usage for record in cwe.values())
    assert (usage["Prohibited"], usage["Discouraged"]) == (84, 44)
    assert sum(not record.facts.mitigations for record in cwe.values()) == 296
    assert cwe["CWE-1105"].facts.mitigations == []
    assert cwe["CWE-89"].facts.parents == ["CWE-943", "CWE-74"]
    assert (
        cwe["CWE-89"]
        .facts.mitigations[0]
        .startswith("Architecture and Design (Libraries or Frameworks): Use")
    )
    assert "XSS" in cwe["CWE-79"].facts.aliases
    assert "$username = $_GET['username'];" in cwe["CWE-79"].facts.examples[0]
    assert cwe["CWE-79"].url == "https://cwe.mitre.org/data/definitions/79.html"
    assert cwe["CWE-1187"].status is Status.DEPRECATED
    assert not any("```" in detection for detection in cwe["CWE-89"].facts.detections)


def test_cwe_4_14_is_superseded_by_it(mirror: Path, data: Path) -> None:
    old = extraction("mitre-cwe-4.14", mirror, data)
    assert old.report.by_status == {"deprecated": 25, "superseded": 938}
    active = Counter(
        record.key
        for name in ("mitre-cwe", "mitre-cwe-4.14")
        for record in extraction(name, mirror, data).records
        if record.status is Status.ACTIVE
    )
    assert max(active.values()) == 1
    assert len(active) == 944


def test_attack_18(mirror: Path, data: Path) -> None:
    found = extraction("mitre-attack-enterprise", mirror, data)
    techniques = keyed(found, "technique")
    assert Counter(str(record.status) for record in techniques.values()) == {
        "active": 691, "revoked": 132, "deprecated": 12,
    }  # fmt: skip
    powershell = techniques["T1059.001"]
    assert powershell.title == "Command and Scripting Interpreter: PowerShell"
    assert powershell.facts.parents == ["T1059"]
    assert any(text.startswith("Execution Prevention (M1038): ") for text in powershell.facts.mitigations)
    assert "`Start-Process`" in powershell.text
    assert techniques["T1066"].status is Status.REVOKED
    assert techniques["T1066"].facts.related == ["T1027.005"]
    assert sum(bool(record.facts.mitigations) for record in techniques.values()) == 582
    mitigations = [record for record in found.records if record.facts.kind == "mitigation"]
    assert Counter(str(record.status) for record in mitigations) == {"deprecated": 224, "active": 44}


def test_attack_15_and_ics(mirror: Path, data: Path) -> None:
    old = keyed(extraction("mitre-attack-enterprise-15.0", mirror, data), "technique")
    assert len(old) == 780
    assert not any(record.status is Status.ACTIVE for record in old.values())
    assert old["T1059.001"].facts.detections
    ics = keyed(extraction("mitre-attack-ics", mirror, data), "technique")
    assert len(ics) == 95
    assert sum(bool(record.facts.detections) for record in ics.values()) == 82


def test_cheat_sheets(mirror: Path, data: Path) -> None:
    found = extraction("owasp-cheat-sheets", mirror, data)
    assert found.report.files == 120
    sections = keyed(found)
    prepared = sections[
        "SQL_Injection_Prevention_Cheat_Sheet#primary-defenses/"
        "defense-option-1-prepared-statements-with-parameterized-queries"
    ]
    assert prepared.facts.section[0] == "SQL Injection Prevention Cheat Sheet"
    assert "PreparedStatement" in prepared.text
    page = "https://cheatsheetseries.owasp.org/cheatsheets/SQL_Injection_Prevention_Cheat_Sheet.html"
    assert prepared.url == page
    assert {record.licence for record in found.records} == {"CC-BY-SA-4.0"}
    assert any("{{" in record.text for record in found.records if "Laravel" in record.key)
    assert not any("\r" in record.text for record in found.records)


def test_nist_pdf(mirror: Path, data: Path) -> None:
    found = extraction("nist-sp800-52r2", mirror, data)
    sections = keyed(found)
    version = sections["SP800-52r2#3-minimum-requirements-for-tls-servers/3-1-protocol-version-support"]
    assert version.locator == "page 17"
    assert "TLS 1.2" in version.text
    assert version.licence == "LicenseRef-US-Gov-Public-Domain"
    profile = next(
        record for key, record in sections.items() if key.endswith("3-2-1-server-certificate-profile")
    )
    assert "| Field | Critical | Value | Description |" in profile.text
    for record in found.records:
        assert "available free of charge" not in record.text
        assert "GUIDELINES FOR TLS IMPLEMENTATIONS" not in record.text
        assert "....." not in record.text
