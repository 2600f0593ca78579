from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from source_fixtures import MakeFile, MakeSource

from securetag.datasets.licences import is_allowed
from securetag.errors import LicenceError, SettingsError
from securetag.extractors import catalog
from securetag.extractors.catalog import Source
from securetag.extractors.fetching.files import Failure, FetchedFile
from securetag.extractors.readers.base import Drop, Item
from securetag.extractors.readers.hf import HfReader
from securetag.records import Record
from securetag.settings import Settings, get_settings

FIX = {
    "func": "f",
    "before": "eval(x)",
    "after": "int(x)",
    "file": "a/b.PY",
    "kind": "cwe-095 and CWE 95_x",
    "changes": {"deleted": [1]},
    "link": "example.org/c/1",
}
MAPPING = {
    "kind": "fix",
    "key": "{link}#{func}",
    "title": "{kind} in {func}",
    "url": "https://{link}",
    "vulnerable": "before",
    "fixed": "after",
    "language": "file",
    "cwe": "kind",
}


def read(source: Source, *files: FetchedFile) -> tuple[list[Record], list[Item]]:
    items = list(HfReader(source).read(files))
    return [item for item in items if isinstance(item, Record)], [
        i for i in items if not isinstance(i, Record)
    ]


def test_a_fix_becomes_a_pair(make_source: MakeSource, make_file: MakeFile) -> None:
    same = FIX | {"after": FIX["before"]}
    file = make_file("fixes.jsonl", "\n".join(map(json.dumps, [FIX, FIX, same])))
    (first, two), (drop,) = read(make_source(options={"mapping": MAPPING}), file)
    assert (first.key, two.key) == ("example.org/c/1#f", "example.org/c/1#f-2")
    assert first.url == "https://example.org/c/1"
    facts = first.facts
    assert (facts.kind, facts.vulnerable, facts.fixed, facts.language) == (
        "fix",
        "eval(x)",
        "int(x)",
        "python",
    )
    assert facts.cwe == ["CWE-95"]
    assert first.text == "Vulnerable:\n\n```python\neval(x)\n```\n\nFixed:\n\n```python\nint(x)\n```"
    assert isinstance(drop, Drop)
    assert drop.reason == "a fix that changes nothing"


def test_each_of_a_list_is_a_record(make_source: MakeSource, make_file: MakeFile) -> None:
    rows = [
        {
            "instruction": "Ask <lang>",
            "l": "Go",
            "instances": [{"input": "", "output": "one"}, {"input": "i", "output": "two"}],
        }
    ]
    mapping = {
        "each": "instances",
        "instruction": "{instruction}\n\n{input}",
        "response": "output",
        "replace": {"<lang>": "{l}"},
        "language": "l",
    }
    records, _ = read(make_source(options={"mapping": mapping}), make_file("seed.json", json.dumps(rows)))
    assert [(r.facts.instruction, r.facts.response) for r in records] == [
        ("Ask Go", "one"),
        ("Ask Go\n\ni", "two"),
    ]
    assert [record.locator for record in records] == ["/0/instances/0", "/0/instances/1"]
    assert records[0].facts.language == "go"


def test_general_instructions_of_the_catalogs_replay_row(
    make_source: MakeSource, make_file: MakeFile
) -> None:
    """Rows of our own, in the form that the publisher documents."""
    rows = [
        {"instruction": "Name a prime.", "context": "", "response": "Seven is one.", "category": "open_qa"},
        {"instruction": "Who came?", "context": "Ada came.", "response": "Ada.", "category": "closed_qa"},
    ]
    row = catalog.load()["replay-dolly"]
    file = make_file("dolly.jsonl", "\n".join(map(json.dumps, rows)))
    records, other = read(make_source(options=row.options), file)
    assert other == []
    assert [(record.facts.instruction, record.facts.response) for record in records] == [
        ("Name a prime.", "Seven is one."),
        ("Who came?\n\nAda came.", "Ada."),
    ]
    assert row.tier == "replay"
    assert is_allowed(row.licence, "public")


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "json", "jsonl"], ids=str)
def test_every_form_gives_the_same(
    form: str, make_source: MakeSource, make_file: MakeFile, tmp_path: Path
) -> None:
    rows = [{"id": "007", "text": "NA, that is; a\ttext"}, {"id": "8", "text": "null"}]
    if form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p")
        content: str | bytes = (tmp_path / "p").read_bytes()
    elif form in ("csv", "tsv"):
        mark = {"csv": ",", "tsv": "\t"}[form]
        content = "\r\n".join(
            [mark.join(rows[0]), *(mark.join(f'"{v}"' for v in row.values()) for row in rows)]
        )
    else:
        content = json.dumps(rows) if form == "json" else "\n".join(map(json.dumps, rows))
    records, other = read(
        make_source(options={"mapping": {"key": "id", "text": "text"}}), make_file(f"d.{form}", content)
    )
    assert other == []
    assert [(record.key, record.text) for record in records] == [
        ("007", "NA, that is; a\ttext"),
        ("8", "null"),
    ]


def test_a_text_that_the_question_quotes_is_there_once(make_source: MakeSource, make_file: MakeFile) -> None:
    flaw = "A flaw of the lid lets\n  a guest read the letters of the host."
    question = f"Which weakness is this? Answer with its number. Flaw: {' '.join(flaw.split())}"
    rows = [{"about": flaw, "question": question, "answer": "CWE-22"}]
    mapping = {"kind": "instruction", "text": "about", "instruction": "question", "response": "answer"}
    file = make_file("rows.json", json.dumps(rows).encode())
    (record,), _ = read(make_source(options={"mapping": mapping}), file)
    assert record.text == f"{question}\n\nCWE-22"
    assert record.title == "A flaw of the lid lets"


def test_one_broken_row_costs_no_other(make_source: MakeSource, make_file: MakeFile) -> None:
    lines = [
        '{"id": 1, "text": "one"}',
        '{"id": "x", "text": ["two"]}',
        '{"id": ',
        '{"id": 4, "text": "four"}',
    ]
    records, failures = read(make_source(), make_file("d.jsonl", "\n".join(lines)))
    assert [record.text for record in records] == ["one", "two", "four"]
    assert [failure.locator for failure in failures if isinstance(failure, Failure)] == ["line 3"]


def test_nothing_is_left_in_the_cache(
    make_source: MakeSource,
    make_file: MakeFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    read(make_source(), make_file("d.jsonl", '{"text": "one"}\n'))
    assert list(get_settings().home.iterdir()) == []
    assert not (tmp_path / "person").exists()


def test_a_mapping_with_a_field_that_no_record_has(make_source: MakeSource) -> None:
    with pytest.raises(SettingsError, match=r"options\.mapping"):
        HfReader(make_source(options={"mapping": {"colour": "x"}}))


def test_non_commercial_data_is_in_no_build(settings: Settings, mirror_of_hf: Settings) -> None:
    rows = catalog.load()
    row = rows["hf-cti-bench"]
    assert catalog.check_availability(row, mirror_of_hf).is_local
    assert not any(rows[name].tier == "hf" for name in catalog.list_default_sources(mirror_of_hf))
    for purpose in ("internal", "public"):
        with pytest.raises(LicenceError, match="commercial"):
            is_allowed(row.licence, purpose)
    others = [row.licence for row in rows.values() if row.tier == "hf" and row.name != "hf-cti-bench"]
    assert all(is_allowed(licence, "internal") for licence in others)


@pytest.fixture
def mirror_of_hf(settings: Settings, make_mirror: Callable[..., Path]) -> Settings:
    url = "https://raw.githubusercontent.com/xashru/cti-bench/main/data/cti-rcm.tsv"
    return settings.model_copy(update={"mirror": make_mirror({url: b"URL\tGT\n"})})
