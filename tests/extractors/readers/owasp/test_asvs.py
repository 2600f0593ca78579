from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource

from securetag.errors import SourceError
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop
from securetag.extractors.readers.owasp.asvs import AsvsReader
from securetag.extractors.readers.owasp.asvs_formats import read_csv, read_json, read_xml
from securetag.records import JsonObject, Record, Status

WINDOW = "Verify that every window is shut before a door is opened to anybody at all."
TEXTS = {
    "1.1.1": f"{WINDOW} ([C1](https://e.org/#x), [C2](https://e.org))",
    "1.1.2": "[DELETED, DUPLICATE OF 1.1.1]",
    "1.1.3": "[MODIFIED, MOVED FROM 2.1.7] Verify that a lock has a key, and that somebody has it.",
}
MARKS = {"1.1.1": ("", "✓", "✓"), "1.1.2": ("", "", ""), "1.1.3": ("✓", "✓", "✓")}
CWE = {"1.1.1": "521", "1.1.2": "", "1.1.3": ""}
NIST = {"1.1.1": "5.1.1.2 / 5.2", "1.1.2": "", "1.1.3": ""}


def rows() -> list[dict[str, str]]:
    return [
        {
            "chapter_id": "V1",
            "chapter_name": "Doors",
            "section_id": "V1.1",
            "section_name": "Locks",
            "req_id": f"V{number}",
            "req_description": text,
            "level1": MARKS[number][0],
            "level2": MARKS[number][1],
            "level3": MARKS[number][2],
            "cwe": CWE[number],
            "nist": NIST[number],
        }
        for number, text in TEXTS.items()
    ]


def nested() -> JsonObject:
    def level(mark: str) -> JsonObject:
        return {"Required": bool(mark), "Requirement": mark}

    items = [
        {
            "Shortcode": f"V{number}",
            "Ordinal": 1,
            "Description": text,
            "L1": level(MARKS[number][0]),
            "L2": level(MARKS[number][1]),
            "L3": level(MARKS[number][2]),
            "CWE": [int(CWE[number])] if CWE[number] else [],
            "NIST": ["5.1.1.2", "5.2"] if CWE[number] else [],
        }
        for number, text in TEXTS.items()
    ]
    sections = [{"Shortcode": "V1.1", "Ordinal": 1, "Name": "Locks", "Items": items}]
    return {
        "Name": "Standard",
        "ShortName": "ASVS",
        "Version": "7.1.0",
        "Requirements": [{"Shortcode": "V1", "Ordinal": 1, "Name": "Doors", "Items": sections}],
    }


def as_xml(value: object, name: str) -> str:
    if isinstance(value, list):
        return f"<{name}>{''.join(as_xml(entry, 'item') for entry in value)}</{name}>"
    if isinstance(value, dict):
        return f"<{name}>{''.join(as_xml(inner, key) for key, inner in value.items())}</{name}>"
    return f"<{name}>{str(value).replace('&', '&amp;')}</{name}>"


def as_csv() -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows()[0]))
    writer.writeheader()
    writer.writerows(rows())
    return "\ufeff" + out.getvalue()


def as_markdown() -> str:
    cells = (
        f"| **{number}** | {text} | {' | '.join(MARKS[number])} | {CWE[number]} | {NIST[number]} |"
        for number, text in TEXTS.items()
    )
    return (
        f"# V1 Doors\n\n## Control Objective\n\nDoors keep {WINDOW} Or so they say.\n\n## V1.1 Locks\n\n"
        f"Locks hold doors. {WINDOW}\n\n"
        "| # | Description | L1 | L2 | L3 | CWE | [NIST &sect;](https://e.org) |\n"
        "| :---: | :--- | :---: | :---:| :---: | :---: | :---: |\n" + "\n".join(cells) + "\n\nNote: "
        f"{WINDOW}\n\n| Mark | Meaning |\n| --- | --- |\n| o | Recommended |\n"
    )


FORMATS = {
    "7.1.0-en.json": json.dumps(nested()),
    "7.1.0-en.flat.json": json.dumps({"requirements": rows()}),
    "7.1.0-en.csv": as_csv(),
    "7.1.0-en.xml": '<?xml version="1.0" encoding="UTF-8" ?>' + as_xml(nested(), "root"),
    "0x10-V1-Doors.md": as_markdown(),
}


def read(reader: AsvsReader, *files: FetchedFile) -> tuple[dict[str, Record], list[Drop | Failure]]:
    items = list(reader.read(files))
    records = [item for item in items if isinstance(item, Record)]
    assert len({(record.key, record.lang) for record in records}) == len(records)
    return {record.key: record for record in records}, [i for i in items if not isinstance(i, Record)]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same(make_source: MakeSource, make_file: MakeFile, name: str) -> None:
    records, _ = read(AsvsReader(make_source(edition="7.1.0")), make_file(name, FORMATS[name]))
    first, deleted, moved = (records[f"ASVS-7.1-1.1.{n}"] for n in (1, 2, 3))
    assert first.text == WINDOW
    assert first.title == "Doors: Locks"
    assert first.facts.levels == ["L2", "L3"]
    assert first.facts.cwe == ["CWE-521"]
    assert first.facts.related == ["SP 800-63B 5.1.1.2", "SP 800-63B 5.2"]
    assert first.facts.parents == ["ASVS-7.1-V1.1"]
    assert deleted.status is Status.WITHDRAWN
    assert deleted.facts.related == ["ASVS-7.1-1.1.1"]
    assert moved.status is Status.ACTIVE
    assert moved.text.startswith("Verify that a lock")
    assert moved.facts.levels == ["L1", "L2", "L3"]


def test_all_formats_together_give_each_requirement_once(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    files = [make_file(name, text) for name, text in FORMATS.items()]
    records, others = read(AsvsReader(make_source(edition="7.1.0")), *files)
    assert sum(record.facts.kind == "requirement" for record in records.values()) == 3
    drops = [other for other in others if isinstance(other, Drop) and other.reason.startswith("the same")]
    assert len(drops) == 3 * (len(FORMATS) - 1)
    chapter, section = records["ASVS-7.1-V1"], records["ASVS-7.1-V1.1"]
    assert chapter.text.startswith("## Control Objective")
    assert section.facts.parents == ["ASVS-7.1-V1"]
    assert "1.1.1" not in section.text
    assert "Note: " in section.text
    assert "| o | Recommended |" in section.text


def test_one_level_column_and_other_languages(make_source: MakeSource, make_file: MakeFile) -> None:
    spanish = "Verifique que cada ventana esté cerrada antes de que se abra la puerta a los demás, y después."
    flat = {"requirements": [{"req_id": "V2.1.1", "req_description": spanish, "L": "2", "section_name": "S"}]}
    cdx = {
        "bomFormat": "CycloneDX",
        "declarations": {
            "standards": [
                {
                    "version": "7.1.0",
                    "requirements": [
                        {"identifier": "V2", "title": "Windows"},
                        {"identifier": "V2.1", "title": "Glass", "parent": "V2"},
                        {"identifier": "V2.1.1", "text": WINDOW, "parent": "V2.1"},
                    ],
                    "levels": [
                        {"identifier": "Level 1", "requirements": []},
                        {"identifier": "Level 2", "requirements": ["V2.1.1"]},
                        {"identifier": "Level 3", "requirements": ["V2.1.1"]},
                    ],
                }
            ]
        },
    }
    items = AsvsReader(make_source(edition="7.1.0")).read(
        [
            make_file("docs_es/7.1.0_es.json", json.dumps(flat)),
            make_file("docs_en/x.cdx.json", json.dumps(cdx)),
        ]
    )
    by_lang = {record.lang: record for record in items if isinstance(record, Record)}
    assert by_lang["es"].key == by_lang["en"].key == "ASVS-7.1-2.1.1"
    assert by_lang["es"].facts.levels == by_lang["en"].facts.levels == ["L2", "L3"]
    assert by_lang["en"].title == "Windows: Glass"


def test_mappings_are_joined(make_source: MakeSource, make_file: MakeFile) -> None:
    requirement = {"requirements": [{"req_id": "V1.1.1", "req_description": WINDOW, "L": 1}]}
    records, others = read(
        AsvsReader(make_source(edition="7.1.0")),
        make_file("7.1.0.json", json.dumps(requirement)),
        make_file("a.yml", "---\nv7.1.0-1.1.1:\n  tag-v6.0.3: MODIFIED, MOVED FROM v6.0.3-2.1.10\n"),
        make_file("b.yml", "v7.1.be-9.9.9: v7.1.0-1.1.1\n"),
        make_file("c.json", json.dumps({"v7.1.be-9.9.9": "306"})),
        make_file("d.yml", "other: thing\n"),
    )
    record = records["ASVS-7.1-1.1.1"]
    assert record.facts.related == ["ASVS-6.0-2.1.10"]
    assert record.facts.cwe == ["CWE-306"]
    assert sum(isinstance(other, Drop) for other in others) == 3
    assert [other.reason for other in others if isinstance(other, Failure)] == ["YAML that maps no versions"]


def test_a_table_with_identifiers_of_its_own(make_source: MakeSource, make_file: MakeFile) -> None:
    text = (
        f"# V2: Almacenamiento\n\n{WINDOW} {WINDOW}\n\n"
        "| # | MSTG-ID | Descripción | L1 | L2 |\n| -- | -- | -- | - | - |\n"
        f"| **2.1** | MSTG-STORAGE-1 | {WINDOW} | x | x |\n| **2.2** | MSTG-STORAGE-2 | {WINDOW} 2 |  | x |\n"
    )
    records, _ = read(AsvsReader(make_source(edition="1.5")), make_file("0x07.md", text))
    assert records["MSTG-STORAGE-1"].facts.levels == ["L1", "L2"]
    assert records["MSTG-STORAGE-2"].facts.levels == ["L2"]
    assert records["ASVS-1.5-V2"].title == "Almacenamiento"


HOSTILE = [
    pytest.param(FORMATS["7.1.0-en.json"][:500], id="truncated JSON"),
    pytest.param("{" * 5_000, id="open braces"),
    pytest.param('{"Requirements": ' + '[{"Items": ' * 5_000, id="deep items"),
    pytest.param("[]", id="empty list"),
    pytest.param("", id="empty"),
    pytest.param("\x00" * 100, id="NUL bytes"),
    pytest.param('{"requirements": [{"req_id": 1}]}', id="id is a number"),
    pytest.param('{"requirements": [{"req_id": "V1", "req_description": 1e999}]}', id="number too large"),
    pytest.param('<!DOCTYPE a [<!ENTITY b "c">]><root><Requirements>&b;</Requirements></root>', id="DTD"),
    pytest.param("<root>" * 5_000, id="deep XML"),
    pytest.param('{"declarations": {"standards": []}}', id="no standard"),
    pytest.param("a: &a [*a]\n", id="alias of itself"),
    pytest.param("v1.0-1.1.1: !!python/object:os.system x", id="object tag"),
]


@pytest.mark.hostile
@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("name", ["x.json", "x.csv", "x.xml"], ids=str)
def test_hostile_files_are_failures_or_nothing(
    make_source: MakeSource, make_file: MakeFile, hostile: str, name: str
) -> None:
    good = make_file("7.1.0.flat.json", FORMATS["7.1.0-en.flat.json"])
    records, others = read(AsvsReader(make_source(edition="7.1.0")), make_file(name, hostile), good)
    assert len(records) == 3
    assert all(isinstance(other, Failure) and other.reason for other in others)


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_decoders_refuse_with_one_error(data: bytes) -> None:
    for decode in (read_json, read_xml, lambda data: read_csv(data.decode("utf-8", "replace"))):
        try:
            decode(data)
        except SourceError:
            continue
