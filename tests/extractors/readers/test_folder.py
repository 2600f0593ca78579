"""A user's folder of mixed and hostile files, through a catalog of theirs."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import msgspec
import pytest
from source_fixtures import MakeSource

from securetag.extractors.extract import extract
from securetag.extractors.fetching.files import FetchedFile
from securetag.extractors.readers.columns import guess_mapping
from securetag.extractors.readers.folder import FolderReader
from securetag.extractors.readers.table_rows import read_rows
from securetag.extractors.record_files import Extraction
from securetag.records import Record
from securetag.settings import Settings

LONG = "Every door has a lock, every lock has an owner, and every owner writes down who holds a key to it."

CATALOG = """
- {name: ours, tier: extended, publisher: Us, dataset: ours, title: Ours, edition: "1",
   licence: LicenseRef-Internal, url: "https://intranet.example/docs", reader: folder, folder: {path: docs},
   options: {whole: 400}}
"""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (tmp_path / "mine.yaml").write_text(CATALOG)
    return folder


def read(docs: Path, settings: Settings) -> Extraction:
    return extract("ours", settings.model_copy(update={"catalog": docs.parent / "mine.yaml"}))


def by_url(extraction: Extraction) -> dict[str, list[Record]]:
    out: dict[str, list[Record]] = {}
    for record in sorted(extraction.records, key=lambda record: record.key):
        out.setdefault(record.url.removeprefix("https://intranet.example/docs/"), []).append(record)
    return out


def test_every_kind_is_read_by_what_it_holds(docs: Path, settings: Settings) -> None:
    (docs / "guide.md").write_text(f"# Guide\n\n{LONG}\n")
    (docs / "deep" / "er").mkdir(parents=True)
    (docs / "deep" / "er" / "page.txt").write_text(
        f"<!doctype html><title>P</title><h1>Page</h1><p>{LONG}</p>"
    )
    (docs / "faq.jsonl").write_text(
        json.dumps({"question": "Who holds a key?", "answer": LONG, "id": "q1"}) + "\n"
    )
    (docs / "list.json").write_text(
        json.dumps({"data": [{"title": "T1", "body": LONG, "id": 7}], "count": 1})
    )
    (docs / "table.csv").write_bytes(f'\ufeffID;Title;Text\r\nA-1;Locks;"{LONG}\r\nmore"\r\n'.encode())
    (docs / "wide.tsv").write_text(f"colour\tnote\nred\t{LONG}\n")
    (docs / "no-ending").write_text(f"Plain words.\n\n{LONG}\n")
    extraction = read(docs, settings)
    assert extraction.report.failures == []
    records = by_url(extraction)
    assert set(records) == {
        "guide.md",
        "deep/er/page.txt",
        "faq.jsonl",
        "list.json",
        "table.csv",
        "wide.tsv",
        "no-ending",
    }
    (faq,) = records["faq.jsonl"]
    assert (faq.key, faq.facts.instruction, faq.facts.response) == ("q1", "Who holds a key?", LONG)
    assert records["list.json"][0].key == "7"
    assert records["list.json"][0].locator == "/data/0"
    assert (records["table.csv"][0].key, records["table.csv"][0].text) == ("A-1", f"{LONG}\nmore")
    assert records["wide.tsv"][0].text == f"- **colour**: red\n- **note**: {LONG}"
    assert records["deep/er/page.txt"][0].title == "Page"
    assert {record.licence for record in extraction.records} == {"LicenseRef-Internal"}


def test_the_same_folder_elsewhere_gives_the_same_records(docs: Path, settings: Settings) -> None:
    (docs / "guide.md").write_text(f"# Guide\n\n{LONG}\n")
    first = read(docs, settings)
    other = docs.parent / "elsewhere"
    other.mkdir()
    docs.rename(other / "docs")
    (docs.parent / "mine.yaml").rename(other / "mine.yaml")
    assert read(other / "docs", settings).records == first.records


@pytest.mark.hostile
def test_hostile_files_cost_no_other(docs: Path, settings: Settings) -> None:
    (docs / "good.md").write_text(f"# Good\n\n{LONG}\n")
    (docs.parent / "secret.md").write_text(f"# Secret\n\n{LONG}\n")
    (docs / "out.md").symlink_to(docs.parent / "secret.md")
    (docs / "circle.md").symlink_to(docs / "circle.md")
    (docs / "program.md").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(2_000))
    (docs / "binary.md").write_bytes(b"text" + bytes(range(256)) * 50)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a.txt", "x")
    (docs / "zipped.pdf").write_bytes(archive.getvalue())
    (docs / "error.pdf").write_text(f"<!DOCTYPE html><title>404</title><p>{LONG}</p>")
    (docs / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    (docs / "cut.json").write_text('[{"title": "x"')
    (docs / "lines.jsonl").write_text(f'{{"text": "{LONG}"}}\n{{broken\n{{"text": "{LONG} 2"}}\n')
    (docs / "cell.csv").write_text(f"id,text\n1,{'x' * (2 << 20)}\n2,{LONG}\n")
    (docs / "page.html").write_text("<div>" * 100_000)
    (docs / "number.json").write_text('[{"id": ' + "9" * 100_000 + f', "text": "{LONG}"}}]')
    (docs / "sheet.xml").write_text("<?xml version='1.0'?><a>b</a>")
    (docs / "none.md").write_text("")
    (docs / ".hidden.md").write_text(LONG)
    extraction = read(docs, settings)
    failed = {Path(failure.file).name: failure.reason for failure in extraction.report.failures}
    assert "leads out of the folder" in failed["out.md"]
    assert "circle.md" in failed
    assert failed["program.md"].startswith("a program")
    assert failed["binary.md"].startswith("binary data")
    assert failed["zipped.pdf"].startswith("is a ZIP archive or an office file, not PDF (Fetch")
    assert failed["error.pdf"].startswith("is HTML, not PDF (Fetch the document again")
    assert failed["deep.json"] == "nested too deeply"
    assert failed["page.html"].startswith("nested too deeply (")
    assert failed["sheet.xml"].startswith("XML")
    assert {"cut.json", "lines.jsonl", "cell.csv"} <= set(failed)
    texts = {record.text for record in extraction.records}
    assert {LONG, f"{LONG} 2"} <= texts
    assert not any("Secret" in record.title for record in extraction.records)
    assert extraction.report.dropped["a hidden file"] == extraction.report.dropped["an empty file"] == 1


def test_guesses(tmp_path: Path) -> None:
    chat = {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a"},
        ]
    }
    assert guess_mapping(chat).conversation == "messages"
    flag = guess_mapping({"id": 1, "Vulnerable": True, "text": "x"})
    assert not flag.vulnerable
    assert (
        guess_mapping({"CWE ID": "79", "Func_src_before": "a", "func_src_after": "b"}).fixed
        == "{func_src_after}"
    )
    (tmp_path / "map.json").write_text('{"CVE-1": {"text": "a"}, "CVE-2": {"text": "b"}}')
    assert [
        (where, row["id"]) for where, row in read_rows(tmp_path / "map.json") if isinstance(row, dict)
    ] == [
        ("/CVE-1", "CVE-1"),
        ("/CVE-2", "CVE-2"),
    ]


HANDBOOK = """---
title: Secrets handling
---
# Secrets handling

Contact jane.doe@corp.example or +1 202-555-0143. The old deploy key AKIAIOSFODNN7EXAMPLE was rotated; the new
password is hunter2-Prod!. Never put keys in code.

## Rotating AKIAIOSFODNN7EXAMPLE

```python
key = os.environ["KEY"]  # {{ template }} stays
```

Create a new key, then deploy it. It has a lifetime of thirty days[^1].

[^1]: The footnote says something of importance about rotation.
"""


def test_secrets_and_personal_data_of_a_users_documents_are_masked(docs: Path, settings: Settings) -> None:
    (docs / "handbook.md").write_text(HANDBOOK)
    (docs / "chat.jsonl").write_text(
        json.dumps(
            {"question": "What is the password?", "answer": "The password is hunter2-Prod! for all of us."}
        )
    )
    extraction = read(docs, settings)
    written = json.dumps(msgspec.to_builtins(extraction.records))
    for secret in ("jane.doe", "555-0143", "AKIAIOSFODNN7EXAMPLE", "akiaiosfodnn7example", "hunter2"):
        assert secret not in written
    assert 'key = os.environ[\\"KEY\\"]  # {{ template }} stays' in written
    assert "The footnote says something of importance about rotation." in written
    assert extraction.report.scrubbed == {"email": 1, "phone": 1, "secret": 4}


NOTES = """\
= Threat model
:toc:

== Assets

The *token store* holds refresh tokens. It is the most valuable asset that we have in this service.

[source,java]
----
String t = store.get(id);
----

NOTE: Rotate often.
"""


def test_asciidoc_is_read_by_pandoc(docs: Path, settings: Settings) -> None:
    (docs / "notes.adoc").write_text(NOTES)
    (record,) = read(docs, settings).records
    assert (record.key, record.title, record.facts.section) == ("notes", "Threat model", ["Threat model"])
    assert record.text == (
        "## Assets\n\nThe **token store** holds refresh tokens. It is the most valuable asset that we have in"
        " this service.\n\n```java\nString t = store.get(id);\n```\n\n**Note**\n\nRotate often."
    )


def test_without_the_extra_a_document_is_left_out_and_counted(
    docs: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securetag.extractors.readers.file_kinds.is_pandoc_installed", lambda: False)
    (docs / "notes.adoc").write_text(NOTES)
    extraction = read(docs, settings)
    assert extraction.records == []
    assert extraction.report.dropped == {"AsciiDoc, which pip install 'securetag[documents]' reads": 1}


def test_a_row_may_switch_scrubbing_off(docs: Path, settings: Settings) -> None:
    (docs / "handbook.md").write_text(HANDBOOK)
    catalog = docs.parent / "mine.yaml"
    catalog.write_text(CATALOG.replace("reader: folder", "reader: folder, scrub: false"))
    extraction = read(docs, settings)
    assert "hunter2-Prod!" in extraction.records[0].text
    assert extraction.report.scrubbed == {}


def test_an_office_file_that_is_a_bomb_is_refused_unread(docs: Path, settings: Settings) -> None:
    with zipfile.ZipFile(docs / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("[Content_Types].xml", "<Types/>")
        made.writestr("word/document.xml", bytes(64 << 20))
    (failure,) = read(docs, settings).report.failures
    assert failure.reason == "an Office document that unpacks to 67,108,872 bytes"


def test_the_time_of_the_pdf_process_is_in_the_report(docs: Path, make_source: MakeSource) -> None:
    import pymupdf

    document = pymupdf.open()
    document.new_page().insert_textbox((50, 50, 550, 700), f"{LONG} " * 5)
    document.save(docs / "paper.pdf")
    file = FetchedFile(docs / "paper.pdf", "file:///paper.pdf", "0" * 64, "1", "MIT")
    reader = FolderReader(make_source())
    (record,) = reader.read([file])
    assert isinstance(record, Record)
    assert reader.child_cpu_s > 0
