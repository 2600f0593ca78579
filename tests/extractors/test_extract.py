from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from securetag.errors import InputError, NotFoundError
from securetag.extractors.extract import extract, refresh
from securetag.extractors.record_files import (
    read_records,
    read_report,
    select_trainable,
    write_extraction,
)
from securetag.records import Record, Status
from securetag.settings import Settings

CATALOG = """
- {name: mine-1, tier: extended, publisher: Me, dataset: mine, title: Mine, edition: "1",
   url: "https://e.org", licence: CC-BY-4.0, reader: markdown, folder: {path: docs, glob: "*.md"}}
- {name: mine-2, tier: extended, publisher: Me, dataset: mine, title: Mine, edition: "2",
   supersedes: [mine-1], url: "https://e.org", licence: CC-BY-4.0, reader: markdown,
   folder: {path: newer, glob: "*.md"}}
"""
LONG = "A sentence that is long enough to be worth a Record of its own, and then some more of it."


@pytest.fixture
def catalog(tmp_path: Path, settings: Settings) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(CATALOG)
    (tmp_path / "docs").mkdir()
    for name in ("b", "a", "c"):
        (tmp_path / "docs" / f"{name}.md").write_text(f"# {name}\n\n{LONG} {name}\n")
    settings.catalog = path
    return path


def test_records_report_and_files(catalog: Path, settings: Settings) -> None:
    (catalog.parent / "docs" / "same.md").write_text(f"# a\n\n{LONG} a\n")
    (catalog.parent / "docs" / "stub.md").write_text("# stub\n\nMoved.\n")
    extraction = extract("mine-1", settings)
    assert [record.id for record in extraction.records] == sorted(record.id for record in extraction.records)
    assert extraction.report.files == 5
    assert extraction.report.by_status == {"active": 4}
    assert extraction.report.dropped == {"shorter than 80 characters": 1}
    for record in extraction.records:
        assert record.licence == "CC-BY-4.0"
        assert record.edition == "1"
        assert record.url.startswith("https://e.org/")  # no path of this machine
        assert len(record.file_sha256) == 64
        assert record.locator
    jsonl, parquet, report = write_extraction(extraction, settings.records_dir)
    assert [path.name for path in (jsonl, parquet, report)] == [
        "mine-1.jsonl",
        "mine-1.parquet",
        "mine-1.report.json",
    ]
    assert list(read_records(jsonl)) == list(read_records(settings.records_dir)) == extraction.records
    table = pq.read_table(parquet)
    assert table.column("id").to_pylist() == [record.id for record in extraction.records]
    assert msgspec.json.decode(table.column("facts")[0].as_py())["kind"] == "section"
    assert read_report(report) == extraction.report


def test_an_older_edition_is_superseded_as_soon_as_the_newer_can_be_had(
    catalog: Path, settings: Settings
) -> None:
    assert {r.status for r in extract("mine-1", settings).records} == {Status.ACTIVE}
    (catalog.parent / "newer").mkdir()
    (catalog.parent / "newer" / "a.md").write_text(f"# a\n\n{LONG} better\n")
    old, new = (extract(name, settings).records for name in ("mine-1", "mine-2"))
    assert {record.status for record in old} == {Status.SUPERSEDED}
    assert {record.status for record in new} == {Status.ACTIVE}
    assert list(select_trainable([*old, *new])) == new


def test_a_broken_file_is_a_row_of_the_report(catalog: Path, settings: Settings) -> None:
    (catalog.parent / "docs" / "bad.md").write_bytes(b"\xff\xfe\x00")
    report = extract("mine-1", settings).report
    assert report.records == 3
    assert [Path(failure.file).name for failure in report.failures] == ["bad.md"]
    assert report.failed_share == 0.25


def test_unknown_source_and_broken_records(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        extract("nope", settings)
    with pytest.raises(InputError) as caught:
        list(read_records(tmp_path / "none.jsonl"))
    assert "source extract" in caught.value.hint
    (tmp_path / "bad.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(InputError, match=r"bad\.jsonl:1"):
        list(read_records(tmp_path / "bad.jsonl"))


RUN = """
import hashlib, pathlib, sys
from securetag.extractors.extract import extract
from securetag.extractors.record_files import write_extraction
from securetag.settings import get_settings
found = extract("mitre-cwe-4.14", get_settings())
paths = write_extraction(found, get_settings().records_dir)[:2]
print(*(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths))
"""


@pytest.mark.system
def test_the_same_bytes_in_another_folder_time_zone_and_hash_seed(tmp_path: Path) -> None:
    seen = set()
    for zone, seed in (("UTC", "1"), ("Asia/Kathmandu", "77")):
        env = os.environ | {"SECURETAG_DATA": str(tmp_path / seed), "TZ": zone, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", RUN], env=env, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1


@pytest.mark.system
def test_the_packages_alone_give_cwe_and_attack(settings: Settings) -> None:
    extraction = extract("mitre-cwe-4.14", settings)
    assert extraction.report.by_status == {"active": 938, "deprecated": 25}
    assert not extraction.report.failures
    keys = {record.key: record for record in extraction.records}
    assert keys["CWE-89"].facts.mapping_usage == "Allowed"
    attack = extract("mitre-attack-enterprise-15.0", settings)
    techniques = [record for record in attack.records if record.facts.kind == "technique"]
    assert len(techniques) == 780
    assert not attack.report.failures


def test_reading_needs_no_heavy_library() -> None:
    code = (
        "import sys, securetag.extractors.extract as e, securetag.extractors.readers.pdf.reader\n"
        "print([m for m in ('torch', 'pyarrow', 'pymupdf', 'dagster', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_field_of_a_record_reaches_the_disk(
    catalog: Path, settings: Settings, make_source: Callable[..., object]
) -> None:
    extraction = extract("mine-1", settings)
    jsonl, *_ = write_extraction(extraction, settings.records_dir)
    first = msgspec.json.decode(jsonl.read_bytes().split(b"\n")[0])
    assert set(first) == set(Record.__struct_fields__)


def test_what_has_not_changed_is_not_read_again(catalog: Path, settings: Settings) -> None:
    folder = settings.records_dir
    first, unchanged = refresh("mine-1", settings, folder)
    assert not unchanged
    jsonl = folder / "mine-1.jsonl"
    written = jsonl.stat().st_mtime_ns
    assert refresh("mine-1", settings, folder) == (first, True)
    assert jsonl.stat().st_mtime_ns == written
    assert refresh("mine-1", settings, folder, force=True)[1] is False

    (catalog.parent / "docs" / "a.md").write_text(f"# a\n\n{LONG} another\n")
    assert refresh("mine-1", settings, folder)[1] is False
    assert "another" in jsonl.read_text()

    jsonl.write_text("")  # somebody touched what was written
    assert refresh("mine-1", settings, folder)[1] is False
    assert jsonl.read_text()

    (folder / "mine-1.state.json").write_text("{")
    assert refresh("mine-1", settings, folder)[1] is False

    (catalog.parent / "newer").mkdir()  # a newer edition can be had: the same files, other statuses
    (catalog.parent / "newer" / "a.md").write_text(f"# a\n\n{LONG} better\n")
    report, unchanged = refresh("mine-1", settings, folder)
    assert not unchanged
    assert report.by_status == {"superseded": 3}


def test_a_change_of_the_catalog_row_is_a_change(catalog: Path, settings: Settings) -> None:
    refresh("mine-1", settings, settings.records_dir)
    catalog.write_text(CATALOG.replace('edition: "1"', 'edition: "1.1"'))
    report, unchanged = refresh("mine-1", settings, settings.records_dir)
    assert not unchanged
    assert report.edition == "1.1"


MERGED = """
- {name: first, tier: extended, publisher: One, dataset: first, title: First, edition: "1", url: "https://e.org",
   licence: CC0-1.0, reader: osv, folder: {path: one, glob: "*.json"}}
- {name: second, tier: extended, publisher: Two, dataset: second, title: Second, edition: "1", url: "https://e.org",
   licence: CC-BY-4.0, reader: kev, folder: {path: two, glob: "*.json"}}
- {name: gone, tier: extended, publisher: Three, dataset: gone, title: Gone, edition: "1", url: "https://e.org",
   licence: MIT, reader: osv, folder: {path: gone}}
- {name: all, tier: extended, publisher: All, dataset: all, title: All, edition: "1", url: "https://e.org",
   licence: CC-BY-4.0, reader: merged, supersedes: [first, second, gone], records: [first, second, gone]}
"""


def test_a_source_made_of_other_sources(tmp_path: Path, settings: Settings) -> None:
    settings.catalog = tmp_path / "mine.yaml"
    settings.catalog.write_text(MERGED)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    advisory = {
        "id": "GHSA-a",
        "aliases": ["CVE-2031-1000"],
        "summary": "Lid",
        "details": "The lid comes off.",
    }
    (tmp_path / "one" / "a.json").write_text(msgspec.json.encode(advisory).decode())
    exploited = {"vulnerabilities": [{"cveID": "CVE-2031-1000", "shortDescription": "It burns."}]}
    (tmp_path / "two" / "k.json").write_text(msgspec.json.encode(exploited).decode())
    folder = settings.records_dir
    report, unchanged = refresh("all", settings, folder)
    assert (report.files, report.by_status, report.failures, unchanged) == (2, {"active": 1}, [], False)
    (merged,) = read_records(folder / "all.jsonl")
    assert (merged.key, merged.publisher) == ("CVE-2031-1000", "One, Two")
    assert merged.licence == "CC-BY-4.0 AND CC0-1.0"
    parts = {r.source: r for name in ("first", "second") for r in read_records(folder / f"{name}.jsonl")}
    assert {record.status for record in parts.values()} == {Status.SUPERSEDED}
    assert merged.locator == f"first:{parts['first'].id} second:{parts['second'].id}"
    assert [record.source for record in select_trainable(read_records(folder))] == ["all"]

    assert refresh("all", settings, folder)[1]
    (tmp_path / "one" / "a.json").write_text(msgspec.json.encode(advisory | {"details": "Better."}).decode())
    assert not refresh("all", settings, folder)[1]
    (merged,) = read_records(folder / "all.jsonl")
    assert merged.text.startswith("Better.")
