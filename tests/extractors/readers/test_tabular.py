"""Rows of instruction data and of trackers: nothing of them is lost, nothing is shifted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from source_fixtures import MakeFile, MakeSource

from securetag.datasets.licences import find_refused
from securetag.errors import SettingsError
from securetag.extractors.fetching.files import Failure
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.table_rows import read_rows
from securetag.extractors.readers.tabular import UNKNOWN_LICENCE, TabularReader
from securetag.records import Record

Read = Callable[[str, str | bytes], tuple[list[Record], list[Item], Counter[str]]]


@pytest.fixture
def read(make_source: MakeSource, make_file: MakeFile) -> Read:
    def read_file(name: str, content: str | bytes) -> tuple[list[Record], list[Item], Counter[str]]:
        reader = TabularReader(make_source())
        items = list(reader.read([make_file(name, content)]))
        records = [item for item in items if isinstance(item, Record)]
        return records, [item for item in items if not isinstance(item, Record)], reader.unmapped_columns

    return read_file


def test_alpaca_keeps_the_input(read: Read) -> None:
    question = "Is there a vulnerability? Answer yes or no."
    rows = [
        {"instruction": question, "input": "os.system('ping '+host)", "output": "yes"},
        {"instruction": question, "input": "subprocess.run(['ping', host])", "output": "no"},
        {"instruction": "Name a hash for passwords.", "input": "", "output": "Argon2id"},
    ]
    records, others, unmapped = read("alpaca.json", json.dumps(rows))
    assert [(record.facts.instruction, record.facts.response) for record in records] == [
        (f"{question}\n\nos.system('ping '+host)", "yes"),
        (f"{question}\n\nsubprocess.run(['ping', host])", "no"),
        ("Name a hash for passwords.", "Argon2id"),
    ]
    assert (others, unmapped) == ([], {})


TURNS = [
    ("user", "Is this finding real? strcpy(b,argv[1])"),
    ("assistant", "Yes, it overflows b."),
    ("user", "And with strlcpy(b,argv[1],sizeof b)?"),
    ("assistant", "No, the copy is bounded."),
]
BEFORE = (
    "User: Is this finding real? strcpy(b,argv[1])\n\nAssistant: Yes, it overflows b.\n\n"
    "User: And with strlcpy(b,argv[1],sizeof b)?"
)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": role, "content": text} for role, text in TURNS]},
        {
            "id": "7",
            "conversations": [
                {"from": {"user": "human", "assistant": "gpt"}[role], "value": text} for role, text in TURNS
            ],
        },
        {"messages": [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in TURNS]},
    ],
    ids=["messages", "ShareGPT", "parts"],
)
def test_every_turn_is_kept(read: Read, row: dict[str, object]) -> None:
    for name, content in (("chat.jsonl", json.dumps(row)), ("chat.json", json.dumps([row]))):
        (record,), others, unmapped = read(name, content)
        assert (record.facts.instruction, record.facts.response) == (BEFORE, "No, the copy is bounded.")
        assert record.text == f"{BEFORE}\n\nNo, the copy is bounded."
        assert (others, unmapped) == ([], {})


def test_one_question_has_no_roles_and_keeps_the_system_text(read: Read) -> None:
    turns = [
        ("system", "Be brief."),
        ("user", "Why salt?"),
        ("assistant", "Equal passwords differ."),
        ("user", "Ok"),
    ]
    row = {"messages": [{"role": role, "content": text} for role, text in turns], "topic": "hashes"}
    (record,), _, unmapped = read("chat.json", json.dumps([row]))
    assert (record.facts.instruction, record.facts.response) == (
        "Be brief.\n\nWhy salt?",
        "Equal passwords differ.",
    )
    assert record.text == "Be brief.\n\nWhy salt?\n\nEqual passwords differ.\n\nOk\n\n- **topic**: hashes"
    assert unmapped == {"topic": 1}


def test_a_rejected_answer_is_counted_and_not_kept(read: Read) -> None:
    row = {"prompt": "Hash passwords?", "chosen": "With Argon2id.", "rejected": "With MD5."}
    (record,), (drop,), unmapped = read("pairs.jsonl", json.dumps(row))
    assert "MD5" not in record.text
    assert (record.facts.instruction, record.facts.response) == ("Hash passwords?", "With Argon2id.")
    assert isinstance(drop, Drop)
    assert unmapped == {"rejected": 1}


def test_a_trackers_table_keeps_every_column(read: Read) -> None:
    table = (
        "Issue key,Summary,Description,Priority,Resolution,\n"
        'SEC-1,SQL injection in report,"The id goes into the query,\nas it is.",High,A prepared statement,x\n'
    )
    (record,), others, unmapped = read("issues.csv", table)
    assert (record.key, record.title) == ("SEC-1", "SQL injection in report")
    assert record.text == (
        "The id goes into the query,\nas it is.\n\n- **Priority**: High\n- **Resolution**: A prepared"
        " statement\n- **column 6**: x"
    )
    assert others == []
    assert unmapped == {"Priority": 1, "Resolution": 1, "column 6": 1}


RAGGED = """\
id,title,description
1,First,ok text that is long enough
2,Second,an unquoted comma here, and the rest
3,Third
4,"Open quote,"never closed here
5,Fifth,this row stays
6,"Open to the end,never closed
7,Seventh,stays as well
8,Eighth,"two
lines"
"""


def test_broken_rows_are_failures_with_their_lines_and_cost_no_other(read: Read) -> None:
    records, failures, _ = read("ragged.csv", RAGGED)
    assert [(record.key, record.title) for record in records] == [
        ("1", "First"),
        ("5", "Fifth"),
        ("7", "Seventh"),
        ("8", "Eighth"),
    ]
    assert [failure.locator for failure in failures] == ["line 3", "line 4", "line 5", "line 7"]
    assert failures[0].reason == "4 cells, and the header has 3"
    assert "quote" in failures[3].reason


def test_nan_and_nul_cost_their_record(read: Read) -> None:
    text = "A text of a row."
    document = (
        f'[{{"id": 1, "text": "{text}"}}, {{"id": 2, "x": NaN}}, {{"id": 3, "text": "a\0b"}},'
        ' {"id": 4, "text": "b"}]'
    )
    records, failures, _ = read("a.json", document)
    assert [record.key for record in records] == ["1", "4"]
    assert [failure.locator for failure in failures] == ["/1", "/2"]
    lines = (
        f'{{"id": 1, "text": "{text}"}}\n{{"id": 2, "x": NaN}}\n'
        '{"id": 3, "t": "a\\u0000b"}\n{"id": 4, "text": "b"}\n'
    )
    records, failures, _ = read("a.jsonl", lines)
    assert [record.key for record in records] == ["1", "4"]
    assert [failure.locator for failure in failures] == ["line 2", "line 3"]
    records, failures, _ = read("a.csv", f"id,text\n1,{text}\n2,a\0b\n3,{text}\n")
    assert [record.key for record in records] == ["1", "3"]
    assert [failure.locator for failure in failures] == ["line 3"]


CELL = st.text(st.sampled_from('ab ,"\n;'), max_size=6)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=6))
def test_a_table_that_is_well_formed_is_read_as_it_was_written(
    tmp_path: Path, rows: list[tuple[str, ...]]
) -> None:
    import csv

    path = tmp_path / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("x", "y", "z"), *rows])
    cells = [tuple(row.values()) for _, row in read_rows(path) if isinstance(row, dict)]
    assert cells == [row for row in rows if any(row)]


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from('a,"\n'), max_size=8), max_size=8))
def test_no_row_is_lost_without_a_failure(tmp_path: Path, parts: list[str]) -> None:
    """Rows with three cells between broken ones are Records, or on a line that a failure or a row covers."""
    path = tmp_path / "table.csv"
    lines = "\n".join(parts).split("\n")
    path.write_text("x,y,z\n" + "\n".join(lines) + "\n", encoding="utf-8")
    for where, row in read_rows(path):
        assert where.startswith("line ")
        if isinstance(row, Failure):
            assert row.locator == where
            assert row.reason
        else:
            assert list(row) == ["x", "y", "z"]


@pytest.mark.hostile
def test_open_quotes_on_every_line_take_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("x,y,z\n" + '1,2,"3\n4,5,6,7\n' * 20_000)
    outcomes = list(read_rows(path))
    assert isinstance(outcomes[-1][1], Failure)


def test_rows_have_the_license_of_their_repository_and_others_are_unknown(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    rows = [
        {"url": "https://example.org/a/b/commit/1", "text": "one"},
        {"url": "https://example.org/a/b", "text": "two"},
        {"url": "https://example.org/a/bc/commit/1", "text": "three"},
        {"url": "https://example.org/a/b/vendored/x", "text": "four"},
        {"text": "five"},
    ]
    licences = {"https://example.org/a/b": "MIT", "https://example.org/a/b/vendored": "GPL-3.0-only"}
    reader = TabularReader(make_source(options={"licences": licences}))
    records = [
        item for item in reader.read([make_file("rows.json", json.dumps(rows))]) if isinstance(item, Record)
    ]
    assert [record.licence for record in records] == [
        "MIT",
        "MIT",
        UNKNOWN_LICENCE,
        "GPL-3.0-only",
        UNKNOWN_LICENCE,
    ]
    assert set(find_refused({record.licence for record in records}, "public")) == {
        UNKNOWN_LICENCE,
        "GPL-3.0-only",
    }
    assert find_refused({record.licence for record in records}, "internal") == {}
    with pytest.raises(SettingsError, match=r"options\.licences"):
        TabularReader(make_source(options={"licences": "MIT"}))
