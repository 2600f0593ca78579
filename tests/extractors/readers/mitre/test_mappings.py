from __future__ import annotations

import json
from typing import Any

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.mitre.mappings import (
    MappingsReader,
    Metadata,
    format_framework,
    normalize_key,
)
from securetag.records import JsonObject, Record


def row(capability: str | None, technique: str, **fields: Any) -> JsonObject:
    return {
        "capability_id": capability,
        "capability_description": f"Control {capability}",
        "mapping_type": "mitigates",
        "attack_object_id": technique,
        "attack_object_name": f"Technique {technique}",
        "comments": None,
        "references": [],
        "status": "complete",
    } | fields


def document(rows: list[JsonObject], **metadata: object) -> str:
    head = {"mapping_framework": "nist_800_53", "mapping_framework_version": "rev9", "attack_version": "99.1"}
    return json.dumps({"metadata": head | metadata, "mapping_objects": rows})


ROWS = [
    row("AC-02(01)", "T9001"),
    row("AC-02(01)", "T9002", comments="By &lt;b&gt; doors."),
    row("AC-02(01)", "T9001"),
    row("SC-07", "T9001", mapping_type="technique_scores", score_category="protect", score_value="partial"),
    row(None, "T9003", mapping_type=None, status="non_mappable"),
    {"capability_id": 5},
]


def test_both_sides_of_a_mapping(make_source: MakeSource, make_file: MakeFile) -> None:
    items = list(MappingsReader(make_source()).read([make_file("m.json", document(ROWS))]))
    records = {item.key: item for item in items if isinstance(item, Record)}
    assert set(records) == {"AC-02(01)", "SC-07", "T9001", "T9002"}
    control, technique = records["AC-02(01)"], records["T9001"]
    assert control.title == "Control AC-02(01): ATT&CK 99.1"
    assert control.text == (
        "Control AC-02(01) (AC-02(01), NIST 800-53 rev9), mapped to ATT&CK 99.1:\n\n## Mitigates\n\n"
        "- Technique T9001 (T9001)\n- Technique T9002 (T9002): By <b> doors."
    )
    assert (control.facts.related, control.facts.aliases) == (["T9001", "T9002"], ["AC-2(1)"])
    assert technique.facts.related == ["AC-2(1)", "SC-7"]
    assert technique.facts.mitigations == ["Control AC-02(01) (NIST 800-53 rev9 AC-02(01))"]
    assert "## Technique scores\n\n- Control SC-07 (SC-07) [protect, partial]" in technique.text
    assert [type(item).__name__ for item in items].count("Failure") == 1
    assert [item.locator for item in items if isinstance(item, Drop)] == ["/mapping_objects/4"]


@pytest.mark.parametrize(
    ("key", "joined"),
    [
        pytest.param("AC-02", "AC-2", id="padded"),
        pytest.param("AC-10", "AC-10", id="two digits"),
        pytest.param("IA-05(01)", "IA-5(1)", id="padded enhancement"),
        pytest.param("T1059", "T1059", id="technique"),
        pytest.param("", "", id="empty"),
    ],
)
def test_nists_own_spelling(key: str, joined: str) -> None:
    assert normalize_key(key) == joined


def test_names_of_frameworks() -> None:
    assert format_framework(Metadata("nist_800_53", "rev5")) == "NIST 800-53 rev5"
    assert format_framework(Metadata("aws", None)) == "AWS"
    assert format_framework(Metadata("intel-vpro", "")) == "intel-vpro"


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("", id="empty"),
        pytest.param("{}", id="empty object"),
        pytest.param("[]", id="list"),
        pytest.param('{"metadata": 5, "mapping_objects": []}', id="metadata is a number"),
        pytest.param("[" * 100_000, id="brackets"),
        pytest.param(document([])[:-3], id="truncated"),
        pytest.param('{"mapping_objects": [{}]}', id="no metadata"),
    ],
)
def test_hostile_json_is_a_failure(make_source: MakeSource, make_file: MakeFile, hostile: str) -> None:
    items = list(MappingsReader(make_source()).read([make_file("m.json", hostile)]))
    assert [type(item).__name__ for item in items] == ["Failure"]
