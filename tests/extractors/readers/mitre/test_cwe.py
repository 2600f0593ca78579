from __future__ import annotations

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.mitre.cwe_code import repair_code
from securetag.extractors.readers.mitre.cwe_json import CweJsonReader, repair_detection
from securetag.extractors.readers.mitre.cwe_xml import CweXmlReader
from securetag.extractors.text import prose
from securetag.records import Record, Status

XML = """<?xml version="1.0"?>
<Weakness_Catalog Name="CWE" Version="9.9" xmlns="http://cwe.mitre.org/cwe-7"
                  xmlns:xhtml="http://www.w3.org/1999/xhtml">
 <Weaknesses>
  <Weakness ID="7001" Name="Unlocked &quot;Door&quot;" Abstraction="Base" Status="Draft">
   <Description>The house leaves its
      door open.</Description>
   <Extended_Description><xhtml:p>Anyone may enter [REF-12].</xhtml:p>
     <xhtml:ul><xhtml:li>by day</xhtml:li><xhtml:li>by <xhtml:b>night</xhtml:b></xhtml:li></xhtml:ul>
     <xhtml:table><xhtml:tr><xhtml:th>A</xhtml:th><xhtml:th>B</xhtml:th></xhtml:tr>
      <xhtml:tr><xhtml:td>1<xhtml:br/>2</xhtml:td><xhtml:td>x|y</xhtml:td></xhtml:tr></xhtml:table>
   </Extended_Description>
   <Related_Weaknesses><Related_Weakness Nature="ChildOf" CWE_ID="7000" View_ID="1000"/>
    <Related_Weakness Nature="PeerOf" CWE_ID="7002" View_ID="1000"/></Related_Weaknesses>
   <Applicable_Platforms><Language Class="Not Language-Specific"/><Language Name="C"/></Applicable_Platforms>
   <Common_Consequences><Consequence><Scope>Confidentiality</Scope><Scope>Integrity</Scope>
     <Impact>Read Data</Impact><Note>Guests see all.</Note></Consequence></Common_Consequences>
   <Potential_Mitigations><Mitigation><Phase>Operation</Phase><Strategy>Locks</Strategy>
     <Description><xhtml:p>Lock it.</xhtml:p><xhtml:p>Keep the key.</xhtml:p></Description></Mitigation>
   </Potential_Mitigations>
   <Demonstrative_Examples><Demonstrative_Example><Intro_Text>A door:</Intro_Text>
<Example_Code Nature="Bad" Language="C"><xhtml:div>if (knock()) {<xhtml:div style="margin-left:1em;">open(
        a &amp;&amp; b);<xhtml:br/>wave();</xhtml:div>}</xhtml:div></Example_Code>
     <Body_Text>It opens to all.</Body_Text></Demonstrative_Example></Demonstrative_Examples>
   <Observed_Examples><Observed_Example><Reference>CVE-2031-0001</Reference>
     <Description>House lets guests
       in.</Description></Observed_Example></Observed_Examples>
   <Taxonomy_Mappings><Taxonomy_Mapping Taxonomy_Name="WASC"><Entry_ID>99</Entry_ID>
     <Entry_Name>Doors</Entry_Name></Taxonomy_Mapping></Taxonomy_Mappings>
   <Mapping_Notes><Usage>Allowed</Usage></Mapping_Notes>
   <Related_Attack_Patterns><Related_Attack_Pattern CAPEC_ID="9"/></Related_Attack_Patterns>
  </Weakness>
  <Weakness ID="7003" Name="Old" Status="Deprecated"><Description>Gone.</Description></Weakness>
 </Weaknesses>
 <Categories><Category ID="7100" Name="Doors"><Summary>All doors.</Summary></Category></Categories>
</Weakness_Catalog>"""

JSON = r"""{"ID":"7001","Name":"Unlocked \"Door\"","Abstraction":"Base","Status":"Draft",
"Description":"The house leaves its\n      door open.",
"ExtendedDescription":"\n\nAnyone may enter [REF-12].\n\n\n  - by day\n\n  - by **night**\n",
"RelatedWeaknesses":[{"Nature":"ChildOf","CweID":"7000","ViewID":"1000"},
 {"Nature":"PeerOf","CweID":"7002","ViewID":"1000"}],
"ApplicablePlatforms":[{"Type":"Language","Class":"Not Language-Specific"},{"Type":"Language","Name":"C"}],
"CommonConsequences":[{"Scope":["Confidentiality","Integrity"],"Impact":["Read Data"],
 "Note":"Guests see all."}],
"PotentialMitigations":[{"Phase":["Operation"],"Strategy":"Locks",
 "Description":"\n\nLock it.\n\n\nKeep the key.\n"}],
"DemonstrativeExamples":[{"Entries":[{"IntroText":"A door:"},{"Nature":"Bad","Language":"C",
 "ExampleCode":"```\n\tif (knock()) {\n\t\topen( a && b);\n\t\twave();\n\t}\n```"},
 {"BodyText":"It opens to all."}]}],
"ObservedExamples":[{"Reference":"CVE-2031-0001","Description":"House lets guests\n  in."}],
"TaxonomyMappings":[{"TaxonomyName":"WASC","EntryID":"99","EntryName":"Doors"}],
"MappingNotes":{"Usage":"Allowed"},"RelatedAttackPatterns":["9"]}"""


def test_xml_and_json_tell_the_same(make_source: MakeSource, make_file: MakeFile) -> None:
    from_xml = list(CweXmlReader(make_source()).read([make_file("c.xml", XML)]))
    (from_json,) = CweJsonReader(make_source()).read([make_file("7001.json", JSON)])
    record = from_xml[0]
    assert isinstance(record, Record)
    assert isinstance(from_json, Record)
    for item in (record, from_json):
        assert (item.key, item.title) == ("CWE-7001", 'Unlocked "Door"')
        assert item.text.startswith("The house leaves its door open.\n\nAnyone may enter.\n\n- by day")
        assert item.url == "https://cwe.mitre.org/data/definitions/7001.html"
    assert record.facts == from_json.facts
    assert record.facts.parents == ["CWE-7000"]
    assert record.facts.related == ["CWE-7002", "CAPEC-9"]
    assert record.facts.platforms == ["C"]
    assert record.facts.mitigations == ["Operation (Locks): Lock it.\n\nKeep the key."]
    assert record.facts.consequences == ["Confidentiality, Integrity: Read Data. Guests see all."]
    assert record.facts.observed == ["CVE-2031-0001: House lets guests in."]
    assert record.facts.taxonomies == ["WASC 99: Doors"]
    assert record.facts.examples == [
        "A door:\n\nBad code (C):\n\n```c\nif (knock()) {\n\topen( a && b);\n\twave();\n}\n```\n\n"
        "It opens to all."
    ]
    assert "| A | B |\n| --- | --- |\n| 1 2 | x\\|y |" in record.text
    assert record.locator == "/Weakness_Catalog/Weaknesses/Weakness[@ID='7001']"


def test_status_and_what_is_dropped(make_source: MakeSource, make_file: MakeFile) -> None:
    items = list(CweXmlReader(make_source()).read([make_file("c.xml", XML)]))
    assert [item.status for item in items if isinstance(item, Record)] == [Status.ACTIVE, Status.DEPRECATED]
    assert [item.reason for item in items if isinstance(item, Drop)] == [
        "a category groups weaknesses and is none"
    ]
    items = list(CweXmlReader(make_source(options={"kinds": ["category"]})).read([make_file("c.xml", XML)]))
    assert [item.key for item in items if isinstance(item, Record)] == ["CWE-7100"]


def test_one_broken_entry_costs_no_other(make_source: MakeSource, make_file: MakeFile) -> None:
    broken = XML.replace('ID="7003" Name="Old"', 'ID="7003"')
    items = list(CweXmlReader(make_source()).read([make_file("c.xml", broken)]))
    assert [type(item).__name__ for item in items] == ["Record", "Failure", "Drop"]
    items = list(CweJsonReader(make_source()).read([make_file("l.json", f'[{JSON}, {{"ID": 3}}, 7]')]))
    assert [type(item).__name__ for item in items] == ["Record", "Failure", "Failure"]


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(
            '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Weakness_Catalog>&a;</Weakness_Catalog>',
            id="external entity",
        ),
        pytest.param(
            f'<!DOCTYPE x [<!ENTITY a0 "ha">{BOMB}]><Weakness_Catalog>&a11;</Weakness_Catalog>',
            id="billion laughs",
        ),
        pytest.param(XML[:900], id="truncated"),
        pytest.param("", id="empty"),
        pytest.param("\x00\x01", id="binary"),
        pytest.param("<a/>", id="another root"),
        pytest.param("<a>" * 5000, id="deep"),
    ],
)
def test_hostile_xml_is_a_failure(make_source: MakeSource, make_file: MakeFile, hostile: str) -> None:
    items = list(CweXmlReader(make_source()).read([make_file("c.xml", hostile)]))
    assert [type(item).__name__ for item in items] == ["Failure"]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("[" * 100_000, id="brackets"),
        pytest.param('{"a":' * 100_000, id="repeated keys"),
        pytest.param(JSON[:300], id="truncated"),
        pytest.param("", id="empty"),
        pytest.param("{}", id="empty object"),
        pytest.param("[]", id="empty list"),
        pytest.param("1e999999", id="number too large"),
        pytest.param('{"ID": 5}', id="id is a number"),
        pytest.param('{"Weaknesses": {"a": 1}}', id="weaknesses is an object"),
    ],
)
def test_hostile_json_is_a_failure(make_source: MakeSource, make_file: MakeFile, hostile: str) -> None:
    items = list(CweJsonReader(make_source()).read([make_file("c.json", hostile)]))
    assert [type(item).__name__ for item in items] == ["Failure"]


def test_traces_of_upstreams_conversion_are_mended() -> None:
    text = (
        "May help:\n\n```\n\t\tCheap:\n```\n\n\t\tScanner A\n\t\tScanner B\n"
        "\t```\n\t\tDear:\n```\n\n\t\tAudit"
    )
    assert (
        prose.clean(repair_detection(text))
        == "May help:\n\nCheap:\n\n- Scanner A\n- Scanner B\n\nDear:\n\n- Audit"
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("```\n\tif x:\n\t\ty\n```", "if x:\n\ty", id="fences"),
        pytest.param(
            "```\n\tint f() {\n```\n// look* \n\t\t\n\t\t\n\t\t *// twice* \n"
            "\t\tg();\n\t\t```\n\t\t\th();\n\t}\n```",
            "int f() {\n\t// look\n\t// twice\n\tg();\n\t\th();\n}",
            id="comments in nested fences",
        ),
        pytest.param("```\n\ta();\n```\n/* end */* \n\tb();", "a();\n/* end */\nb();", id="C comment"),
        pytest.param(
            "```\nif (x) begin** \n\t **y <= 1;** \n\tend", "if (x) begin\n\ty <= 1;\n\tend", id="bold"
        ),
        pytest.param("```\n\tf(\n```\na_reg**  ),\n\tb);", "f(\na_reg  ),\nb);", id="bold before code"),
        pytest.param("// done*  }  }", "// done\n}\n}", id="comment before braces"),
        pytest.param("a();\n...*", "a();\n...", id="ellipsis"),
        pytest.param("int main(int argc, char **argv) {", "int main(int argc, char **argv) {", id="pointers"),
        pytest.param(
            "**p = 3;\n*q = a * b;\n/**\n * x\n */", "**p = 3;\n*q = a * b;\n/**\n * x\n */", id="code"
        ),
    ],
)
def test_marks_in_code_are_removed(code: str, expected: str) -> None:
    assert repair_code(code) == expected


def test_an_edition_as_xml_lends_its_form_of_the_same_code(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    damaged = JSON.replace(r"```\n\tif (knock()) {\n\t\topen(", r"```\n\tif (*knock()) {\n```\nopen(")
    assert damaged != JSON
    files = [make_file("7001.json", damaged), make_file("cwe.xml", XML)]
    record, drop = CweJsonReader(make_source()).read(files)
    assert isinstance(record, Record)
    assert isinstance(drop, Drop)
    assert "```c\nif (knock()) {\n\topen( a && b);\n\twave();\n}\n```" in record.facts.examples[0]
