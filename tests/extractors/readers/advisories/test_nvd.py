from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.advisories.nvd import Cve, NvdReader, decode_cves, make_advisory
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.text import prose
from securetag.records import JsonObject, Record, Status

Read = Callable[..., list[Item]]


def metric(source: str, score: float, version: str, kind: str = "Secondary") -> JsonObject:
    vector = f"CVSS:{version}/X" if version != "2.0" else "AV:N/AC:L"
    data = {"version": version, "vectorString": vector, "baseScore": score}
    return {"source": source, "type": kind, "cvssData": data}


def cpe(criteria: str, **bounds: Any) -> JsonObject:
    return {"vulnerable": True, "criteria": criteria} | bounds


def cve(number: int = 1, **changes: Any) -> JsonObject:
    """An invented CVE in NVD's form."""
    return {
        "id": f"CVE-2031-{number:04}",
        "sourceIdentifier": "cna@maker.example",
        "published": "2031-02-03T04:05:06.007",
        "lastModified": "2031-03-01T00:00:00.000",
        "vulnStatus": "Analyzed",
        "descriptions": [
            {"lang": "en", "value": "The lid of the &lt;teapot&gt; comes off."},
            {"lang": "es", "value": "La tapa de la tetera se suelta."},
        ],
        "metrics": {},
        "references": [{"url": "https://maker.example/1"}],
    } | changes


def page(*cves: JsonObject) -> str:
    return json.dumps({"totalResults": len(cves), "vulnerabilities": [{"cve": each} for each in cves]})


@pytest.fixture
def read(make_source: MakeSource, make_file: MakeFile) -> Read:
    def reading(*contents: str | bytes) -> list[Item]:
        files = [make_file(f"{number}.json", content) for number, content in enumerate(contents)]
        return list(NvdReader(make_source()).read(files))

    return reading


def test_a_record_a_language(read: Read) -> None:
    nodes = [
        {
            "nodes": [
                {
                    "cpeMatch": [
                        cpe(
                            "cpe:2.3:a:maker:tea\\:pot:*:*:*:*:*:*:*:*",
                            versionStartIncluding="1.0",
                            versionEndExcluding="1.2",
                        ),
                        cpe("cpe:2.3:a:maker:tea\\:pot:*:*:*:*:*:*:*:*", versionEndIncluding="0.9"),
                        cpe("cpe:2.3:a:maker:tea\\:pot:2.0:*:*:*:*:*:*:*"),
                        cpe("cpe:2.3:o:maker:kettle_os:-:*:*:*:*:*:*:*") | {"vulnerable": False},
                    ]
                }
            ]
        }
    ]
    english, spanish = read(page(cve(configurations=nodes)))
    assert isinstance(english, Record)
    assert isinstance(spanish, Record)
    assert (english.lang, spanish.lang) == ("en", "es")
    assert english.title == spanish.title == "CVE-2031-0001 (maker/tea:pot)"
    assert english.text == (
        "The lid of the <teapot> comes off.\n\n## Affected versions\n\n"
        "- maker/tea:pot: `≥ 1.0, < 1.2`; `≤ 0.9`; `2.0`"
    )
    assert "## Versiones afectadas" in spanish.text
    assert "Affected" not in spanish.text
    assert english.facts.packages == ["maker/tea:pot"]
    assert english.facts.published == "2031-02-03"
    assert english.facts.references == ["https://maker.example/1"]
    assert english.url == "https://nvd.nist.gov/vuln/detail/CVE-2031-0001"
    assert english.locator == "/vulnerabilities/0/cve"


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        pytest.param({}, None, id="none"),
        pytest.param(
            {"cvssMetricV2": [metric("nvd@nist.gov", 9.0, "2.0", "Primary")]}, 9.0, id="version 2 alone"
        ),
        pytest.param(
            {
                "cvssMetricV2": [metric("nvd@nist.gov", 9.0, "2.0", "Primary")],
                "cvssMetricV30": [metric("x@y.example", 3.0, "3.0")],
            },
            3.0,
            id="version 2 and 3.0",
        ),
        pytest.param(
            {"cvssMetricV31": [metric("cna@maker.example", 4.0, "3.1"), metric("nvd@nist.gov", 5.0, "3.1")]},
            5.0,
            id="NVD before CNA",
        ),
        pytest.param(
            {
                "cvssMetricV31": [
                    metric("134c704f-9b21-4f2e-91b3-4a467353bcc0", 6.0, "3.1"),
                    metric("cna@maker.example", 4.0, "3.1"),
                ]
            },
            4.0,
            id="CNA before CISA",
        ),
        pytest.param(
            {
                "cvssMetricV31": [metric("cna@maker.example", 4.0, "3.1")],
                "cvssMetricV40": [metric("cna@maker.example", 7.0, "4.0")],
            },
            7.0,
            id="newest version of one source",
        ),
    ],
)
def test_the_best_score(read: Read, metrics: JsonObject, score: float | None) -> None:
    record = read(page(cve(metrics=metrics)))[0]
    assert isinstance(record, Record)
    assert record.facts.cvss == score


def test_weaknesses_status_and_notes(read: Read) -> None:
    weaknesses = [
        {"source": "a", "type": "Primary", "description": [{"lang": "en", "value": "NVD-CWE-noinfo"}]},
        {"source": "b", "type": "Secondary", "description": [{"lang": "en", "value": "CWE-79"}]},
    ]
    ssvc = [{"ssvcData": {"options": [{"exploitation": "active"}, {"technicalImpact": "total"}]}}]
    first, *_ = read(
        page(
            cve(
                weaknesses=weaknesses,
                vulnStatus="Undergoing Analysis",
                metrics={"ssvcV203": ssvc},
                cveTags=[{"tags": ["disputed"]}],
                cisaExploitAdd="2031-04-01",
            )
        )
    )
    assert isinstance(first, Record)
    assert first.facts.cwe == ["CWE-79"]
    assert first.facts.exploited
    assert first.status is Status.ACTIVE
    for words in ("disputed", "not finished its analysis", "exploitation active, technical impact total"):
        assert words in first.text
    rejected = read(page(cve(vulnStatus="Rejected")))[0]
    assert isinstance(rejected, Record)
    assert rejected.status is Status.REJECTED


def test_the_newest_state_of_a_cve_in_several_files(read: Read) -> None:
    newer = cve(lastModified="2031-09-01T00:00:00.000", descriptions=[{"lang": "en", "value": "Better."}])
    items = read(page(cve(), cve(2)), page(newer))
    texts = {item.key: item.text for item in items if isinstance(item, Record) and item.lang == "en"}
    assert texts["CVE-2031-0001"] == "Better."
    assert sum(isinstance(item, Drop) for item in items) == 1


def test_a_gzipped_feed(read: Read) -> None:
    assert len(read(gzip.compress(page(cve()).encode()))) == 2


def test_a_broken_item_costs_only_itself(read: Read) -> None:
    items = read(page({"id": 5}, cve(2), None, cve(3, metrics={"cvssMetricV31": [{}]})))
    assert {item.key for item in items if isinstance(item, Record)} == {"CVE-2031-0002"}
    failed = [item.locator for item in items if isinstance(item, Failure)]
    assert failed == [f"/vulnerabilities/{number}/cve" for number in (0, 2, 3)]


def test_without_any_description_nothing_is_invented(read: Read) -> None:
    assert [type(item) for item in read(page(cve(descriptions=[])))] == [Drop]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="list"),
        pytest.param("{}", id="no vulnerabilities"),
        pytest.param("[" * 200_000, id="brackets"),
        pytest.param('{"vulnerabilities": 5}', id="vulnerabilities is a number"),
        pytest.param(page(cve())[:-20], id="truncated page"),
        pytest.param(b"\xff\xfe\x00", id="not text"),
        pytest.param(b"\x1f\x8b\x08", id="truncated gzip"),
        pytest.param('{"vulnerabilities": [' + '{"cve": ' * 100_000, id="repeated keys"),
        pytest.param('{"vulnerabilities": [1e999999]}', id="number too large"),
    ],
)
def test_hostile_files_are_failures(read: Read, hostile: str | bytes) -> None:
    assert [type(item) for item in read(hostile)] == [Failure]


def test_a_gigantic_number_is_no_score() -> None:
    given_score = json.dumps(cve(metrics={"cvssMetricV31": [metric("a", 1.0, "3.1")]})).replace(
        "1.0}", "1e999}"
    )
    ((_, decoded),) = decode_cves(f'{{"vulnerabilities": [{{"cve": {given_score}}}]}}'.encode())
    assert not isinstance(decoded, Cve)


@given(st.text(max_size=300))
def test_any_description_becomes_clean_text(text: str) -> None:
    item = json.dumps({"vulnerabilities": [{"cve": cve(descriptions=[{"lang": "en", "value": text}])}]})
    ((_, decoded),) = decode_cves(item.encode())
    assert isinstance(decoded, Cve)
    for cleaned in make_advisory(decoded).texts.values():
        assert prose.find_residue(cleaned) == []


def test_a_text_that_is_no_description_costs_only_its_item(read: Read) -> None:
    endless = [{"lang": "en", "value": "<a [x](`" * 1_000_000}]
    items = read(page(cve(descriptions=endless), cve(2)))
    assert [type(item) for item in items] == [Failure, Record, Record]
