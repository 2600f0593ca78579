from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.mitre.cwe_csv import CweCsvReader, split_cell
from securetag.records import Record, Status

HEADER = (
    "CWE-ID,Name,Weakness Abstraction,Status,Description,Extended Description,Related Weaknesses,"
    "Applicable Platforms,Background Details,Alternate Terms,Likelihood of Exploit,Common Consequences,"
    "Detection Methods,Potential Mitigations,Related Attack Patterns"
)
ROW = (
    '7001,"Unlocked ""Door""",Base,Draft,"The house leaves its door open, wide.","Anyone may enter.",'
    "::NATURE:ChildOf:CWE ID:7000:VIEW ID:1000:ORDINAL:Primary::NATURE:PeerOf:CWE ID:7002:VIEW ID:1000::,"
    "::LANGUAGE CLASS:Not Language-Specific:LANGUAGE PREVALENCE:Often"
    "::LANGUAGE NAME:C:LANGUAGE PREVALENCE:Often"
    "::TECHNOLOGY CLASS:Web Based:TECHNOLOGY PREVALENCE:Often::,::Doors are old.::,"
    "::TERM:Ajar:DESCRIPTION:Nearly shut.::TERM:Gap::,High,"
    "::SCOPE:Confidentiality:SCOPE:Integrity:IMPACT:Read Data:NOTE:Guests see all: even std::string.::"
    "SCOPE:Availability:IMPACT:DoS: Crash::,"
    "::METHOD:Manual Review:DESCRIPTION:Look (e.g. a::b) twice.:EFFECTIVENESS:High::,"
    "::PHASE:Architecture and Design Operation:STRATEGY:Locks:DESCRIPTION:Lock it."
    "::PHASE::DESCRIPTION:Keep the key.::,"
    "::9::10::,"
)


def read(make_source: MakeSource, *files: FetchedFile) -> list[Item]:
    return list(CweCsvReader(make_source()).read(files))


def test_nested_cells(make_source: MakeSource, make_file: MakeFile) -> None:
    (record,) = read(make_source, make_file("v.csv", f"{HEADER}\n{ROW}\n"))
    assert isinstance(record, Record)
    assert (record.key, record.title) == ("CWE-7001", 'Unlocked "Door"')
    assert record.text == "The house leaves its door open, wide.\n\nAnyone may enter.\n\nDoors are old."
    assert record.url == "https://cwe.mitre.org/data/definitions/7001.html"
    assert record.locator == "line 2"
    facts = record.facts
    assert (facts.parents, facts.related) == (["CWE-7000"], ["CWE-7002", "CAPEC-9", "CAPEC-10"])
    assert (facts.platforms, facts.aliases, facts.likelihood) == (["C", "Web Based"], ["Ajar", "Gap"], "High")
    assert facts.consequences == [
        "Confidentiality, Integrity: Read Data. Guests see all: even std::string.",
        "Availability: DoS: Crash",
    ]
    assert facts.detections == ["Manual Review: Look (e.g. a::b) twice."]
    assert facts.mitigations == ["Architecture and Design, Operation (Locks): Lock it.", "Keep the key."]


def test_a_weakness_of_two_views_is_one_record(make_source: MakeSource, make_file: MakeFile) -> None:
    other = "7003,Old,Base,Deprecated,Gone.,,,,,,,,,,,"
    files = [
        make_file("a.csv", f"{HEADER}\r\n{ROW}\r\n"),
        make_file("b.csv", f"\ufeff{HEADER}\n{ROW}\n\n{other}\n"),
    ]
    items = read(make_source, *files)
    assert [item.key for item in items if isinstance(item, Record)] == ["CWE-7001", "CWE-7003"]
    assert items[-1].status is Status.DEPRECATED
    assert [item.reason for item in items if isinstance(item, Drop)] == ["the same weakness in another view"]


def test_columns_may_stand_elsewhere_and_a_broken_row_costs_no_other(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    text = "Name,Description,CWE-ID,New Column\nA door,It is open.,7001,x,\nB,Odd.,seven,y,\nC\n"
    items = read(make_source, make_file("v.csv", text))
    assert [type(item).__name__ for item in items] == ["Record", "Failure", "Failure"]


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("", id="empty"),
        pytest.param("a,b\n1,2\n", id="another table"),
        pytest.param(f'{HEADER}\n7001,"never closed', id="open quote"),
        pytest.param(f"{HEADER}\n7001,{'x' * 200_000},\n", id="long cell"),
        pytest.param("\x00\x01", id="binary"),
        pytest.param('"a"b,c', id="text after a quote"),
    ],
)
def test_hostile_csv_is_a_failure(make_source: MakeSource, make_file: MakeFile, hostile: str) -> None:
    assert [type(item).__name__ for item in read(make_source, make_file("v.csv", hostile))] == ["Failure"]


@given(
    st.lists(
        st.lists(st.text("ab :.", min_size=1).map(lambda t: t.strip(" :") or "a"), min_size=1, max_size=3),
        max_size=4,
    )
)
def test_what_is_joined_comes_apart_again(entries: list[list[str]]) -> None:
    cell = "".join("::" + ":".join(f"KEY {n}:{value}" for n, value in enumerate(entry)) for entry in entries)
    parsed_entries = split_cell(f"{cell}::" if cell else "", "KEY 0", "KEY 1", "KEY 2")
    assert [[value for _, value in entry] for entry in parsed_entries] == entries
