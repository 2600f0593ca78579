from __future__ import annotations

import json

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.cprt import CprtReader
from securetag.records import JsonObject, Record, Status


def element(name: str, kind: str, text: str | None = None, title: str = "") -> JsonObject:
    fields = {
        "doc_identifier": "DOOR_1_0_0",
        "element_identifier": name,
        "element_type": kind,
        "title": title,
    }
    return fields if text is None else {**fields, "text": text}


def export(elements: list[JsonObject], *relations: tuple[str, str]) -> str:
    rows = [
        {
            "source_element_identifier": a,
            "dest_element_identifier": b,
            "relationship_identifier": "projection",
        }
        for a, b in relations
    ]
    return json.dumps(
        {"response": {"requestType": 4, "elements": {"elements": elements, "relationships": rows}}}
    )


ELEMENTS = [
    element("GD", "function", "What is inside stays inside.", "GUARD"),
    element("GD.WA", "category", "Walls stand.", "Walls"),
    element("GD.WA-02", "subcategory"),
    element("GD.WA-01", "subcategory", "Walls were painted &amp; washed."),
    element("WR-GD.WA-01", "withdraw_reason", "Incorporated into GD.WA-02"),
    element("GD.WA-02", "subcategory", "Walls are checked."),
    element("GD.WA-02.001", "implementation_example", "Knock.", "Ex1"),
    element("GD.WA-02.002", "implementation_example", "Look.", "Ex2"),
    element("first", "party", "1st Party Risk", "1st"),
    element("first", "party", "1st Party Risk", "1st"),
    element("GD.FE", "category", "", "Fences"),
    element("WR-GD.FE", "withdraw_reason", "Moved to GD.WA."),
    element("lost", "example", "Nobody's."),
]
RELATIONS = [
    ("GD", "GD.WA"), ("GD", "GD.FE"), ("GD.WA", "GD.WA-01"), ("GD.WA-01", "WR-GD.WA-01"),
    ("WR-GD.WA-01", "GD.WA-02"), ("GD.WA", "GD.WA-02"), ("GD.WA-02", "GD.WA-02.001"),
    ("GD.WA-02", "GD.WA-02.002"), ("GD.WA-02", "first"), ("GD.FE", "WR-GD.FE"), ("WR-GD.FE", "GD.WA"),
]  # fmt: skip


def read(source: Source, *files: FetchedFile) -> tuple[dict[str, Record], list[Drop], list[Failure]]:
    items = list(CprtReader(source).read(files))
    return (
        {item.key: item for item in items if isinstance(item, Record)},
        [item for item in items if isinstance(item, Drop)],
        [item for item in items if isinstance(item, Failure)],
    )


def test_a_framework(make_source: MakeSource, make_file: MakeFile) -> None:
    records, drops, failures = read(make_source(), make_file("f", export(ELEMENTS, *RELATIONS)))
    assert failures == []
    assert set(records) == {"GD", "GD.WA", "GD.WA-01", "GD.WA-02", "GD.FE"}
    checked = records["GD.WA-02"]
    assert (checked.title, checked.text) == ("Walls: GD.WA-02", "Walls are checked.")
    assert checked.facts.examples == ["Knock.", "Look."]
    assert (checked.facts.parents, checked.facts.section) == (["GD.WA"], ["GUARD", "Walls"])
    assert checked.locator == "#/response/elements/elements/5"
    assert checked.url.endswith("/DOOR_1_0_0/home?element=GD.WA-02")
    assert sorted(drop.reason for drop in drops) == [
        "example: belongs to nothing that is kept",
        "party: whose risk it is, not guidance",
    ]


def test_withdrawn_elements(make_source: MakeSource, make_file: MakeFile) -> None:
    records, _, _ = read(make_source(), make_file("f", export(ELEMENTS, *RELATIONS)))
    painted, fences = records["GD.WA-01"], records["GD.FE"]
    assert painted.status is fences.status is Status.WITHDRAWN
    assert painted.text == "Walls were painted & washed.\n\nWithdrawn: incorporated into GD.WA-02."
    assert fences.text == "Withdrawn: moved to GD.WA."
    assert (painted.facts.related, fences.facts.related) == (["GD.WA-02"], ["GD.WA"])


def test_controls_with_statements_and_assessments(make_source: MakeSource, make_file: MakeFile) -> None:
    elements = [
        element("AC-02(01)", "control_enhancement", "", "Doors"),
        element("S", "security_requirement", "Lock the door."),
        element("D", "discussion", "Doors open."),
        element("A", "determination", "the door is locked."),
        {"element_identifier": 7},
    ]
    file = make_file("f", export(elements, ("AC-02(01)", "S"), ("AC-02(01)", "D"), ("S", "A")))
    records, drops, failures = read(make_source(), file)
    assert records["AC-2(1)"].text == "Lock the door.\n\n## Discussion\n\nDoors open."
    assert [drop.reason for drop in drops] == ["how a control is assessed, not what it asks for"]
    assert [failure.locator for failure in failures] == ["#/response/elements/elements/4"]


def test_a_ring_of_relations_ends(make_source: MakeSource, make_file: MakeFile) -> None:
    elements = [element("A", "category", "One.", "One"), element("B", "category", "Two.", "Two")]
    records, _, _ = read(make_source(), make_file("f", export(elements, ("A", "B"), ("B", "A"))))
    assert records["A"].facts.section == ["Two"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="list"),
        pytest.param('{"response": {"elements": {}}}', id="no elements"),
        pytest.param('{"response": ' + "[" * 100_000, id="brackets"),
    ],
)
def test_what_is_no_export_is_a_failure(make_source: MakeSource, make_file: MakeFile, content: str) -> None:
    records, _, (failure,) = read(make_source(), make_file("f", content))
    assert records == {}
    assert failure.reason
