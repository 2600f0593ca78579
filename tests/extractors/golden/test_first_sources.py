"""Hand-checked Records of the real publications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from securetag.extractors.extract import Extraction
from securetag.records import Record, Status

pytestmark = pytest.mark.mirror


Golden = Callable[[str], Extraction]


def keyed(found: Extraction, kind: str | None = None) -> dict[str, Record]:
    return {r.key: r for r in found.records if kind is None or r.facts.kind == kind}


def test_cwe_4_19(golden: Golden) -> None:
    found = golden("mitre-cwe")
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


def test_cwe_4_14_is_superseded_by_it(golden: Golden) -> None:
    old = golden("mitre-cwe-4.14")
    assert old.report.by_status == {"deprecated": 25, "superseded": 938}
    active = Counter(
        record.key
        for name in ("mitre-cwe", "mitre-cwe-4.14")
        for record in golden(name).records
        if record.status is Status.ACTIVE
    )
    assert max(active.values()) == 1
    assert len(active) == 944


def test_attack_18(golden: Golden) -> None:
    found = golden("mitre-attack-enterprise")
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


def test_attack_15_and_ics(golden: Golden) -> None:
    old = keyed(golden("mitre-attack-enterprise-15.0"), "technique")
    assert len(old) == 780
    assert not any(record.status is Status.ACTIVE for record in old.values())
    assert old["T1059.001"].facts.detections
    ics = keyed(golden("mitre-attack-ics"), "technique")
    assert len(ics) == 95
    assert sum(bool(record.facts.detections) for record in ics.values()) == 82


def test_cheat_sheets(golden: Golden) -> None:
    found = golden("owasp-cheat-sheets")
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


def test_nist_pdf(golden: Golden) -> None:
    found = golden("nist-sp800-52r2")
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
