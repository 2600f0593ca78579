"""Hand-checked Records of the real publications."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from securetag.extractors.record_files import Extraction
from securetag.records import Record

pytestmark = pytest.mark.mirror


Golden = Callable[[str], Extraction]


def keyed(extraction: Extraction, kind: str | None = None) -> dict[str, Record]:
    return {r.key: r for r in extraction.records if kind is None or r.facts.kind == kind}


def test_cheat_sheets(golden: Golden) -> None:
    extraction = golden("owasp-cheat-sheets")
    assert extraction.report.files == 120
    sections = keyed(extraction)
    prepared = sections[
        "SQL_Injection_Prevention_Cheat_Sheet#primary-defenses/"
        "defense-option-1-prepared-statements-with-parameterized-queries"
    ]
    assert prepared.facts.section[0] == "SQL Injection Prevention Cheat Sheet"
    assert "PreparedStatement" in prepared.text
    page = "https://cheatsheetseries.owasp.org/cheatsheets/SQL_Injection_Prevention_Cheat_Sheet.html"
    assert prepared.url == page
    assert {record.licence for record in extraction.records} == {"CC-BY-SA-4.0"}
    assert any("{{" in record.text for record in extraction.records if "Laravel" in record.key)
    assert not any("\r" in record.text for record in extraction.records)
