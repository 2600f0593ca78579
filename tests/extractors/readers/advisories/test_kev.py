from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import msgspec
import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.advisories.kev import KevReader
from securetag.extractors.readers.base import Drop, Item
from securetag.records import JsonObject, Record

ENTRY = {
    "cveID": "CVE-2031-0001", "vendorProject": "Maker", "product": "Teapot",
    "vulnerabilityName": "Maker Teapot Lid Vulnerability", "dateAdded": "2031-05-01",
    "shortDescription": "The lid, and \"handle\",\ncome off.", "requiredAction": "Glue them on.",
    "dueDate": "2031-05-22", "knownRansomwareCampaignUse": "Known",
    "notes": "https://maker.example/1 ; https://maker.example/2", "cwes": ["CWE-20", "CWE-79"],
}  # fmt: skip
Read = Callable[[str], list[Item]]


@pytest.fixture
def read(make_source: MakeSource, make_file: MakeFile) -> Read:
    return lambda content: list(KevReader(make_source()).read([make_file("kev", content)]))


def as_csv(*entries: JsonObject) -> str:
    out = io.StringIO(newline="")
    rows = [entry | {"cwes": ", ".join(entry["cwes"])} for entry in entries]
    writer = csv.DictWriter(out, list(ENTRY))
    writer.writeheader()
    writer.writerows(rows)
    return "\ufeff" + out.getvalue()


def test_json_and_csv_say_the_same(read: Read) -> None:
    (from_json,) = read(json.dumps({"vulnerabilities": [ENTRY]}))
    (other,) = read(as_csv(ENTRY))
    assert isinstance(from_json, Record)
    assert isinstance(other, Record)
    same = {"file_sha256": "", "locator": ""}
    assert msgspec.structs.replace(from_json, **same) == msgspec.structs.replace(other, **same)
    assert from_json.title == "CVE-2031-0001: Maker Teapot Lid Vulnerability"
    assert "## Required action\n\nGlue them on." in from_json.text
    assert "ransomware" in from_json.text
    assert "by 2031-05-22" in from_json.text
    facts = from_json.facts
    assert (facts.exploited, facts.published, facts.cwe) == (True, "2031-05-01", ["CWE-20", "CWE-79"])
    assert facts.references == ["https://maker.example/1", "https://maker.example/2"]
    assert facts.packages == ["Maker/Teapot"]


def test_a_broken_entry_costs_no_other(read: Read) -> None:
    items = read(json.dumps({"vulnerabilities": [{"cveID": None}, ENTRY]}))
    assert [type(item) for item in items] == [Failure, Record]


def test_the_schema_is_dropped(read: Read) -> None:
    assert [type(item) for item in read('{"$schema": "http://json-schema.org/draft-07/schema#"}')] == [Drop]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="truncated"),
        pytest.param("{}", id="no vulnerabilities"),
        pytest.param("a,b\n1,2\n", id="another table"),
        pytest.param('{"vulnerabilities": {}}', id="object of vulnerabilities"),
        pytest.param('{"a":' * 99_999, id="repeated keys"),
    ],
)
def test_hostile_files_are_failures(read: Read, hostile: str) -> None:
    assert [type(item) for item in read(hostile)] == [Failure]


@pytest.mark.hostile
def test_a_csv_with_a_field_that_never_ends(read: Read) -> None:
    items = read(as_csv(ENTRY) + '"' + "x" * 300_000)
    assert [type(item) for item in items] == [Record, Failure]
