from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.advisories.cve_record import CveRecordReader
from securetag.extractors.readers.base import Drop, Item
from securetag.records import JsonObject, Record, Status

Read = Callable[..., list[Item]]
GERMAN = (
    "Eine Schwachstelle wurde in der Teekanne des Herstellers gefunden. Durch das Kippen der Kanne mit "
    "unbekannten Daten kann der Deckel abfallen, und das heiße Wasser läuft über den Tisch. Der Angriff kann "
    "über das Netzwerk erfolgen, und ein Exploit steht zur Verfügung. Bitte den Deckel tauschen."
)


def text(value: str, lang: str = "en", html: str = "") -> JsonObject:
    media = {"supportingMedia": [{"type": "text/html", "base64": False, "value": html}]} if html else {}
    return {"lang": lang, "value": value} | media


def record(cna: JsonObject, *adp: JsonObject, version: str = "5.1", **metadata: Any) -> str:
    """An invented CVE record."""
    return json.dumps(
        {
            "dataType": "CVE_RECORD",
            "dataVersion": version,
            "cveMetadata": {
                "cveId": "CVE-2031-0001",
                "state": "PUBLISHED",
                "datePublished": "2031-02-03T00:00:00",
            }
            | metadata,
            "containers": {"cna": {"descriptions": [text("The lid comes off.")]} | cna, "adp": list(adp)},
        }
    )


@pytest.fixture
def read(make_source: MakeSource, make_file: MakeFile) -> Read:
    def reading(content: str | bytes) -> list[Item]:
        return list(CveRecordReader(make_source()).read([make_file("a.json", content)]))

    return reading


def get_only_record(items: list[Item]) -> Record:
    (item,) = items
    assert isinstance(item, Record), item
    return item


@pytest.mark.parametrize("version", ["5.0", "5.1", "5.2", "5.2.0"], ids=str)
def test_what_the_cna_says(read: Read, version: str) -> None:
    item = get_only_record(
        read(
            record(
                {
                    "title": "Teapot: lid comes off",
                    "affected": [
                        {
                            "vendor": "Maker",
                            "product": "Teapot",
                            "versions": [
                                {"version": "1.0", "status": "affected", "lessThan": "1.2"},
                                {"version": "0", "status": "affected", "lessThanOrEqual": "0.9"},
                                {"version": "3" * 40, "status": "affected", "versionType": "git"},
                                {"version": "1.2", "status": "unaffected"},
                            ],
                        },
                        {"vendor": "Maker", "product": "Cup", "defaultStatus": "unaffected"},
                        {
                            "vendor": "Maker",
                            "product": "Tray",
                            "defaultStatus": "affected",
                            "versions": [{"version": "7", "status": "unaffected"}],
                        },
                        {
                            "vendor": "n/a",
                            "product": "n/a",
                            "versions": [{"version": "n/a", "status": "affected"}],
                        },
                    ],
                    "problemTypes": [
                        {"descriptions": [{"lang": "en", "type": "CWE", "description": "CWE-79: Stains"}]}
                    ],
                    "impacts": [{"capecId": "CAPEC-1", "descriptions": [text("CAPEC-1 Spilling")]}],
                    "metrics": [
                        {"cvssV3_1": {"baseScore": 5.0, "vectorString": "CVSS:3.1/X"}},
                        {"cvssV4_0": {"baseScore": 6.0, "vectorString": "CVSS:4.0/X"}},
                    ],
                    "solutions": [text("Glue it on.")],
                    "workarounds": [text("Hold it.")],
                    "tags": ["disputed"],
                    "references": [{"url": "https://maker.example/1"}],
                },
                version=version,
            )
        )
    )
    assert item.title == "CVE-2031-0001: Teapot: lid comes off"
    assert "- Maker/Teapot: `≤ 0.9`; `≥ 1.0, < 1.2`\n- Maker/Tray: all versions except `7`\n" in item.text
    assert "CAPEC-1: Spilling" in item.text
    assert "disputed" in item.text
    facts = item.facts
    assert (facts.cvss, facts.severity, facts.cwe, facts.related) == (6.0, "medium", ["CWE-79"], ["CAPEC-1"])
    assert facts.mitigations == ["Glue it on.", "Hold it."]
    assert facts.packages == ["Maker/Teapot", "Maker/Tray"]
    assert facts.published == "2031-02-03"
    assert item.url == "https://www.cve.org/CVERecord?id=CVE-2031-0001"


CISA = {
    "title": "CISA ADP Vulnrichment",
    "metrics": [
        {"cvssV3_1": {"baseScore": 8.0, "vectorString": "CVSS:3.1/Y"}},
        {"other": {"type": "ssvc", "content": {"options": [{"Exploitation": "poc"}]}}},
    ],
    "problemTypes": [{"descriptions": [{"lang": "en", "cweId": "CWE-20"}]}],
}


def test_what_the_cna_leaves_out_comes_from_the_adp(read: Read) -> None:
    facts = get_only_record(read(record({}, CISA))).facts
    assert (facts.cvss, facts.cwe) == (8.0, ["CWE-20"])
    cna = {
        "metrics": [{"cvssV3_0": {"baseScore": 2.0, "vectorString": "CVSS:3.0/X"}}],
        "problemTypes": [{"descriptions": [{"lang": "en", "description": "CWE-1"}]}],
    }
    facts = get_only_record(read(record(cna, CISA))).facts
    assert (facts.cvss, facts.cwe) == (2.0, ["CWE-1"])
    old = {"metrics": [{"cvssV2_0": {"baseScore": 3.0, "vectorString": "AV:N/AC:L"}}]}
    assert get_only_record(read(record(old, CISA))).facts.cvss == 8.0


def test_other_metrics(read: Read) -> None:
    item = get_only_record(read(record({}, CISA)))
    assert "SSVC assessment: exploitation poc." in item.text
    kev = {"metrics": [{"other": {"type": "kev", "content": {"dateAdded": "2031-05-01"}}}]}
    assert get_only_record(read(record({}, kev))).facts.exploited
    word = {
        "metrics": [{"other": {"type": "Textual description of severity", "content": {"text": "important"}}}]
    }
    assert get_only_record(read(record(word))).facts.severity == "high"


def test_german_is_not_english_whatever_it_is_labelled(read: Read) -> None:
    items = read(record({"descriptions": [text("The lid comes off."), text(GERMAN, "en-US")]}))
    by_lang = {item.lang: item for item in items if isinstance(item, Record)}
    assert set(by_lang) == {"en", "de"}
    assert by_lang["de"].text.startswith("Eine Schwachstelle")
    assert "Schwachstelle" not in by_lang["en"].text
    assert by_lang["en"].title == "CVE-2031-0001"


def test_html_beside_the_text_keeps_its_paragraphs(read: Read) -> None:
    html = "<p>The lid&nbsp;comes off.</p><ul><li>Hot</li><li>Wet</li></ul>"
    item = get_only_record(read(record({"descriptions": [text("The lid comes off.HotWet", html=html)]})))
    assert item.text == "The lid comes off.\n\n- Hot\n- Wet"
    shorter = get_only_record(read(record({"descriptions": [text("The lid comes off.", html="<p></p>")]})))
    assert shorter.text == "The lid comes off."


def test_rejected(read: Read) -> None:
    cna = {"descriptions": [], "rejectedReasons": [text("Issued in error.")]}
    item = get_only_record(read(record(cna, state="REJECTED")))
    assert (item.status, item.text) == (Status.REJECTED, "Issued in error.")


def test_lists_of_changes_are_dropped(read: Read) -> None:
    assert [type(item) for item in read('{"fetchTime": "2031", "new": []}')] == [Drop]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="truncated"),
        pytest.param("[]", id="list"),
        pytest.param('{"dataVersion": "4.0"}', id="version 4"),
        pytest.param(record({}, version="6.0"), id="version 6"),
        pytest.param(record({})[:-9], id="truncated record"),
        pytest.param("[" * 200_000, id="brackets"),
        pytest.param(record({"affected": 5}), id="affected is a number"),
        pytest.param('{"dataVersion":' * 50_000, id="repeated keys"),
    ],
)
def test_hostile_files_are_failures(read: Read, hostile: str) -> None:
    assert [type(item) for item in read(hostile)] == [Failure]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "html",
    [pytest.param("<b>" * 1_999 + "x" * 99, id="inline"), pytest.param("<div>" * 1_000_000, id="block")],
)
def test_html_that_nests_too_deeply_leaves_the_plain_text(read: Read, html: str) -> None:
    item = get_only_record(read(record({"descriptions": [text("The lid comes off.", html=html)]})))
    assert item.text == "The lid comes off."


def test_an_empty_ssvc_is_counted(read: Read) -> None:
    other = {"other": {"type": "ssvc", "content": {"id": "CVE-2031-0001", "options": []}}}
    *records, drop = read(record({}, {"metrics": [other]}))
    assert len(records) == 1
    assert isinstance(drop, Drop)
    assert drop.reason == "an SSVC assessment that says nothing"
    assert "SSVC" not in get_only_record(records).text
