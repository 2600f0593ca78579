from __future__ import annotations

import json
from typing import Any

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.mitre.attack import AttackReader
from securetag.records import JsonObject, Record, Status


def thing(kind: str, number: int, key: str = "", **fields: Any) -> JsonObject:
    stix_object = {
        "type": kind,
        "id": f"{kind}--{number}",
        "name": f"{kind} {number}",
        "description": "Text.",
    }
    if key:
        url = f"https://attack.mitre.org/techniques/{key.replace('.', '/')}"
        stix_object["external_references"] = [  # type: ignore[assignment]
            {"source_name": "capec", "external_id": "CAPEC-1"},
            {"source_name": "mitre-attack", "external_id": key, "url": url},
        ]
    return stix_object | fields


def relation(kind: str, source: str, target: str, **fields: Any) -> JsonObject:
    return {
        "type": "relationship",
        "id": f"relationship--{kind}{source}{target}",
        "relationship_type": kind,
        "source_ref": source,
        "target_ref": target,
    } | fields


OBJECTS = [
    thing(
        "attack-pattern",
        1,
        "T9001",
        name="Knock",
        x_mitre_platforms=["Linux"],
        kill_chain_phases=[{"kill_chain_name": "mitre-attack", "phase_name": "impact"}],
    ),
    thing(
        "attack-pattern",
        2,
        "T9001.001",
        name="Twice",
        x_mitre_detection="Listen. (Citation: Ear)",
        description="Uses [Door](https://e.org/S1) (Citation: A) <code>a &lt;b&gt;</code>.",
    ),
    thing("attack-pattern", 3, "T9002", revoked=True),
    thing("attack-pattern", 4, "T9003", x_mitre_deprecated=True),
    thing("course-of-action", 1, "M9001", name="Lock", description="Lock doors."),
    thing("course-of-action", 2, "T9002", name="Old advice", x_mitre_deprecated=True),
    thing("x-mitre-data-component", 1, name="Sound"),
    thing("x-mitre-detection-strategy", 1, name="Strategy", x_mitre_analytic_refs=["x-mitre-analytic--1"]),
    thing("x-mitre-analytic", 1, description="Watch the bell."),
    thing("malware", 1, "S9001", name="Ram"),
    thing("intrusion-set", 1, "G9001", name="Thieves"),
    thing("tool", 1, "S9002", x_mitre_deprecated=True),
    relation("mitigates", "course-of-action--1", "attack-pattern--2", description="Twice (Citation: B)."),
    relation("mitigates", "course-of-action--1", "attack-pattern--1"),
    relation("mitigates", "course-of-action--2", "attack-pattern--1", description="Outdated."),
    relation("mitigates", "course-of-action--1", "attack-pattern--3", x_mitre_deprecated=True),
    relation("subtechnique-of", "attack-pattern--2", "attack-pattern--1"),
    relation("revoked-by", "attack-pattern--3", "attack-pattern--1"),
    relation(
        "uses", "malware--1", "attack-pattern--2", description="[Ram](https://e.org) knocks. (Citation: B)"
    ),
    relation("uses", "intrusion-set--1", "attack-pattern--2", description="Thieves knock."),
    relation("uses", "intrusion-set--1", "malware--1", description="Thieves have a ram."),
    relation("uses", "tool--1", "attack-pattern--2", description="Outdated."),
    relation("detects", "x-mitre-data-component--1", "attack-pattern--1", description="Hear it."),
    relation("detects", "x-mitre-detection-strategy--1", "attack-pattern--2"),
]


def bundle(objects: list[JsonObject]) -> str:
    return json.dumps({"type": "bundle", "id": "bundle--1", "spec_version": "2.0", "objects": objects})


@pytest.fixture(params=["one file", "one object a file"])
def records(
    request: pytest.FixtureRequest, make_source: MakeSource, make_file: MakeFile
) -> dict[tuple[str, str], Record]:
    parts = [OBJECTS] if request.param == "one file" else [[each] for each in OBJECTS]
    files = [make_file(f"{n}.json", bundle(part)) for n, part in enumerate(parts)]
    items = [item for item in AttackReader(make_source()).read(files) if isinstance(item, Record)]
    return {(str(item.facts.kind), item.key): item for item in items}


def test_who_uses_a_technique(records: dict[tuple[str, str], Record]) -> None:
    child = records["technique", "T9001.001"]
    assert child.facts.observed == ["Thieves (G9001): Thieves knock.", "Ram (S9001): Ram knocks."]
    assert records["technique", "T9001"].facts.observed == []


def test_revoked_techniques_and_their_successors_name_each_other(
    records: dict[tuple[str, str], Record],
) -> None:
    old, new = records["technique", "T9002"], records["technique", "T9001"]
    assert old.text == "Text.\n\nRevoked: Knock (T9001) replaces it."
    assert new.text == "Text.\n\nReplaces attack-pattern 3 (T9002)."


def test_joins(records: dict[tuple[str, str], Record]) -> None:
    parent, child = records["technique", "T9001"], records["technique", "T9001.001"]
    assert child.title == "Knock: Twice"
    assert child.text == "Uses Door `a <b>`."
    assert child.facts.parents == ["T9001"]
    assert child.facts.mitigations == ["Lock (M9001): Twice."]
    assert child.facts.detections == ["Listen.", "Strategy: Watch the bell."]
    assert child.url == "https://attack.mitre.org/techniques/T9001/001"
    assert parent.facts.mitigations == ["Lock (M9001): Lock doors."]
    assert parent.facts.detections == ["Sound: Hear it."]
    assert (parent.facts.platforms, parent.facts.tactics) == (["Linux"], ["impact"])


def test_status(records: dict[tuple[str, str], Record]) -> None:
    revoked = records["technique", "T9002"]
    assert (revoked.status, revoked.facts.related, revoked.facts.mitigations) == (
        Status.REVOKED,
        ["T9001"],
        [],
    )
    assert records["technique", "T9003"].status is Status.DEPRECATED
    assert records["mitigation", "T9002"].status is Status.DEPRECATED
    assert records["mitigation", "M9001"].status is Status.ACTIVE


def test_what_is_left_out_is_counted(make_source: MakeSource, make_file: MakeFile) -> None:
    items = list(AttackReader(make_source()).read([make_file("a.json", bundle(OBJECTS))]))
    drops = [item for item in items if isinstance(item, Drop)]
    assert [drop.reason.split(":")[0] for drop in drops] == ["malware", "intrusion-set", "tool"]
    assert drops[0].locator == "/objects/9"


def test_one_broken_object_costs_no_other(make_source: MakeSource, make_file: MakeFile) -> None:
    files = [
        make_file("a.json", bundle([OBJECTS[0], {"type": 5}, None, OBJECTS[1]])),
        make_file("b.json", "{"),
    ]
    items = list(AttackReader(make_source()).read(files))
    assert sum(isinstance(item, Record) for item in items) == 2
    failures = [item for item in items if isinstance(item, Failure)]
    assert sorted(failure.locator for failure in failures) == ["", "/objects/1", "/objects/2"]


def test_a_kind_of_object_that_is_not_known_yet_costs_no_other(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    new = {"type": "x-mitre-new", "id": "x-mitre-new--1", "name": {"en": "Unlike all others"}}
    items = list(AttackReader(make_source()).read([make_file("a.json", bundle([new, *OBJECTS]))]))
    assert [item.reason.split(":")[0] for item in items if isinstance(item, Drop)] == [
        "x-mitre-new",
        "malware",
        "intrusion-set",
        "tool",
    ]
    assert sum(isinstance(item, Record) for item in items) == 6


def test_the_index_of_editions_is_dropped(make_source: MakeSource, make_file: MakeFile) -> None:
    index = {"id": "1", "name": "MITRE ATT&CK", "collections": [{"id": "x", "versions": []}]}
    (item,) = AttackReader(make_source()).read([make_file("index.json", json.dumps(index))])
    assert isinstance(item, Drop)


def test_what_came_with_stix_21(make_source: MakeSource, make_file: MakeFile) -> None:
    parts = [each | {"spec_version": "2.1"} for each in OBJECTS]
    lone = json.dumps(parts[0])  # a bare object, outside any bundle
    items = list(AttackReader(make_source()).read([make_file("a.json", lone)]))
    assert [item.key for item in items if isinstance(item, Record)] == ["T9001"]
    collection = {"type": "x-mitre-collection", "id": "x-mitre-collection--1", "x_mitre_contents": [{"a": 1}]}
    items = list(AttackReader(make_source()).read([make_file("b.json", bundle([collection, *parts]))]))
    assert sum(isinstance(item, Record) for item in items) == 6


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("[" * 200_000, id="brackets"),
        pytest.param('{"objects":' * 100_000, id="repeated keys"),
        pytest.param("", id="empty"),
        pytest.param("nul", id="truncated null"),
        pytest.param('{"objects": 5}', id="objects is a number"),
        pytest.param("[]", id="list"),
        pytest.param("{}", id="no type"),
        pytest.param('{"type": "attack-pattern", "id": "a", "name": ' + "[" * 100_000, id="deep name"),
        pytest.param('{"objects": [' + "9" * 5_000_000 + "]}", id="long number"),
    ],
)
def test_hostile_json_is_a_failure(make_source: MakeSource, make_file: MakeFile, hostile: str) -> None:
    items = list(AttackReader(make_source()).read([make_file("a.json", hostile)]))
    assert [type(item).__name__ for item in items] == ["Failure"]


def test_a_relationship_into_nothing_and_an_object_without_a_name_are_reported(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    nameless = thing("attack-pattern", 9, "T9009") | {"name": " "}
    dangling = [
        relation("mitigates", "course-of-action--77", "attack-pattern--1"),
        relation("uses", "malware--1", "attack-pattern--78"),
    ]
    file = make_file("all.json", bundle([*OBJECTS, *dangling, nameless]))
    items = list(AttackReader(make_source()).read([file]))
    reasons = [item.reason for item in items if isinstance(item, Drop)]
    assert reasons.count("a relationship with an object that isn't here") == 2
    (failure,) = (item for item in items if isinstance(item, Failure))
    assert failure.reason == "attack-pattern--9: an object without a name"
    assert not any(isinstance(item, Record) and item.key == "T9009" for item in items)
