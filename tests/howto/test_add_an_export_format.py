"""docs/howto/add-an-export-format.md, followed step by step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from howto_page import read_page
from temp_package import install_package

from securetag.records import Example, Message, Task
from tests.plugins.small_release import write_small

PAGE = read_page("add-an-export-format")


def write_release(folder: Path) -> Path:
    """Write a release of two questions and a mapping; return its folder."""
    examples = [
        Example.of(
            task=task,
            messages=[Message("user", f"question {number}"), Message("assistant", f"answer {number}")],
            lang="en",
            licence="MIT",
            group=f"g{number}",
            origin="template",
            origins=[],
            source="s",
        )
        for number, task in enumerate([Task.QA, Task.QA, Task.MAPPING])
    ]
    path, _ = write_small(
        folder,
        [msgspec.structs.replace(example, split="train") for example in examples],
        card=lambda _: "card\n",
    )
    return path


@pytest.mark.system
def test_a_format_of_another_package_exports_a_release(
    project: Path, run_commands: Callable[[list[str]], str], tmp_path: Path
) -> None:
    files = dict(PAGE.files)
    install_package(project, files.pop("pyproject.toml"), files)
    output = run_commands([f"RELEASE={write_release(tmp_path / 'releases')}", *PAGE.commands])
    assert "not a question" in output
    exported = project / "exported"
    rows = [json.loads(line) for line in (exported / "train.jsonl").read_text().splitlines()]
    assert sorted(row["text"] for row in rows) == ["question 0\n\nanswer 0", "question 1\n\nanswer 1"]
    assert "the text is not divided" in (exported / "README.md").read_text()
    assert (exported / "NOTICE").is_file()
