from __future__ import annotations

import pyoxigraph as ox
import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.mitre.d3fend import D3fendReader
from securetag.records import Record, Status

TURTLE = '''
@prefix : <http://d3fend.mitre.org/ontologies/d3fend.owl#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .

:DefensiveTechnique a owl:Class ; rdfs:label "Defensive Technique" ;
    rdfs:subClassOf [ a owl:Restriction ; owl:onProperty :enables ; owl:someValuesFrom :DefensiveTactic ] .
:Guard a :DefensiveTactic, owl:Class ; rdfs:label "Guard" ; :definition "Guarding keeps doors shut." .
:DoorAnalysis a owl:Class ; rdfs:label "Door Analysis" ;
    rdfs:subClassOf :DefensiveTechnique,
        [ a owl:Restriction ; owl:onProperty :enables ; owl:someValuesFrom :Guard ] ;
    :d3fend-id "D3-DA" ; :definition "Looking at doors." .
:LockAnalysis a owl:Class ; rdfs:label "Lock Analysis" ;
    rdfs:subClassOf :DoorAnalysis,
        [ a owl:Restriction ; owl:onProperty :analyzes ; owl:someValuesFrom :Lock ] ;
    :d3fend-id "D3-LA" ; :definition "Looking at locks." ; :synonym "Keyhole Watching" ;
    skos:altLabel "Lock Gazing" ;
    :created "2024-02-03T00:00:00"^^<http://www.w3.org/2001/XMLSchema#dateTime> ;
    :kb-reference :Reference-Doors ;
    :kb-article """## How it works
A [lock](/dao/artifact/d3f:Lock) &amp; its key are seen.(Citation: Key)

## References
- somebody
""" .
:OldAnalysis a owl:Class ; rdfs:label "Old" ; owl:deprecated true ; rdfs:subClassOf :LoopA ;
    :d3fend-id "D3-OA" ; :definition "Was done." .
:LoopA rdfs:subClassOf :LoopB, :DefensiveTechnique .
:LoopB rdfs:subClassOf :LoopA .
:Lock a owl:Class ; rdfs:label "Lock" .
:Averaging a owl:Class ; rdfs:label "Averaging" ; :d3fend-id "D3A-AV" ; :definition "A mean." .
:T9001 a owl:Class ; rdfs:label "Knock" ; :attack-id "T9001" ; :definition "Knocks." .
:M9001 a :ATTACKEnterpriseMitigation ; rdfs:label "Lock it" ; :related :LockAnalysis .
:Reference-Doors :has-link "https://e.org/doors"^^<http://www.w3.org/2001/XMLSchema#anyURI> .
'''


def read(make_source: MakeSource, file: FetchedFile) -> list[Item]:
    return list(D3fendReader(make_source()).read([file]))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(ox.RdfFormat.TURTLE, id="Turtle"),
        pytest.param(ox.RdfFormat.RDF_XML, id="RDF/XML"),
        pytest.param(ox.RdfFormat.JSON_LD, id="JSON-LD"),
    ],
)
def test_joins_in_every_form(make_source: MakeSource, make_file: MakeFile, form: ox.RdfFormat) -> None:
    triples = (statement.triple for statement in ox.parse(TURTLE, format=ox.RdfFormat.TURTLE))
    items = read(make_source, make_file("d3fend", ox.serialize(triples, format=form) or b""))
    records = {item.key: item for item in items if isinstance(item, Record)}
    assert set(records) == {"D3-DA", "D3-LA", "D3-OA", "d3f:Guard"}
    lock = records["D3-LA"]
    assert lock.title == "Lock Analysis"
    assert lock.text == (
        "Looking at locks.\n\n## How it works\nA lock & its key are seen.\n\n"
        "## Digital artifacts\n\n- analyzes Lock"
    )
    assert lock.url == "https://d3fend.mitre.org/technique/d3f:LockAnalysis/"
    facts = lock.facts
    assert (facts.kind, facts.parents, facts.related) == ("countermeasure", ["D3-DA"], ["M9001"])
    assert (facts.tactics, facts.aliases) == (["Guard"], ["Keyhole Watching", "Lock Gazing"])
    assert (facts.references, facts.published) == (["https://e.org/doors"], "2024-02-03")
    assert records["D3-OA"].status is Status.DEPRECATED
    assert records["d3f:Guard"].text == "Guarding keeps doors shut."
    assert sorted(item.reason.split(",")[0] for item in items if isinstance(item, Drop)) == [
        "a method of data analysis",
        "an entry of ATT&CK",
    ]


def test_an_ontology_of_something_else_is_dropped(make_source: MakeSource, make_file: MakeFile) -> None:
    (item,) = read(make_source, make_file("a.ttl", "<http://e.org/a> <http://e.org/b> 1 ."))
    assert isinstance(item, Drop)


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(TURTLE[:900], id="truncated"),
        pytest.param(":a :b :c .", id="undefined prefix"),
        pytest.param("\x00\x01", id="binary"),
        pytest.param("<a> <b> " + "[" * 200_000, id="brackets"),
        pytest.param("<a> <b> " + "( " * 200_000, id="deep lists"),
        pytest.param(
            '{"@context": "https://192.0.2.1/context.json", "@id": "https://e.org/a"}', id="remote context"
        ),
        pytest.param('{"a":' * 100_000, id="repeated keys"),
        pytest.param('<a> <b> "\\uD800" .', id="surrogate"),
        pytest.param("<http://e.org/a b> <http://e.org/b> 1 .", id="space in an IRI"),
        pytest.param(
            f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{BOMB}]><rdf:RDF>&a11;</rdf:RDF>',
            id="billion laughs",
        ),
        pytest.param('<?xml version="1.0"?><html/>', id="another root"),
    ],
)
def test_hostile_ontologies_are_a_failure(make_source: MakeSource, make_file: MakeFile, hostile: str) -> None:
    items = read(make_source, make_file("a.ttl", hostile))
    assert [type(item).__name__ for item in items] == ["Failure"]
