from __future__ import annotations

from itertools import pairwise

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.base import Item
from securetag.extractors.readers.mitre.atlas import AtlasReader
from securetag.records import Record

YAML = """---
id: ATLAS
name: Test
version: 9.9.0
matrices:
- id: ATLAS
  name: Matrix
  tactics:
  - id: AML.TA9000
    name: Looking
    description: To look.
    object-type: tactic
    ATT&CK-reference: {id: TA9000, url: https://e.org}
  techniques:
  - id: AML.T9000
    name: Peek
    description: Peek at [models](/techniques/AML.T9000) &amp; `a &amp; b`.
    object-type: technique
    tactics: [AML.TA9000]
    created_date: 2024-05-06
    maturity: feasible
  - id: AML.T9000.000
    name: Twice
    description: Peek again.
    object-type: technique
    subtechnique-of: AML.T9000
  - {name: without an id}
  mitigations:
  - id: AML.M9000
    name: Curtain
    description: Hang one.
    techniques:
    - {id: AML.T9000, use: Nobody sees.}
    - {id: AML.T9000.000, use: ''}
case-studies:
- id: AML.CS9000
  name: The Window
  object-type: case-study
  summary: Somebody peeked.
  procedure:
  - {tactic: AML.TA9000, technique: AML.T9000, description: They came.}
  target: A house
  actor: A neighbour
  references:
  - {title: News, url: https://e.org/news}
"""


def read(make_source: MakeSource, file: FetchedFile) -> list[Item]:
    return list(AtlasReader(make_source()).read([file]))


def test_joins(make_source: MakeSource, make_file: MakeFile) -> None:
    items = read(make_source, make_file("ATLAS.yaml", YAML))
    records = {item.key: item for item in items if isinstance(item, Record)}
    assert [type(item).__name__ for item in items].count("Failure") == 1
    peek, twice = records["AML.T9000"], records["AML.T9000.000"]
    assert peek.text == "Peek at models & `a &amp; b`."
    assert (peek.facts.kind, peek.facts.tactics, peek.facts.levels) == (
        "technique",
        ["Looking"],
        ["feasible"],
    )
    assert (peek.facts.mitigations, peek.facts.published) == (
        ["Curtain (AML.M9000): Nobody sees."],
        "2024-05-06",
    )
    assert (peek.url, peek.locator) == (
        "https://atlas.mitre.org/techniques/AML.T9000",
        "/matrices/0/techniques/0",
    )
    assert (twice.title, twice.facts.parents) == ("Peek: Twice", ["AML.T9000"])
    assert twice.facts.tactics == ["Looking"]
    assert twice.facts.mitigations == ["Curtain (AML.M9000): Hang one."]
    assert records["AML.TA9000"].facts.related == ["TA9000"]
    curtain = records["AML.M9000"]
    assert curtain.facts.kind == "mitigation"
    assert curtain.text == "Hang one.\n\n## Techniques\n\n- Peek (AML.T9000): Nobody sees."
    case = records["AML.CS9000"]
    assert case.text == (
        "Somebody peeked.\n\nTarget: A house\nActor: A neighbour\n\n"
        "## Procedure\n\n### Peek (Looking)\n\nThey came."
    )
    assert (case.url, case.facts.related) == ("https://atlas.mitre.org/studies/AML.CS9000", ["AML.T9000"])


def test_an_old_edition_has_its_lists_at_the_top(make_source: MakeSource, make_file: MakeFile) -> None:
    old = "id: ATLAS\ntactics:\n- {id: AML.TA1, name: A, description: Text.}\ntechniques: []\n"
    (record,) = read(make_source, make_file("ATLAS.yaml", old))
    assert (record.key, record.facts.kind, record.locator) == ("AML.TA1", "tactic", "/tactics/0")


#: Nine times nine times … the list before.
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in pairwise("abcdefghijklm")
)


@pytest.mark.hostile
@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param("matrices:\n- !include .\n", id="include tag"),
        pytest.param("!!python/object/apply:os.system ['echo']", id="object tag"),
        pytest.param("id: ATLAS\nmatrices: []\n", id="no objects"),
        pytest.param("", id="empty"),
        pytest.param("- id: '{{a.id}}'\n", id="incomplete object"),
        pytest.param("matrices: 5\n", id="matrices is a number"),
        pytest.param("a: &a [*a]\n", id="alias of itself"),
        pytest.param("[" * 5_000, id="brackets"),
        pytest.param(YAML + "\t- x", id="tab"),
        pytest.param(LAUGHS, id="billion laughs"),
    ],
)
def test_hostile_yaml_is_a_failure(make_source: MakeSource, make_file: MakeFile, hostile: str) -> None:
    items = read(make_source, make_file("a.yaml", hostile))
    assert [type(item).__name__ for item in items] == ["Failure"]
