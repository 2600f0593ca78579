from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.oscal.reader import OscalReader
from securetag.records import JsonObject, Record, Status


def label(value: str, **more: str) -> dict[str, str]:
    return {"name": "label", "value": value, **more}


def part(name: str, text: str = "", **more: Any) -> JsonObject:
    return {"name": name, **({"prose": text} if text else {}), **more}


DOOR: JsonObject = {
    "id": "dw-1",
    "class": "SP800-53",
    "title": "Doors",
    "params": [
        {"id": "dw-1_prm_1", "props": [{"name": "aggregates", "value": "dw-01_odp.01"}]},
        {
            "id": "dw-01_odp.01",
            "label": "porters",
            "props": [{"name": "alt-label", "value": "porters and guests", "class": "sp800-53"}],
        },
        {
            "id": "dw-01_odp.02",
            "props": [{"name": "alt-identifier", "value": "dw-1_prm_2"}],
            "select": {
                "how-many": "one-or-more",
                "choice": ["lock it for {{ insert: param, dw-1_prm_3 }} ", "wave"],
            },
        },
        {"id": "dw-1_prm_3", "label": "organization-defined time", "depends-on": "dw-01_odp.02"},
    ],
    "props": [label("DW-01", **{"class": "zero-padded"}), label("DW-1")],
    "links": [
        {"href": "#dw-3", "rel": "related"},
        {"href": "#zz-9.2", "rel": "related"},
        {"href": "#11111111-2222-4333-8444-555555555555", "rel": "reference"},
    ],
    "parts": [
        part(
            "statement",
            "Keep doors:",
            id="dw-1_smt",
            parts=[
                part(
                    "item",
                    " {{ insert: param, dw-1_prm_2 }} ;",
                    id="dw-1_smt.a",
                    props=[label("a.")],
                    parts=[
                        part(
                            "item",
                            "Tell {{ insert: param, dw-01_odp.01 }} (see [DW-3](#dw-3) ).",
                            props=[label("1.")],
                        ),
                    ],
                ),
                part(
                    "item",
                    "Ask {{ insert: param, dw-1_prm_1 }} and {{ insert: param, gone }}.",
                    props=[label("b.")],
                ),
            ],
        ),
        part("guidance", 'A door is "open" &amp; shut.\n\nAnd `{{ code }}` stays.'),
        part(
            "assessment-objective", "doors are kept", links=[{"href": "#dw-1_smt", "rel": "assessment-for"}]
        ),
        part(
            "assessment-method",
            props=[{"name": "method", "value": "EXAMINE"}],
            parts=[part("assessment-objects", "the doors\n\nthe keys")],
        ),
    ],
    "controls": [
        {
            "id": "dw-1.1",
            "class": "SP800-53-enhancement",
            "title": "Double Locks",
            "props": [label("DW-1(1)")],
            "links": [{"href": "#dw-1", "rel": "required"}],
            "parts": [part("statement", "Lock twice.")],
        },
        {
            "id": "dw-1.2",
            "class": "SP800-53-enhancement",
            "title": "Old Locks",
            "props": [label("DW-1(2)"), {"name": "status", "value": "Withdrawn"}],
            "links": [{"href": "#dw-1.1", "rel": "moved-to"}],
        },
    ],
}
GATE: JsonObject = {
    "id": "dw-2",
    "class": "SP800-53",
    "title": "Gates",
    "props": [label("DW-2")],
    "links": [
        {"href": "#dw-1_smt.a", "rel": "incorporated_into"},
        {"href": "dw-3", "rel": "incorporated_into"},
    ],
}
KEYS: JsonObject = {
    "id": "dw-3",
    "title": "Keys",
    "props": [label("DW-3")],
    "parts": [part("statement", "Count the keys.")],
}


def catalog(version: str = "1.0", *controls: JsonObject, **metadata: Any) -> JsonObject:
    return {
        "catalog": {
            "uuid": "1",
            "metadata": {"title": "Of doors", "version": version, **metadata},
            "groups": [
                {
                    "id": "dw",
                    "class": "family",
                    "title": "Doors and Windows",
                    "controls": list(controls or (DOOR, GATE, KEYS)),
                },
            ],
            "back-matter": {
                "resources": [
                    {
                        "uuid": "11111111-2222-4333-8444-555555555555",
                        "title": "The Door Book",
                        "rlinks": [{"href": "https://e.org/doors"}],
                    },
                ]
            },
        }
    }


XML = """<?xml version="1.0"?>
<catalog xmlns="http://csrc.nist.gov/ns/oscal/1.0" uuid="1">
 <metadata><title>Of doors</title><version>1.0</version></metadata>
 <group class="family" id="dw"><title>Doors and Windows</title>
  <control class="SP800-53" id="dw-1"><title>Doors</title>
   <param id="dw-1_prm_1"><prop name="aggregates" value="dw-01_odp.01"/></param>
   <param id="dw-01_odp.01"><prop name="alt-label" value="porters and guests" class="sp800-53"/>
     <label>porters</label></param>
   <param id="dw-01_odp.02"><prop name="alt-identifier" value="dw-1_prm_2"/><select how-many="one-or-more">
     <choice>lock it for <insert type="param" id-ref="dw-1_prm_3"/></choice>
     <choice>wave</choice></select></param>
   <param id="dw-1_prm_3" depends-on="dw-01_odp.02"><label>organization-defined time</label></param>
   <prop name="label" value="DW-01" class="zero-padded"/><prop name="label" value="DW-1"/>
   <link rel="related" href="#dw-3"/><link rel="related" href="#zz-9.2"/>
   <link rel="reference" href="#11111111-2222-4333-8444-555555555555"/>
   <part name="statement" id="dw-1_smt"><p>Keep doors:</p>
    <part name="item" id="dw-1_smt.a"><prop name="label" value="a."/>
     <p>
       <insert type="param" id-ref="dw-1_prm_2"/>;</p>
     <part name="item"><prop name="label" value="1."/>
      <p>Tell <insert type="param" id-ref="dw-01_odp.01"/> (see <a href="#dw-3">DW-3</a>).</p></part>
    </part>
    <part name="item"><prop name="label" value="b."/>
     <p>Ask <insert type="param" id-ref="dw-1_prm_1"/> and <insert type="param" id-ref="gone"/>.</p></part>
   </part>
   <part name="guidance"><p>A door is <q>open</q> &amp; shut.</p>
    <p>And <code>{{ code }}</code> stays.</p></part>
   <part name="assessment-objective"><p>doors are kept</p><link rel="assessment-for" href="#dw-1_smt"/></part>
   <part name="assessment-method"><prop name="method" value="EXAMINE"/>
    <part name="assessment-objects"><p>the doors</p><p>the keys</p></part></part>
   <control class="SP800-53-enhancement" id="dw-1.1"><title>Double Locks</title>
    <prop name="label" value="DW-1(1)"/><link rel="required" href="#dw-1"/>
    <part name="statement"><p>Lock twice.</p></part></control>
   <control class="SP800-53-enhancement" id="dw-1.2"><title>Old Locks</title>
    <prop name="label" value="DW-1(2)"/><prop name="status" value="Withdrawn"/>
    <link rel="moved-to" href="#dw-1.1"/></control>
  </control>
  <control class="SP800-53" id="dw-2"><title>Gates</title><prop name="label" value="DW-2"/>
   <link rel="incorporated_into" href="#dw-1_smt.a"/><link rel="incorporated_into" href="dw-3"/></control>
  <control id="dw-3"><title>Keys</title><prop name="label" value="DW-3"/>
   <part name="statement"><p>Count the keys.</p></part></control>
 </group>
 <back-matter><resource uuid="11111111-2222-4333-8444-555555555555"><title>The Door Book</title>
  <rlink href="https://e.org/doors"/></resource></back-matter>
</catalog>"""


def read(source: Source, *files: FetchedFile) -> tuple[list[Record], list[Drop], list[Failure]]:
    items = list(OscalReader(source).read(files))
    return (
        [item for item in items if isinstance(item, Record)],
        [item for item in items if isinstance(item, Drop)],
        [item for item in items if isinstance(item, Failure)],
    )


def test_a_control_with_its_parameters(make_source: MakeSource, make_file: MakeFile) -> None:
    source = make_source(options={"page": "https://e.org/{key}/{padded}"})
    records, _, failures = read(source, make_file("c.json", json.dumps(catalog())))
    assert failures == []
    by_key = {record.key: record for record in records}
    assert list(by_key) == ["DW-1", "DW-1(1)", "DW-1(2)", "DW-2", "DW-3"]
    door = by_key["DW-1"]
    assert door.text == (
        "Keep doors:\n\n"
        "- a. [Selection (one or more): lock it for [Assignment: organization-defined time]; wave];\n"
        "  - 1. Tell [Assignment: organization-defined porters and guests] (see DW-3).\n"
        "- b. Ask [Assignment: organization-defined porters] and [Assignment: organization-defined value]."
        "\n\n"
        '## Discussion\n\nA door is "open" & shut.\n\nAnd `{{ code }}` stays.'
    )
    assert (door.facts.kind, door.facts.section) == ("control", ["Doors and Windows"])
    assert door.facts.related == ["DW-3", "ZZ-9(2)"]
    assert door.facts.references == ["https://e.org/doors"]
    assert door.url == "https://e.org/DW-1/DW-01"
    assert door.locator == "#/catalog/groups/0/controls/0"
    double = by_key["DW-1(1)"]
    assert (double.title, double.facts.kind, double.facts.parents) == (
        "Doors: Double Locks",
        "enhancement",
        ["DW-1"],
    )
    assert door.facts.assessments == ["doors are kept", "Examine: the doors; the keys"]


def test_withdrawn_controls_say_what_replaced_them(make_source: MakeSource, make_file: MakeFile) -> None:
    records, _, _ = read(make_source(), make_file("c.json", json.dumps(catalog())))
    by_key = {record.key: record for record in records}
    assert by_key["DW-1(2)"].status is by_key["DW-2"].status is Status.WITHDRAWN
    assert by_key["DW-1(2)"].text == "Withdrawn: moved to DW-1(1)."
    assert by_key["DW-2"].text == "Withdrawn: incorporated into DW-1 and DW-3."
    assert by_key["DW-2"].facts.related == ["DW-1", "DW-3"]


def test_three_formats_give_the_same_records(make_source: MakeSource, make_file: MakeFile) -> None:
    text = json.dumps(catalog())
    formats = {"a.json": "\ufeff" + text, "a.yaml": yaml.safe_dump(catalog()), "a.xml": XML, "a": text}
    items_by_format = {
        name: read(make_source(), make_file(name, content))[0] for name, content in formats.items()
    }
    ids = {name: [record.id for record in records] for name, records in items_by_format.items()}
    assert ids["a.json"] == ids["a.yaml"] == ids["a.xml"] == ids["a"]
    assert items_by_format["a.xml"][0].locator == "//control[@id='dw-1']"


def test_of_each_key_the_newest_edition_is_active(make_source: MakeSource, make_file: MakeFile) -> None:
    changed = {**KEYS, "parts": [part("statement", "Count the keys twice.")]}
    old = make_file("old.json", json.dumps(catalog("5.1.1+u4")))
    new = make_file("new.yaml", yaml.safe_dump(catalog("5.10.0", DOOR, changed)))
    dated = make_file("dated.json", json.dumps(catalog("2015-01-22", changed)))
    source = make_source(options={"editions": "document"})
    records, _, _ = read(source, old, dated, new)
    keys = [(r.key, r.edition, str(r.status)) for r in records if r.key in {"DW-1", "DW-3", "DW-2"}]
    assert set(keys) >= {
        ("DW-1", "5.10.0", "active"),
        ("DW-3", "5.10.0", "active"),
        ("DW-3", "5.1.1+u4", "superseded"),
        ("DW-3", "2015-01-22", "superseded"),
        ("DW-2", "5.1.1+u4", "withdrawn"),
    }
    first = {record.id: record for record in reversed(records)}
    active = [record.key for record in first.values() if record.status is Status.ACTIVE]
    assert sorted(active) == ["DW-1", "DW-1(1)", "DW-3"]


def test_baselines_become_levels(make_source: MakeSource, make_file: MakeFile) -> None:
    def profile(title: str, version: str, **imported: Any) -> str:
        return json.dumps(
            {"profile": {"metadata": {"title": title, "version": version}, "imports": [imported]}}
        )

    low = [{"with-ids": ["dw-3"]}]
    resolved = catalog(
        "1.0", KEYS, title="Doors HIGH BASELINE", links=[{"rel": "source-profile", "href": "x"}]
    )
    files = [
        make_file("c.json", json.dumps(catalog())),
        make_file("1.json", profile("Doors LOW IMPACT BASELINE", "1.0", **{"include-controls": low})),
        make_file("0.json", profile("Doors LOW IMPACT BASELINE", "0.9", **{"include-all": {}})),
        make_file(
            "2.json",
            profile(
                "Doors Privacy Baseline",
                "1.0",
                **{"include-all": {}, "exclude-controls": [{"with-ids": ["dw-3"]}]},
            ),
        ),
        make_file(
            "3.json",
            profile(
                "Doors moderate-baseline",
                "1.0",
                **{"include-controls": [{"with-ids": ["dw-1"], "with-child-controls": "yes"}]},
            ),
        ),
        make_file("r.yaml", yaml.safe_dump(resolved)),
    ]
    records, drops, failures = read(make_source(), *files)
    levels = {record.key: record.facts.levels for record in records}
    assert failures == []
    assert levels == {
        "DW-1": ["MODERATE", "PRIVACY"],
        "DW-1(1)": ["MODERATE", "PRIVACY"],
        "DW-1(2)": [],
        "DW-2": [],
        "DW-3": ["LOW", "HIGH"],
    }
    reasons = [drop.reason for drop in drops]
    assert reasons.count("a baseline: the controls that it holds carry it as a level") == 4
    assert reasons.count("a text that another file of the same edition holds") == 1


FRAMEWORK: JsonObject = {
    "catalog": {
        "metadata": {"title": "Framework", "version": "1"},
        "groups": [
            {
                "id": "GD",
                "class": "function",
                "title": "GUARD",
                "props": [label("GUARD (GD)")],
                "parts": [part("overview", "What is inside stays inside.")],
                "controls": [
                    {
                        "id": "x",
                        "class": "category",
                        "title": "Walls",
                        "props": [label("Walls (GD.WA)")],
                        "parts": [part("statement", "Walls stand.")],
                        "controls": [
                            {
                                "id": "GD.WA-01",
                                "class": "subcategory",
                                "title": "GD.WA-01",
                                "links": [
                                    {"href": "#r", "rel": "external_reference", "text": "AC-2, SI-4(2)"}
                                ],
                                "parts": [
                                    part("statement", "Walls are checked."),
                                    part("example", "Knock.", title="Example 1:"),
                                    part("example", "Look."),
                                ],
                            },
                            {
                                "id": "GD.WA-02",
                                "class": "subcategory",
                                "title": "GD.WA-02",
                                "parts": [part("statement", "Walls were painted.")],
                            },
                        ],
                    },
                ],
            },
        ],
        "back-matter": {"resources": [{"uuid": "r", "title": "SP80053"}]},
    }
}


def test_frameworks_with_functions_categories_and_examples(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    source = make_source(options={"withdrawn_without": "example"})
    records, _, _ = read(source, make_file("f.yaml", yaml.safe_dump(FRAMEWORK)))
    by_key = {record.key: record for record in records}
    assert [(r.key, r.facts.kind) for r in records] == [
        ("GD", "function"),
        ("GD.WA", "category"),
        ("GD.WA-01", "subcategory"),
        ("GD.WA-02", "subcategory"),
    ]
    checked = by_key["GD.WA-01"]
    assert checked.title == "Walls: GD.WA-01"
    assert checked.text == "Walls are checked.\n\n## References\n\n- SP80053: AC-2, SI-4(2)"
    assert checked.facts.examples == ["Knock.", "Look."]
    assert checked.facts.related == ["AC-2", "SI-4(2)"]
    assert checked.facts.parents == ["GD.WA"]
    assert by_key["GD.WA"].facts.parents == ["GD"]
    assert by_key["GD.WA-02"].status is Status.WITHDRAWN
    assert by_key["GD.WA"].status is Status.ACTIVE


def test_labels_that_repeat_the_key(make_source: MakeSource, make_file: MakeFile) -> None:
    control = {
        "id": "SP_03.01.01",
        "class": "requirement",
        "title": "Doors",
        "props": [label("Doors (03.01.01)")],
        "parts": [
            part(
                "statement",
                parts=[
                    part(
                        "item",
                        "Lock:",
                        props=[label("SR-03.01.01.a")],
                        parts=[
                            part(
                                "item",
                                "[](#/home?element=03.01.02)03.01.02 first.",
                                props=[label("SR-03.01.01.a.02")],
                            )
                        ],
                    ),
                ],
            ),
            part("objective", "assessed"),
        ],
    }
    (record,), _, _ = read(make_source(), make_file("c.json", json.dumps(catalog("1", control))))
    assert (record.key, record.facts.kind) == ("03.01.01", "requirement")
    assert record.text == "- a. Lock:\n  - 02. 03.01.02 first."


@pytest.mark.hostile
def test_one_broken_control_costs_no_other(make_source: MakeSource, make_file: MakeFile) -> None:
    broken = {"id": "dw-4", "title": ["a", "list"]}
    bomb = {
        "id": "dw-5",
        "title": "Bomb",
        "parts": [part("statement", "{{ insert: param, p30 }}")],
        "params": [{"id": "p0", "label": "x" * 100}]
        + [
            {"id": f"p{n}", "select": {"choice": [f"{{{{ insert: param, p{n - 1} }}}}"] * 10}}
            for n in range(1, 31)
        ],
    }
    file = make_file("c.json", json.dumps(catalog("1", broken, bomb, KEYS, KEYS)))
    records, _, failures = read(make_source(), file)
    assert [record.key for record in records] == ["DW-3"]
    assert [failure.locator.rsplit("/", 1)[1] for failure in failures] == ["0", "3", "1"]
    assert "$.title" in failures[0].reason
    assert "stands twice" in failures[1].reason
    assert "20,000 characters" in failures[2].reason


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("", "0", id="empty"),
        pytest.param('{"catalog": {"groups": [', "JSON", id="truncated JSON"),
        pytest.param('{"component-definition": {}}', "holds a catalog or a profile", id="other OSCAL model"),
        pytest.param(
            '{"catalog": {"controls": [' + "{}," * 800_000 + "{}]}}", "may hold 1,6", id="too many values"
        ),
        pytest.param(
            '{"catalog": {"controls": [' + '{"id":0},' * 20_001 + "{}]}}",
            "more than 20,000 controls",
            id="too many controls",
        ),
        pytest.param("<system-security-plan/>", "the root is system-security-plan", id="other root element"),
        pytest.param("<catalog><metadata>", "not well-formed XML", id="truncated XML"),
        pytest.param(
            '<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]><catalog>&x;</catalog>',
            "DTD",
            id="external entity",
        ),
        pytest.param("a: &a [*a]", "names nothing before it", id="alias of itself"),
        pytest.param('{"catalog": ' + '{"groups": [' * 50_000, "nested too deeply", id="deep groups"),
        pytest.param(
            '{"catalog": {"controls": [' + '{"id": "a", "controls": [' * 20_000,
            "nested too deeply",
            id="deep controls",
        ),
        pytest.param(
            '{"catalog": {"metadata": {"version": ' + "9" * 100_000 + "}}}", "expected", id="long number"
        ),
        pytest.param(b"\xff\xfe{\x00", "JSON", id="UTF-16"),
        pytest.param(b"PK\x03\x04\x00\x00", "YAML|expected", id="zip header"),
    ],
)
def test_hostile_files(
    make_source: MakeSource, make_file: MakeFile, content: str | bytes, reason: str
) -> None:
    records, _, failures = read(make_source(), make_file("f", content))
    assert records == []
    (failure,) = failures
    assert re.search(reason, failure.reason), failure.reason
