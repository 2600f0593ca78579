"""docs/howto/add-a-reader.md, followed step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from howto_page import read_page
from temp_package import install_package

from securetag.extractors.record_files import read_records, read_report
from securetag.settings import Settings

PAGE = read_page("add-a-reader")


@pytest.mark.system
def test_a_reader_of_another_package_reads_a_record(
    project: Path, run_commands: Callable[[list[str]], str], tmp_path: Path
) -> None:
    files = dict(PAGE.files)
    install_package(project, files.pop("pyproject.toml"), files)
    output = run_commands(PAGE.commands)
    assert "our-notes" in output

    records = Settings(data=tmp_path / "data").records_dir
    (record,) = read_records(records / "our-notes.jsonl")
    assert (record.key, record.title) == ("NOTE-1", "Sessions end on the server")
    assert record.text.startswith("Delete the session on the server")
    assert (record.publisher, record.licence, record.edition) == (
        "Our company",
        "LicenseRef-Internal",
        "2026",
    )
    assert record.url == "https://intranet.example/notes/sessions.txt"
    assert record.locator == "note 1"
    report = read_report(records / "our-notes.report.json")
    assert [(failure.locator, failure.reason) for failure in report.failures] == [
        ("note 2", "a note without the field Id")
    ]


@pytest.mark.system
def test_a_new_version_of_the_package_reads_again(
    project: Path, run_commands: Callable[[list[str]], str]
) -> None:
    files = dict(PAGE.files)
    pyproject = files.pop("pyproject.toml")
    install_package(project, pyproject, files)
    command = "securetag source extract our-notes --json"
    set_catalog = PAGE.commands[0]
    assert '"unchanged": false' in run_commands([set_catalog, command])
    assert '"unchanged": true' in run_commands([set_catalog, command])
    (project / "notes_reader-0.1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: notes-reader\nVersion: 0.2.0\n"
    )
    assert '"unchanged": false' in run_commands([set_catalog, command])
