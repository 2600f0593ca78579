"""docs/sources.md says what the catalog holds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from securetag.extractors.catalog import load
from securetag.extractors.fetching.files import Failure
from securetag.extractors.record_files import Report

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sources", CHECKOUT / "tools" / "document_sources.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(**changes: object) -> Report:
    row: dict[str, object] = {
        "source": "s",
        "edition": "1",
        "licences": ["MIT"],
        "files": 1200,
        "records": 3,
        "by_status": {"active": 2, "revoked": 1},
        "dropped": {"no text": 4},
        "failures": [Failure("f", "", "cut short")],
        "cpu_s": 1.26,
    }
    return Report(**(row | changes))  # type: ignore[arg-type]


def test_a_row_says_what_came_of_a_source_and_the_last_one_of_all(tool: ModuleType) -> None:
    *_, row, total = tool.table([report()]).splitlines()
    assert row == "| `s` (1) | 1,200 | 2 active, 1 revoked | 4 no text | 1 | MIT | 1.3 |"
    assert total == "| **all 1** | 1,200 | 2 active, 1 revoked | 4 | 1 | | 1.3 |"


def test_many_reasons_are_summed(tool: ModuleType) -> None:
    dropped = {f"reason {n}": n for n in range(1, 8)}
    assert "7 reason 7; 6 reason 6; 5 reason 5; 4 reason 4; 6 for 3 other reasons" in tool.row(
        report(dropped=dropped)
    )


def test_only_what_stands_between_the_markers_is_written(tool: ModuleType) -> None:
    page = f"before\n{tool.BEGIN}\nold\n{tool.END}\nafter\n"
    assert tool.section(page, "new") == f"before\n{tool.BEGIN}\n\nnew\n\n{tool.END}\nafter\n"


def test_every_row_of_the_catalog_stands_on_the_page() -> None:
    page = (CHECKOUT / "docs" / "sources.md").read_text("utf-8")
    assert [name for name in load() if f"`{name}`" not in page] == []
