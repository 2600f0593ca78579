from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.mitre.capec import format_step
from securetag.extractors.readers.mitre.capec_stix import CapecStixReader, parse_steps
from securetag.extractors.readers.mitre.capec_xml import CapecXmlReader
from securetag.extractors.text import prose
from securetag.records import JsonObject, Record, Status

FLOW = (
    "<h2> Execution Flow </h2><div><h3>Explore</h3><ol>"
    "<li> <p> <b>Look around: </b>Find a door & a <script>knock()</script> window.</p></li>"
    "<table><tbody><tr><th>Techniques</th></tr><tr><td>Walk by.</td></tr>"
    "<tr><td>Use <img src='door.png' > twice.</td></tr></tbody></table></ol></div>"
    "<div><h3>Exploit</h3><ol><li> <p>[Enter]<xhtml:p>Go in.</xhtml:p>"
    "<xhtml:p>Sit down.</xhtml:p></p></li></ol></div>"
)


def pattern(number: int, **fields: Any) -> JsonObject:
    return {
        "type": "attack-pattern",
        "id": f"attack-pattern--{number}",
        "name": f"Pattern {number}",
        "created": "2014-06-23T00:00:00.000Z",
        "description": "Text.",
        "x_capec_status": "Draft",
        "external_references": [{"source_name": "capec", "external_id": f"CAPEC-{number}"}],
    } | fields


FULL = pattern(
    9001,
    name="Walk In",
    description="\n        <xhtml:p>Somebody enters [REF-3].</xhtml:p>\n        <xhtml:p>By day.</xhtml:p>\n",
    external_references=[
        {"source_name": "capec", "external_id": "CAPEC-9001"},
        {"source_name": "cwe", "external_id": "CWE-7001"},
        {"source_name": "ATTACK", "external_id": "T9001.001"},
        {"source_name": "WASC", "external_id": "7", "description": "Doors"},
    ],
    x_capec_execution_flow=FLOW,
    x_capec_prerequisites=["A door."],
    x_capec_skills_required={"Low": "Walking.", "High": None},
    x_capec_consequences={
        "Confidentiality": ["Read Data"],
        "Access_Control": ["Read Data"],
        "Integrity": ["Modify Data"],
    },
    x_capec_likelihood_of_attack="High",
    x_capec_typical_severity="Very High",
    x_capec_child_of_refs=["attack-pattern--9002", "attack-pattern--404"],
    x_capec_can_precede_refs=["attack-pattern--9003"],
    x_capec_example_instances=["It happened."],
    x_capec_alternate_terms=["Stroll"],
)
OBJECTS = [
    FULL,
    pattern(9002),
    pattern(9003, x_capec_status="Deprecated"),
    pattern(9004, x_capec_status="Obsolete"),
    pattern(9005, description=""),
    pattern(9006, external_references=[]),
    {
        "type": "course-of-action",
        "id": "course-of-action--2",
        "name": "coa-9001-10",
        "description": "Then call.",
    },
    {
        "type": "course-of-action",
        "id": "course-of-action--1",
        "name": "coa-9001-2",
        "description": "Lock it:<xhtml:ul>\n  <xhtml:li>twice</xhtml:li>\n</xhtml:ul>",
    },
    *(
        {
            "type": "relationship",
            "id": f"relationship--{n}",
            "relationship_type": "mitigates",
            "source_ref": f"course-of-action--{n}",
            "target_ref": "attack-pattern--9001",
        }
        for n in (1, 2)
    ),
]

XML = """<?xml version="1.0" encoding="UTF-8"?>
<Attack_Pattern_Catalog Name="CAPEC" Version="9.9" xmlns="http://capec.mitre.org/capec-3"
                        xmlns:xhtml="http://www.w3.org/1999/xhtml">
 <Attack_Patterns>
  <Attack_Pattern ID="9001" Name="Walk In" Abstraction="Standard" Status="Draft">
   <Description><xhtml:p>Somebody enters [REF-3].</xhtml:p><xhtml:p>By day.</xhtml:p></Description>
   <Alternate_Terms><Alternate_Term><Term>Stroll</Term></Alternate_Term></Alternate_Terms>
   <Likelihood_Of_Attack>High</Likelihood_Of_Attack><Typical_Severity>Very High</Typical_Severity>
   <Related_Attack_Patterns><Related_Attack_Pattern Nature="ChildOf" CAPEC_ID="9002"/>
    <Related_Attack_Pattern Nature="CanPrecede" CAPEC_ID="9003"/></Related_Attack_Patterns>
   <Execution_Flow>
    <Attack_Step><Step>1</Step><Phase>Explore</Phase>
     <Description>[Look around] Find a door &amp; a
        &lt;script&gt;knock()&lt;/script&gt; window.</Description>
     <Technique>Walk by.</Technique>
     <Technique>Use &lt;img src='door.png' &gt; twice.</Technique></Attack_Step>
    <Attack_Step><Step>2</Step><Phase>Exploit</Phase>
     <Description>[Enter]<xhtml:p>Go in.</xhtml:p><xhtml:p>Sit down.</xhtml:p></Description></Attack_Step>
   </Execution_Flow>
   <Prerequisites><Prerequisite>A door.</Prerequisite></Prerequisites>
   <Skills_Required><Skill Level="Low">Walking.</Skill><Skill Level="High"/></Skills_Required>
   <Consequences><Consequence><Scope>Confidentiality</Scope><Scope>Access Control</Scope>
     <Impact>Read Data</Impact></Consequence>
    <Consequence><Scope>Integrity</Scope><Impact>Modify Data</Impact></Consequence></Consequences>
   <Mitigations><Mitigation>Lock it:<xhtml:ul><xhtml:li>twice</xhtml:li></xhtml:ul></Mitigation>
    <Mitigation>Then call.</Mitigation></Mitigations>
   <Example_Instances><Example>It happened.</Example></Example_Instances>
   <Related_Weaknesses><Related_Weakness CWE_ID="7001"/></Related_Weaknesses>
   <Taxonomy_Mappings>
    <Taxonomy_Mapping Taxonomy_Name="ATTACK"><Entry_ID>9001.001</Entry_ID></Taxonomy_Mapping>
    <Taxonomy_Mapping Taxonomy_Name="WASC"><Entry_ID>7</Entry_ID>
      <Entry_Name>Doors</Entry_Name></Taxonomy_Mapping></Taxonomy_Mappings>
   <Content_History><Submission><Submission_Date>2014-06-23</Submission_Date></Submission></Content_History>
  </Attack_Pattern>
  <Attack_Pattern ID="9003" Name="Old" Status="Deprecated"><Description>Gone.</Description></Attack_Pattern>
  <Attack_Pattern ID="9007"><Description>Nameless.</Description></Attack_Pattern>
 </Attack_Patterns>
 <Categories><Category ID="9100" Name="Doors"><Summary>All doors.</Summary></Category></Categories>
</Attack_Pattern_Catalog>"""

TEXT = """Somebody enters.

By day.

## Prerequisites

- A door.

## Skills required

- Low: Walking.
- High

## Execution flow

### Explore

1. **Look around:** Find a door & a <script>knock()</script> window.
   - Walk by.
   - Use <img src='door.png' > twice.

### Exploit

2. **Enter:** Go in.

   Sit down."""


def stix(objects: list[JsonObject]) -> str:
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects})


def test_stix_and_xml_tell_the_same(make_source: MakeSource, make_file: MakeFile) -> None:
    files = [make_file(f"{n}.json", stix([each])) for n, each in enumerate(OBJECTS)]
    from_stix = [item for item in CapecStixReader(make_source()).read(files) if isinstance(item, Record)]
    from_xml = [
        item
        for item in CapecXmlReader(make_source()).read([make_file("c.xml", XML)])
        if isinstance(item, Record)
    ]
    for record in (from_stix[0], from_xml[0]):
        assert (record.key, record.title, record.text) == ("CAPEC-9001", "Walk In", TEXT)
        assert record.url == "https://capec.mitre.org/data/definitions/9001.html"
    facts = from_xml[0].facts
    assert from_stix[0].facts == facts
    assert (facts.severity, facts.likelihood, facts.published) == ("critical", "High", "2014-06-23")
    assert (facts.parents, facts.related, facts.cwe) == (
        ["CAPEC-9002"],
        ["CAPEC-9003", "T9001.001"],
        ["CWE-7001"],
    )
    assert facts.taxonomies == ["ATTACK T9001.001", "WASC 7: Doors"]
    assert facts.consequences == ["Confidentiality, Access Control: Read Data", "Integrity: Modify Data"]
    assert facts.mitigations == ["Lock it:\n\n- twice", "Then call."]
    assert (facts.examples, facts.aliases) == (["It happened."], ["Stroll"])


def test_status_and_what_is_left_out(make_source: MakeSource, make_file: MakeFile) -> None:
    items = list(CapecStixReader(make_source()).read([make_file("a.json", stix(OBJECTS))]))
    assert {item.key: item.status for item in items if isinstance(item, Record)} == {
        "CAPEC-9001": Status.ACTIVE,
        "CAPEC-9002": Status.ACTIVE,
        "CAPEC-9003": Status.DEPRECATED,
        "CAPEC-9004": Status.SUPERSEDED,
    }
    assert [item.reason for item in items if isinstance(item, Drop)] == ["no text", "no CAPEC id"]
    items = list(CapecXmlReader(make_source()).read([make_file("c.xml", XML)]))
    assert [type(item).__name__ for item in items] == ["Record", "Record", "Failure", "Drop"]
    assert items[2].locator == "/Attack_Pattern_Catalog/Attack_Patterns/Attack_Pattern[@ID='9007']"  # type: ignore[union-attr]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("<Attack_Pattern_Catalog>", id="open root"),
        pytest.param("", id="empty"),
        pytest.param("<a/>", id="another root"),
        pytest.param(XML[:500], id="truncated"),
        pytest.param(XML.replace("<?xml", "<!DOCTYPE x []><?xml"), id="DTD"),
    ],
)
def test_hostile_xml_is_a_failure(make_source: MakeSource, make_file: MakeFile, hostile: str) -> None:
    items = list(CapecXmlReader(make_source()).read([make_file("c.xml", hostile)]))
    assert [type(item).__name__ for item in items] == ["Failure"]


def test_a_field_of_another_type_costs_its_object_alone(make_source: MakeSource, make_file: MakeFile) -> None:
    odd = pattern(9008, x_capec_consequences="none")
    items = list(CapecStixReader(make_source()).read([make_file("a.json", stix([odd, pattern(9002)]))]))
    assert [type(item).__name__ for item in items] == ["Failure", "Record"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("**Look: **", id="bold name alone"),
        pytest.param("no name", id="no name"),
        pytest.param("[a] [b] c", id="two brackets"),
        pytest.param("**a** and **b**", id="two bold words"),
        pytest.param("", id="empty"),
    ],
)
def test_a_step_keeps_its_words(text: str) -> None:
    assert [w.strip("*:[]") for w in format_step(text).split()] == [
        w.strip("*:[]") for w in text.split() if w.strip("*:")
    ]


PARTS = (
    "<li>", "</li>", "<p>", "<b>", "</b>", "<h3>", "</h3>", "<td>", "</td>", "a & b", "&amp;lt;", "<xhtml:p>",
    "xhtml:", "`", "\ufffd", "\n    ", "(Citation: x)",
)  # fmt: skip


@given(st.lists(st.sampled_from(PARTS)))
def test_no_execution_flow_leaves_traces(parts: list[str]) -> None:
    for step in parse_steps("<h3>Explore</h3>" + "".join(parts)):
        for text in (step.phase, step.text, *step.techniques):
            assert prose.find_residue(text) == []


def test_a_flow_of_a_megabyte_is_read_in_linear_time() -> None:
    assert list(parse_steps("<h3>a</h3>" + "<li><p>" * 150_000)) == []
