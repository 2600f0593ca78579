"""Failures of `securetag source` are loud; a look at documents before a source is made; making a mirror."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from securetag.cli import app
from securetag.extractors.extract import extract
from securetag.settings import Settings, get_settings

runner = CliRunner()
SENTENCE = (
    "Every door has a lock, every lock has an owner, and every owner writes down who holds a key to it."
)
ROW = """
- {{name: {name}, tier: extended, publisher: Us, dataset: {name}, title: Ours, edition: "1",
   licence: LicenseRef-Internal, url: "https://intranet.example/{name}", reader: folder,
   folder: {{path: {name}}}}}
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four sources of one folder each: good ones around an empty, a broken and a missing one."""
    names = ("first", "empty", "broken", "missing", "last")
    (tmp_path / "mine.yaml").write_text("".join(ROW.format(name=name) for name in names))
    for name in names:
        if name != "missing":
            (tmp_path / name).mkdir()
    for name in ("first", "last"):
        (tmp_path / name / "guide.md").write_text(f"# Guide\n\n{SENTENCE}\n")
    (tmp_path / "empty" / "style.css").write_text("a { color: red }")
    (tmp_path / "broken" / "a.png").write_bytes(b"\x89PNG\r\n")
    monkeypatch.setenv("SECURETAG_CATALOG", str(tmp_path / "mine.yaml"))
    get_settings.cache_clear()
    return tmp_path


def test_a_named_run_goes_on_and_fails_at_its_end(sources: Path) -> None:
    done = runner.invoke(app, ["source", "extract", "missing", "broken", "empty", "first", "last", "--json"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert list(found) == ["missing", "broken", "empty", "first", "last"]
    assert found["first"]["records"] == found["last"]["records"] == 1
    assert "there is no folder" in found["missing"]["error"]
    assert found["broken"]["reasons"] == [
        {
            "file": found["broken"]["reasons"][0]["file"],
            "locator": "",
            "reason": "a PNG image, which no reader knows (Unpack or convert it, or narrow `glob`.)",
        }
    ]
    assert found["empty"]["dropped"] == {"source code (CSS)": 1}
    for text in ("missing: ", "broken: no Record: ", "a PNG image", "empty: no Record: 1 source code (CSS)"):
        assert text in done.stderr


@pytest.mark.parametrize(("name", "code"), [("first", 0), ("empty", 1), ("broken", 1), ("missing", 1)])
def test_the_exit_code_tells_whether_there_are_records(sources: Path, name: str, code: int) -> None:
    assert runner.invoke(app, ["source", "extract", name]).exit_code == code


def test_a_preview_shows_columns_and_records_and_writes_nothing(tmp_path: Path) -> None:
    table = tmp_path / "issues.csv"
    rows = "".join(f'SEC-{n},Flaw {n},"{SENTENCE}",High\n' for n in range(6))
    table.write_text(f"Issue key,Summary,Description,Priority\n{rows}SEC-9,cut\n")
    before = sorted(tmp_path.rglob("*"))
    (found,) = json.loads(runner.invoke(app, ["source", "preview", str(table), "--json"]).stdout)
    assert found["kind"] == "rows"
    assert found["mapping"] == {"key": "{Issue key}", "title": "{Summary}", "text": "{Description}"}
    assert found["unmapped_columns"] == ["Priority"]
    assert [record["key"] for record in found["records"]] == ["SEC-0", "SEC-1", "SEC-2"]
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "style.css").write_text("a { color: red }")
    done = runner.invoke(app, ["source", "preview", str(tmp_path)])
    assert done.exit_code == 0
    for text in ("issues.csv: rows", "key ← {Issue key}", "no field takes: Priority", "style.css: left out"):
        assert text in done.stdout
    assert runner.invoke(app, ["source", "preview", str(tmp_path / "nothing")]).exit_code == 1


KEV = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"


def test_a_mirror_is_made_of_files_and_read(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    by_path = mirror / KEV.removeprefix("https://")
    by_path.parent.mkdir(parents=True)
    names = {
        "cveID": "CVE-2031-0001",
        "vendorProject": "Teapots",
        "product": "Lid",
        "vulnerabilityName": "Lid",
    }
    texts = {"shortDescription": SENTENCE, "requiredAction": "Close the lid.", "notes": ""}
    entry = names | texts | {"dateAdded": "2031-01-01", "dueDate": "2031-02-01"}
    by_path.write_text(json.dumps({"catalogVersion": "1", "vulnerabilities": [entry]}))
    (mirror / "unknown.bin").write_bytes(b"x")
    (mirror / ".hidden").write_bytes(b"x")
    done = runner.invoke(app, ["mirror", "create", str(mirror), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["unmatched"] == ["unknown.bin"]
    (file,) = json.loads((mirror / "MANIFEST.json").read_text())["files"]
    assert (file["url"], file["sha256"]) == (KEV, hashlib.sha256(by_path.read_bytes()).hexdigest())
    (record,) = extract("cisa-kev", Settings(mirror=mirror, data=tmp_path / "data")).records
    assert record.key == "CVE-2031-0001"
    by_path.write_bytes(gzip.compress(b"other bytes"))
    runner.invoke(app, ["mirror", "create", str(mirror)])
    (file,) = json.loads((mirror / "MANIFEST.json").read_text())["files"]
    assert file["sha256"] == hashlib.sha256(by_path.read_bytes()).hexdigest()


def test_a_folder_that_no_source_asks_for_is_no_mirror(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    done = runner.invoke(app, ["mirror", "create", str(tmp_path)])
    assert done.exit_code == 1
    assert "next: " in done.stderr
    assert not (tmp_path / "MANIFEST.json").exists()
