from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.advisories.csaf import CsafReader
from securetag.extractors.readers.base import Drop, Item
from securetag.records import JsonObject, Record, Status

Read = Callable[[str | JsonObject], list[Item]]


def branch(category: str, name: str, *branches: JsonObject, product: str = "") -> JsonObject:
    product_fields = {"product": {"product_id": product, "name": f"Maker {name}"}} if product else {}
    return {"category": category, "name": name, "branches": list(branches)} | product_fields


VULNERABILITY: JsonObject = {
    "cve": "CVE-2031-0001",
    "title": "Lid",
    "cwe": {"id": "CWE-79", "name": "Stains"},
    "notes": [
        {"category": "summary", "text": "The lid comes off."},
        {"category": "details", "text": "SSVCv2/E:N"},
        {"category": "legal_disclaimer", "text": "As is, of course."},
    ],
    "product_status": {"known_affected": ["P1", "P2", "P3"], "known_not_affected": ["P4"]},
    "remediations": [
        {"category": "vendor_fix", "details": "Update to 1.2.", "product_ids": ["P1"]},
        {"category": "mitigation", "details": "Hold the lid.", "product_ids": ["P1", "P2", "P3"]},
    ],
    "scores": [
        {"cvss_v3": {"version": "3.1", "baseScore": 9.8, "vectorString": "CVSS:3.1/X"}, "products": ["P1"]},
        {"cvss_v2": {"version": "2.0", "baseScore": 10.0, "vectorString": "AV:N"}, "products": ["P1"]},
    ],
    "references": [{"url": "https://x.example/1"}],
}


def csaf(*vulnerabilities: JsonObject, **document: object) -> JsonObject:
    """An invented advisory."""
    return {
        "document": {
            "category": "csaf_security_advisory",
            "csaf_version": "2.0",
            "title": "Maker Teapot",
            "lang": "en-US",
            "tracking": {"id": "MSA-31-1", "initial_release_date": "2031-02-03T00:00:00Z", "status": "final"},
            "notes": [
                {"category": "legal_disclaimer", "text": "As is."},
                {"category": "summary", "title": "Risk", "text": "A wet table."},
                {"category": "general", "title": "Practices", "text": "Be careful."},
            ],
            "references": [
                {"category": "self", "url": "https://x.example/a.json"},
                {"category": "self", "url": "https://x.example/a"},
            ],
        }
        | document,
        "product_tree": {
            "branches": [
                branch(
                    "vendor",
                    "Maker",
                    branch(
                        "product_name",
                        "Teapot",
                        branch("product_version", "Teapot 1.0", product="P1"),
                        branch("product_version", "Teapot 1.1", product="P2"),
                    ),
                )
            ],
            "full_product_names": [{"product_id": "P4", "name": "Maker Cup"}],
            "relationships": [{"full_product_name": {"product_id": "P3", "name": "Teapot on Tray"}}],
        },
        "vulnerabilities": list(vulnerabilities),
    }


@pytest.fixture
def read(make_source: MakeSource, make_file: MakeFile) -> Read:
    def reading(content: str | JsonObject) -> list[Item]:
        text = content if isinstance(content, str) else json.dumps(content)
        return list(CsafReader(make_source()).read([make_file("a.json", text)]))

    return reading


def test_one_record_a_vulnerability(read: Read) -> None:
    first, second = read(csaf(VULNERABILITY, VULNERABILITY | {"cve": "CVE-2031-0002", "notes": []}))
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.key, second.key) == ("MSA-31-1/CVE-2031-0001", "MSA-31-1/CVE-2031-0002")
    assert first.title == "MSA-31-1/CVE-2031-0001: Maker Teapot: Lid"
    assert first.text == (
        "The lid comes off.\n\n## Affected versions\n\n"
        "- Maker Teapot 1.0\n- Maker Teapot 1.1\n- Teapot on Tray\n\n"
        "## Not affected\n\n- Maker Cup\n\n## Solution\n\nMaker Teapot 1.0: Update to 1.2.\n\n"
        "## Mitigation\n\nHold the lid.\n\n## Risk\n\nA wet table."
    )
    assert second.text.startswith("A wet table.")
    facts = first.facts
    assert (facts.cvss, facts.severity, facts.cwe) == (9.8, "critical", ["CWE-79"])
    assert (facts.aliases, facts.related) == (["CVE-2031-0001"], ["MSA-31-1"])
    assert facts.mitigations == ["Maker Teapot 1.0: Update to 1.2.", "Hold the lid."]
    assert first.url == "https://x.example/a"
    assert first.locator == "/vulnerabilities/0"
    assert facts.published == "2031-02-03"


def test_without_vulnerabilities_its_notes_are_the_advisory(read: Read) -> None:
    (record,) = read(csaf(category="csaf_informational_advisory"))
    assert isinstance(record, Record)
    assert record.key == "MSA-31-1"
    assert record.text == "## Risk\n\nA wet table.\n\n## Practices\n\nBe careful."


def test_form_2_1_and_withdrawn(read: Read) -> None:
    newer = {key: value for key, value in VULNERABILITY.items() if key not in ("scores", "cwe", "cve")} | {
        "cwes": [{"id": "CWE-20"}],
        "ids": [{"system_name": "x", "text": "X-1"}],
        "metrics": [{"content": {"cvss_v4": {"baseScore": 7.0, "vectorString": "CVSS:4.0/X"}}}],
    }
    (record,) = read(csaf(newer, category="csaf_withdrawn"))
    assert isinstance(record, Record)
    assert (record.key, record.facts.cvss, record.facts.cwe) == ("MSA-31-1/X-1", 7.0, ["CWE-20"])
    assert record.status is Status.WITHDRAWN


def test_a_feed_is_dropped(read: Read) -> None:
    assert [type(item) for item in read({"feed": {"entry": []}})] == [Drop]


def deep(depth: int) -> str:
    text = '{"branches":[' * depth + "]}" * depth
    return json.dumps(csaf(VULNERABILITY)).replace(
        '"full_product_names"', f'"branches":[{text}],"full_product_names"'
    )


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="list"),
        pytest.param("{}", id="no document"),
        pytest.param('{"document": {}}', id="empty document"),
        pytest.param('{"document":' * 99_999, id="repeated keys"),
        pytest.param(deep(100_000), id="deep branches"),
        pytest.param('{"document": 1e999999}', id="number too large"),
    ],
)
def test_hostile_files_are_failures(read: Read, hostile: str) -> None:
    assert [type(item) for item in read(hostile)] == [Failure]
