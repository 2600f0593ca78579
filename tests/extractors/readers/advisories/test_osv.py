from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import yaml
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.advisories.osv import OsvReader
from securetag.extractors.readers.base import Item
from securetag.records import JsonObject, Record, Status

OSV: JsonObject = {
    "schema_version": "1.6.0",
    "id": "GHSA-aaaa-bbbb-cccc",
    "published": "2031-02-03T00:00:00Z",
    "modified": "2031-02-04T00:00:00Z",
    "aliases": ["CVE-2031-0001"],
    "related": ["CVE-2031-0002"],
    "summary": "Lid comes off",
    "details": "### Impact\n\nThe [lid](https://x.example) comes off.",
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "teapot"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]},
                {"type": "GIT", "events": [{"introduced": "0"}]},
            ],
            "versions": ["1.0", "1.1"],
        },
        {
            "package": {"ecosystem": "Go", "name": "example.org/cup"},
            "ecosystem_specific": {"imports": [{"path": "example.org/cup/x", "symbols": ["Pour", "Fill"]}]},
        },
    ],
    "references": [{"type": "WEB", "url": "https://x.example/1"}],
    "database_specific": {"cwe_ids": ["CWE-79"], "severity": "HIGH"},
}
Read = Callable[[str], list[Item]]


@pytest.fixture
def read(make_source: MakeSource, make_file: MakeFile) -> Read:
    return lambda content: list(OsvReader(make_source()).read([make_file("a", content)]))


def get_only_record(items: list[Item]) -> Record:
    (item,) = items
    assert isinstance(item, Record), item
    return item


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(json.dumps, id="object"),
        pytest.param(lambda osv: json.dumps([osv]), id="list"),
        pytest.param(yaml.safe_dump, id="YAML"),
    ],
)
def test_json_a_list_and_yaml(read: Read, form: Callable[[object], str]) -> None:
    record = get_only_record(read(form(OSV)))
    assert record.title == "GHSA-aaaa-bbbb-cccc: Lid comes off"
    assert record.text == (
        "### Impact\n\nThe lid comes off.\n\n"
        "## Affected versions\n\n- PyPI/teapot: `< 1.2`\n- Go/example.org/cup"
        "\n\n## Affected functions\n\n- `example.org/cup/x`: `Pour`, `Fill`"
    )
    facts = record.facts
    assert (facts.cvss, facts.severity, facts.cwe) == (7.5, "high", ["CWE-79"])
    assert (facts.aliases, facts.related) == (["CVE-2031-0001"], ["CVE-2031-0002"])
    assert facts.packages == ["PyPI/teapot", "Go/example.org/cup"]
    assert facts.published == "2031-02-03"
    assert record.url == "https://github.com/advisories/GHSA-aaaa-bbbb-cccc"


def test_unquoted_dates_of_yaml_stay_dates(read: Read) -> None:
    record = get_only_record(
        read("id: PYSEC-2031-1\npublished: 2031-02-03T04:05:06Z\ndetails: |\n  The lid comes off.\n")
    )
    assert record.facts.published == "2031-02-03"
    assert record.title == "PYSEC-2031-1"
    assert record.url == "https://osv.dev/vulnerability/PYSEC-2031-1"


def test_withdrawn_and_bare(read: Read) -> None:
    bare = {
        "id": "GO-2031-1",
        "summary": "Lid",
        "details": "",
        "published": "0001-01-01T00:00:00Z",
        "withdrawn": "2031-03-01T00:00:00Z",
        "affected": None,
        "database_specific": {"severity": 5},
    }
    record = get_only_record(read(json.dumps(bare)))
    assert (record.status, record.text, record.facts.published) == (Status.WITHDRAWN, "Lid", None)
    assert (record.facts.cvss, record.facts.severity) == (None, None)


def test_without_a_vector_the_databases_word_counts(read: Read) -> None:
    odd = OSV | {"severity": [{"type": "Ubuntu", "score": "medium"}]}
    facts = get_only_record(read(json.dumps(odd))).facts
    assert (facts.cvss, facts.severity) == (None, "high")


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="truncated"),
        pytest.param("[1]", id="list of numbers"),
        pytest.param('{"id": 5}', id="id is a number"),
        pytest.param("- a\n- b\n", id="YAML list"),
        pytest.param("id: !!python/object/apply:os.system [x]\n", id="YAML tag"),
        pytest.param("[" * 200_000, id="brackets"),
        pytest.param(
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{c}: &{c} [{', '.join('*' + p for _ in range(9))}]\n"
                for p, c in zip("abcdefghi", "bcdefghij", strict=True)
            ),
            id="aliases in aliases",
        ),
    ],
)
def test_hostile_files_are_failures(read: Read, hostile: str) -> None:
    assert [type(item) for item in read(hostile)] == [Failure]


def test_a_broken_item_of_a_list_costs_no_other(read: Read) -> None:
    assert [type(item) for item in read(json.dumps([{"id": None}, OSV]))] == [Failure, Record]
