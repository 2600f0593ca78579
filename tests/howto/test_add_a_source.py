"""docs/howto/add-a-source.md, followed step by step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from howto_page import read_page
from temp_package import install_package

from securetag.extractors.record_files import read_records
from securetag.settings import Settings

PAGE = read_page("add-a-source")


@pytest.mark.system
def test_a_source_in_another_package_becomes_a_record(
    project: Path, run_commands: Callable[[list[str]], str], tmp_path: Path
) -> None:
    package = '[project]\nname = "handbook-data"\nversion = "2026.1"\n'
    # The package may not be imported: that would be code of the publisher.
    files = {**PAGE.files, "handbook_data/__init__.py": "raise RuntimeError('imported')\n"}
    install_package(project, package, files)
    output = run_commands(PAGE.commands)
    assert "our-handbook" in output

    (record,) = read_records(Settings(data=tmp_path / "data").records_dir / "our-handbook.jsonl")
    assert record.title == "Handbook"
    assert "slow, salted hash such as Argon2id" in record.text
    assert (record.source, record.licence, record.edition) == ("our-handbook", "CC-BY-4.0", "2026")
    assert record.url == "https://intranet.example/handbook"
